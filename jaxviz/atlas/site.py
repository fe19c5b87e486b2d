"""The atlas of some networks as a folder: made beside the one before, put in its place whole."""

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import sweep
from .._checks import InputError
from .._typing import Progress
from ..analyses import provenance
from ..analyses.collection import names_of
from ..files import claim_folder, only_run, read_manifest, write_manifest, write_whole
from ..networks.network import Network
from ..networks.table import LayerInfo, layer_table
from ..pictures.folders import Skipped
from ..pictures.sets import PictureSet
from ..sweep import ChannelImages, Surveyed
from .layers import Photographs, picture_order, script, write_layer, write_thumbnails

KIND = "atlas"
_STATIC = Path(__file__).parent / "static"
_SHARED = Path(__file__).parents[1] / "explore" / "static"  # the explorer's look is the atlas's too
_WORK = "unfinished"
_MOST_THUMBNAILS = 1024  # 4 kB each; the pictures after these are known by name alone

Counter = Callable[[str], contextlib.AbstractContextManager[Progress]]


class AtlasNetwork(NamedTuple):
    """A network of an atlas, its layers, its pictures and, if they have labels, each one's."""

    network: Network
    layers: Sequence[str]
    pictures: PictureSet
    labels: Sequence[str] | None


def write_atlas(
    folder: Path,
    parts: Sequence[AtlasNetwork],
    *,
    top: int = 9,
    imagine: bool = False,
    steps: int = 128,
    batch_size: int | None = None,
    save_every: int = 100,
    restart: bool = False,
    counter: Counter | None = None,
) -> list[list[Skipped]]:
    """Write `folder`/index.html and all that it shows; return what was skipped, for each network.

    Of each channel the page shows the `top` patches, and with `imagine` an image that is made in
    so many `steps`. Until all is there, the work is kept in `folder`/unfinished, where it is taken
    up again, unless it shall `restart`; an atlas that was there before stays until then.

    Raises `InputError` if the folder is not an atlas of ours, or holds work that was begun with
    other pictures, weights or options.
    """
    folder = claim_folder(folder)
    kind = read_manifest(folder).get("kind", KIND)
    if kind != KIND:
        raise InputError(f"{folder}: holds {kind}; name another folder")
    counter = counter or _silent
    with only_run(folder):
        work = folder / _WORK
        if restart:
            shutil.rmtree(work, ignore_errors=True)
        if not read_manifest(folder):
            write_manifest(folder, {"kind": KIND, "complete": False})
        keys = _file_names([part.network.name for part in parts])
        told, skipped, records = [], [], []
        for key, part in zip(keys, parts, strict=True):
            place = _Place(work / "state" / key, work / "data" / key, key)
            with counter(part.network.spec.title) as progress:
                surveyed = sweep.survey(
                    part.network.apply, part.network.params, part.pictures,
                    prepare=part.network.preprocessing.normalize, layers=part.layers, k=top,
                    labels=part.labels, batch_size=batch_size, folder=place.work / "survey",
                    save_every=save_every, progress=progress,
                )  # fmt: skip
            made = _made(part, place.work / "images", steps, counter) if imagine else {}
            with counter(f"{part.network.spec.title} sheets") as progress:
                told.append(_write_network(place, part, surveyed, made, progress))
            options = {"layers": list(part.layers), "top": top, "imagine": imagine and steps}
            records.append(_without_folders(provenance(part.network, options)))
            skipped.append(surveyed.skipped)
        write_whole(work / "data" / "index.js", script("index", {"networks": told}))
        _put_in_place(folder, work)
        write_manifest(folder, {"kind": KIND, "complete": True, "networks": records})
        shutil.rmtree(work)
    return skipped


class _Place(NamedTuple):
    """Where a network's work is saved, where its files go, and its key, the name of its folder."""

    work: Path
    data: Path
    key: str


@contextlib.contextmanager
def _silent(title: str) -> Any:
    yield lambda done, total: None


def _file_names(names: Sequence[str]) -> list[str]:
    """A file name for each, no two alike, of characters that no address needs to escape.

    >>> _file_names(["conv1", "fire2/concat", "fire2_concat"])
    ['conv1', 'fire2-concat', 'fire2_concat']
    """
    found: list[str] = []
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-._")[:80] or "network"
        taken = {one.lower() for one in found}
        stems = (stem, *(f"{stem}-{number}" for number in range(2, len(names) + 3)))
        found.append(next(one for one in stems if one.lower() not in taken))
    return found


def _made(
    part: AtlasNetwork, folder: Path, steps: int, counter: Counter
) -> dict[str, ChannelImages]:
    network = part.network
    with counter(f"{network.spec.title} images") as progress:
        return sweep.feature_images(
            network.apply, network.params, layers=part.layers, key=jax.random.key(0),
            image_shape=network.preprocessing.fitted_shape,
            prepare=network.preprocessing.normalize, steps=steps, folder=folder,
            progress=progress,
        )  # fmt: skip


