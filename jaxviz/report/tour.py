"""The tour: all six techniques on a few photographs, as one self-contained HTML page."""

import base64
import datetime
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from PIL import Image

from .. import analyses, draw, sweep
from .._checks import InputError
from ..analyses import Analysis, PatchPage, Picture, provenance
from ..analyses.labels import labels_of
from ..files import claim_folder, write_manifest, write_whole
from ..networks.catalog import networks
from ..networks.network import Network
from ..pictures.examples import example_folder
from ..pictures.folders import Skipped, find_pictures
from ..pictures.sets import ArrayPictures, PictureSet, load_pictures
from ..sweep import Features

Track = Callable[[Iterable[Any], int, str], Iterator[Any]]

_FEATURED = ("astronaut", "chelsea", "coffee", "kingfisher", "china", "macaw")
_ENOUGH = 12  # with fewer pictures than this the examples join them where many are compared
_EXPLAINED = 4  # pictures to occlude
_WINDOW, _STRIDE = 32, 8
_ROWS, _STEPS = 7, 64  # channels whose patches are shown; steps for an image of each


class Class(NamedTuple):
    """One line of a picture's top five: name and probability."""

    name: str
    probability: float


class Card(NamedTuple):
    """A picture with its most probable classes."""

    name: str
    image: str
    classes: list[Class]


class Plate(NamedTuple):
    """A figure on the page: its picture as a data address, its alt text and its facts."""

    image: str
    alt: str
    facts: list[tuple[str, str]]


class Section(NamedTuple):
    """One technique: the key of its text in the page, its figures, or why there are none."""

    key: str
    plates: list[Plate]
    missing: str = ""


def example_pictures() -> list[Path]:
    """The example photographs, the ones that show most first."""
    paths = find_pictures([example_folder()])
    names = [path.stem for path in paths]
    first = [paths[names.index(name)] for name in _FEATURED if name in names]
    return first + [path for path in paths if path not in first]


def write_tour(
    folder: Path,
    places: Sequence[Path],
    network: Network,
    classifier: Network,
    *,
    target: str | None = None,
    top: int = 6,
    batch_size: int = 16,
    track: Track | None = None,
) -> tuple[Path, list[Skipped]]:
    """Write `folder`/index.html and its manifest; return the page and what was skipped.

    `network` shows its filters, maps, patches and features; `classifier` names the pictures and is
    asked what mattered. They are one where the network has classes.
    """
    folder = claim_folder(folder)
    paths = find_pictures(places) if places else example_pictures()
    own = load_pictures(paths, network.preprocessing)
    many = own
    if len(own.paths) < _ENOUGH:
        joined = own.paths + [p for p in example_pictures() if p not in own.paths]
        many = load_pictures(joined, network.preprocessing)
    # Pictures given in one folder have no labels, and none to share with the examples.
    labels = labels_of(many.paths) if labels_of(own.paths) else None
    (lead,) = analyses.read_pictures(network, own.paths[:1])
    # One that reads red, green and blue names no pictures of other channels.
    has_classes = classifier.preprocessing.samples == network.preprocessing.samples
    namer = classifier if has_classes else network
    named = analyses.read_pictures(namer, own.paths[: len(_FEATURED)])

    fill = analyses.usual_fill(classifier)
    steps: list[tuple[str, Callable[[], Iterable[Analysis]]]] = [
        ("pictures", lambda: []),
        ("first", lambda: [analyses.filters(network, network.role("first_layer"), top=10**6)]),
        ("middle", lambda: [analyses.filters(network, network.role("middle_layer"), top=8)]),
        ("neighbors", lambda: [_neighbors(network, many, labels, top, batch_size)]),
        ("activations", lambda: _activations(network, lead, many, batch_size)),
        ("patches", lambda: _patches(network, many, top, batch_size)),
        ("occlusion", lambda: [_occlusion(classifier, named, target, fill, has_classes)]),
    ]
    sections = []
    cards: list[Card] = []
    for key, make in track(steps, len(steps), "tour") if track else steps:
        if key == "pictures":
            cards = [_card(namer, picture, has_classes) for picture in named]
            continue
        try:
            sections.append(Section(key, [_plate(exhibit) for exhibit in make()]))
        except InputError as error:  # another network need not have what ours have
            if network.name in networks():
                raise
            sections.append(Section(key, [], str(error)))
    options = {"window": _WINDOW, "stride": _STRIDE, "fill": fill, "top": top, "target": target}
    record = {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "network": provenance(network, options),
        "classifier": provenance(classifier, options),
        "pictures": [str(path) for path in own.paths],
        "compared_with": [str(path) for path in many.paths[len(own.paths) :]],
        "skipped": [skipped._asdict() for skipped in own.skipped],
    }
    text = _template().render(
        network=network, classifier=classifier, cards=cards, sections=sections, record=record,
        compared=["/".join(path.parts[-2:]) for path in many.paths],
        count=len(many.paths), own=len(own.paths), window=_WINDOW, stride=_STRIDE,
        labeled=labels is not None, fill=fill, has_classes=has_classes,
    )  # fmt: skip
    write_manifest(folder, record)
    return write_whole(folder / "index.html", text.encode(errors="backslashreplace")), own.skipped


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxviz.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("tour.html.j2")


