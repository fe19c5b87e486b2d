"""The tour: all six techniques on a few photographs, as one self-contained HTML page."""

import base64
import datetime
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
from PIL import Image

from .. import draw
from ..files import claim_folder, write_manifest, write_whole
from ..networks.network import Network
from ..pictures.folders import Loaded, Skipped, find_pictures, load_pictures
from . import folders, single
from .exhibit import Exhibit, Picture, provenance
from .folders import Track, untracked

_FEATURED = ("astronaut", "chelsea", "coffee", "kingfisher", "china", "macaw")
_ENOUGH = 12  # with fewer pictures than this the examples join them where many are compared
_EXPLAINED = 4  # pictures to occlude
_WINDOW, _STRIDE = 32, 8


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
    """One technique: the key of its text in the page, and its figures."""

    key: str
    plates: list[Plate]


def example_folder() -> Path:
    """The example photographs: inside the package when installed, beside it in a clone."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "examples"
    return inside if inside.is_dir() else package.parent / "examples" / "images"


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
    track: Track = untracked,
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
    labels = folders.labels_of(many) if folders.labels_of(own) else None
    leads = [Picture(path.stem, pixels) for path, pixels in zip(own.paths, own.pixels, strict=True)]
    seen = load_pictures(own.paths[: len(_FEATURED)], classifier.preprocessing)
    named = [Picture(p.stem, pixels) for p, pixels in zip(seen.paths, seen.pixels, strict=True)]

    steps = [
        ("pictures", lambda: []),
        ("first", lambda: [single.filters(network, network.role("first_layer"), top=10**6)]),
        ("middle", lambda: [single.filters(network, network.role("middle_layer"), top=8)]),
        ("neighbors", lambda: [_neighbors(network, many, labels, top, batch_size)]),
        ("activations", lambda: _activations(network, leads, many, batch_size)),
        ("patches", lambda: _patches(network, many, top, batch_size)),
        ("occlusion", lambda: [_occlusion(classifier, named, target)]),
    ]
    sections = []
    cards: list[Card] = []
    for key, make in track(steps, len(steps), "tour"):
        if key == "pictures":
            cards = [_card(classifier, picture) for picture in named]
            continue
        sections.append(Section(key, [_plate(exhibit) for exhibit in make()]))
    options = {"window": _WINDOW, "stride": _STRIDE, "fill": "mean", "top": top, "target": target}
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
        count=len(many.paths), own=len(own.paths), window=_WINDOW, stride=_STRIDE,
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


def _card(classifier: Network, picture: Picture) -> Card:
    buffer = io.BytesIO()
    Image.fromarray(picture.pixels).save(buffer, "JPEG", quality=88)
    classes = single.top_classes(classifier, picture.pixels)
    lines = [Class(classifier.label(index), value) for index, value in classes]
    return Card(picture.name, _data_address(buffer.getvalue(), "jpeg"), lines)


def _plate(exhibit: Exhibit) -> Plate:
    return Plate(_data_address(draw.png(exhibit.figure), "png"), exhibit.alt, exhibit.facts)


def _neighbors(
    network: Network, many: Loaded, labels: list[str] | None, top: int, batch_size: int
) -> Exhibit:
    layer = network.role("feature_layer")
    queries = range(min(4, len(many.paths)))
    return folders.neighbors(
        network, many, layer, top=top, queries=queries, labels=labels, batch_size=batch_size
    )


def _activations(
    network: Network, leads: Sequence[Picture], many: Loaded, batch_size: int
) -> list[Exhibit]:
    """Two layers on the first picture; then its strongest channel on the pictures it likes best."""
    deep = network.role("deep_layers")[-1]
    layers = (network.role("first_layer"), deep)
    first = [single.activations(network, leads[0], layer, top=9) for layer in layers]
    channel = int(first[1].arrays[f"{deep}.maps"].max(axis=(0, 1)).argmax())
    return [*first, folders.one_channel(network, many, deep, channel, batch_size=batch_size)]


def _patches(network: Network, many: Loaded, top: int, batch_size: int) -> list[Exhibit]:
    exhibits, _ = folders.patches(
        network, many, network.role("deep_layers"), top=top, rows=7, batch_size=batch_size
    )
    return exhibits


def _occlusion(classifier: Network, named: Sequence[Picture], target: str | None) -> Exhibit:
    """The pictures of which the classifier is surest, and what mattered for its answer."""
    best = [single.top_classes(classifier, picture.pixels, k=1)[0][1] for picture in named]
    surest = sorted(range(len(named)), key=lambda i: -best[i])[:_EXPLAINED]
    return single.occlusion(
        classifier,
        [named[i] for i in surest],
        targets=[target] * len(surest),
        window=_WINDOW,
        stride=_STRIDE,
    )