def _write_network(
    place: _Place,
    part: AtlasNetwork,
    surveyed: Surveyed,
    made: Mapping[str, ChannelImages],
    progress: Progress,
) -> dict[str, Any]:
    """Write a network's files; return what the page's index says of it."""
    network, pictures = part.network, part.pictures
    order = picture_order(list(surveyed.found.values()), len(pictures.paths))
    numbers = np.full(len(pictures.paths) + 1, -1)  # the last is that of no picture
    numbers[order] = np.arange(len(order))
    photographs = Photographs(network, pictures)
    wanted = set(part.layers)
    infos = [one for one in layer_table(network).layers if one.name in wanted]
    files = [f"{i:02}-{name}" for i, name in enumerate(_file_names([one.name for one in infos]))]
    channels = sum(len(one.values) for one in surveyed.found.values())
    done = _Done(place.work / "layers.json", bool(made))
    written = 0
    for info, file in zip(infos, files, strict=True):
        target = place.data / file
        if file not in done.files or not target.with_name(f"{file}.js").is_file():
            shutil.rmtree(target, ignore_errors=True)
            write_layer(
                target, f"{place.key}/{file}", network, info, surveyed.found[info.name],
                surveyed.means[info.name], numbers=numbers, photographs=photographs,
                labeled=bool(surveyed.labels), made=made.get(info.name),
            )  # fmt: skip
            done.add(file)
        written += len(surveyed.found[info.name].values)
        progress(written, channels)
    names = [_address(_relative(one)) for one in names_of(pictures.paths).paths[order].tolist()]
    content: dict[str, Any] = {
        "names": names,
        "sheets": {
            "pictures": write_thumbnails(
                place.data / "pictures", order[:_MOST_THUMBNAILS].tolist(), photographs
            )
        },
    }
    if surveyed.labels:
        known = {name: number for number, name in enumerate(surveyed.labels)}
        assert part.labels is not None
        content["labels"] = [known[str(part.labels[one])] for one in order]
    write_whole(place.data / "pictures.js", script(f"{place.key}/pictures", content))
    return {
        "key": place.key, "name": network.name, "title": network.spec.title,
        "pictures": int(surveyed.counts.sum()), "skipped": len(surveyed.skipped),
        "labels": list(zip(map(_address, surveyed.labels), surveyed.counts.tolist(), strict=False)),
        "image": list(network.preprocessing.fitted_shape[:2]),
        "layers": [_told(network, *one) for one in zip(infos, files, strict=True)],
    }  # fmt: skip


def _told(network: Network, info: LayerInfo, file: str) -> dict[str, Any]:
    """What the page's index says of a layer.

    `repeats` says that its channels are those of earlier layers again, pooled or put together,
    `titled` that they have the names of classes.
    """
    field = info.receptive_field
    return {
        "name": info.name, "file": file, "shape": list(info.shape), "kind": info.kind,
        "sees": list(field.size), "whole": field.stride == (0, 0),
        "repeats": info.kind in ("pool", "concat") and len(info.shape) == 3,
        "titled": info.name == network.spec.logits,
    }  # fmt: skip


class _Done:
    """The layers whose files are written, remembered from run to run."""

    def __init__(self, path: Path, with_images: bool) -> None:
        self._path, self._with_images = path, with_images
        self.files: list[str] = []
        with contextlib.suppress(OSError, ValueError, KeyError):
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["with_images"] == with_images:
                self.files = kept["files"]

    def add(self, file: str) -> None:
        """Remember one more."""
        self.files.append(file)
        content = {"with_images": self._with_images, "files": self.files}
        write_whole(self._path, json.dumps(content).encode())


def _put_in_place(folder: Path, work: Path) -> None:
    """Put the finished data in place of those before, then the page."""
    data = folder / "data"
    if data.is_dir():
        data.rename(work / "before")
    (work / "data").rename(data)
    shared = [_SHARED / name for name in ("explorer.css", "icon.svg")]
    for path in [*shared, *sorted(_STATIC.iterdir())]:
        if path.name != "index.html":
            write_whole(folder / "static" / path.name, path.read_bytes())
    write_whole(folder / "index.html", (_STATIC / "index.html").read_bytes())


def _address(name: str) -> str:
    r"""A name that an address can hold: bytes that are no UTF-8 are written as escapes.

    >>> _address("kitten \udcff")
    'kitten \\udcff'
    """
    return name.encode(errors="backslashreplace").decode()


def _relative(path: str) -> str:
    """A picture's name below the folder of all; never a place on this disk."""
    return Path(path).name if Path(path).is_absolute() else path


def _without_folders(value: Any) -> Any:
    """A record in which whatever names a place on this disk has its last part alone."""
    if isinstance(value, Mapping):
        return {key: _without_folders(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(one) for one in value]
    return _relative(value) if isinstance(value, str) else value