def _data_address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _card(network: Network, picture: Picture, has_classes: bool) -> Card:
    buffer = io.BytesIO()
    Image.fromarray(analyses.shown(network, picture.pixels)).save(buffer, "JPEG", quality=88)
    classes = analyses.top_classes(network, picture.pixels) if has_classes else []
    lines = [Class(network.label(index), value) for index, value in classes]
    return Card(picture.name, _data_address(buffer.getvalue(), "jpeg"), lines)


def _plate(found: Analysis) -> Plate:
    picture = draw.png(draw.figure_of(found))
    return Plate(_data_address(picture, "png"), found.alt, found.facts)


def _features(network: Network, pictures: PictureSet, layer: str, batch_size: int) -> Features:
    return sweep.features(
        network.apply, network.params, pictures, prepare=network.preprocessing.normalize,
        layer=layer, batch_size=min(batch_size, len(pictures.paths)),
    )  # fmt: skip


def _neighbors(
    network: Network, many: ArrayPictures, labels: list[str] | None, top: int, batch_size: int
) -> Analysis:
    features = _features(network, many, network.role("feature_layer"), batch_size)
    queries = range(min(4, len(many.paths)))
    return analyses.nearest_pictures(
        network, features, many, queries=queries, top=top, labels=labels
    )


def _activations(
    network: Network, lead: Picture, many: ArrayPictures, batch_size: int
) -> list[Analysis]:
    """Two layers on the first picture; then its strongest channel on the pictures it likes best."""
    deep = network.role("deep_layers")[-1]
    layers = (network.role("first_layer"), deep)
    first = [analyses.activations(network, lead, layer, top=9) for layer in layers]
    channel = int(first[1].maps.max(axis=(0, 1)).argmax())
    features = _features(network, many, deep, batch_size)
    return [*first, analyses.channel_pictures(network, features, many, channel=channel)]


def _patches(
    network: Network, many: ArrayPictures, top: int, batch_size: int
) -> Iterator[Analysis]:
    number = len(many.paths)
    layers = network.role("deep_layers")
    swept = sweep.top_patches(
        network.apply, network.params, many, prepare=network.preprocessing.normalize,
        layers=layers, k=min(top, number), batch_size=min(batch_size, number),
    )  # fmt: skip
    for layer in layers:
        for page in analyses.patch_pages(network, swept, many, layer=layer, rows=_ROWS):
            yield _imagined(network, page) if layer == layers[-1] else page


def _imagined(network: Network, page: PatchPage) -> PatchPage:
    """The page with an image that was made for each of its channels, if that can be done."""
    channels = page.channels.tolist()
    try:
        made = analyses.feature_images(
            network, layer=page.layer, channels=channels, steps=_STEPS, batch_size=len(channels)
        )
    except InputError:  # such as a score without a gradient
        return page
    return analyses.beside_patches(page, [made])


def _occlusion(
    classifier: Network, named: Sequence[Picture], target: str | None, fill: str, has_classes: bool
) -> Analysis:
    """The pictures of which the classifier is surest, and what mattered for its answer."""
    if not has_classes:
        raise InputError(f"it has no classes, and {classifier.spec.title} reads RGB")
    best = [analyses.top_classes(classifier, picture.pixels, k=1)[0][1] for picture in named]
    surest = sorted(range(len(named)), key=lambda i: -best[i])[:_EXPLAINED]
    return analyses.occlusion(
        classifier, [named[i] for i in surest], targets=target, window=_WINDOW, stride=_STRIDE,
        fill=fill,
    )  # fmt: skip
