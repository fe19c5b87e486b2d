"""What all analyses share: their pictures, how they are kept and how they show.

An analysis is a NamedTuple of arrays, labels and caption fields with two properties: `facts`, short
(what, value) pairs to read beside its figure, and `alt`, a sentence that says what the figure shows
for those who cannot see it. It holds all that its figure needs, so that `load_analyses` brings back
what `jaxviz.draw` can draw without the network and without the pictures.
"""

import hashlib
import importlib
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    Protocol,
    SupportsFloat,
    TypeVar,
    runtime_checkable,
)

import jax
import numpy as np
from PIL import Image

from .. import __version__
from .._checks import InputError
from .._typing import Fitted
from ..pictures.decoding import Source, decode

if TYPE_CHECKING:
    from ..networks.network import Network

T = TypeVar("T", bound=type)


@runtime_checkable
class Analysis(Protocol):
    """What was computed of a network and its pictures, ready to be drawn."""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Short (what, value) pairs to read beside the figure."""

    @property
    def alt(self) -> str:
        """What the figure shows, in a sentence."""


class Picture(NamedTuple):
    """A picture as a network gets it.

    `name` is for captions, `pixels` are uint8 (crop, crop, 3), or the samples of other channels,
    `path` is empty where the picture came from no file, `sha256` is that of the file, or else of
    the pixels.
    """

    name: str
    pixels: Fitted
    path: str
    sha256: str


def read_pictures(network: "Network", sources: Iterable[Source | Picture]) -> list[Picture]:
    """Read pictures from paths, PIL images or uint8 arrays; those already read stay as they are."""
    sources = list(sources)
    paths = [
        "" if isinstance(one, Picture | Image.Image | np.ndarray) else os.fspath(one)
        for one in sources
    ]
    names = distinct_names([*map(Path, paths)])
    found = []
    for number, (source, path, name) in enumerate(zip(sources, paths, names, strict=True), start=1):
        if isinstance(source, Picture):
            found.append(source)
            continue
        preprocessing = network.preprocessing
        pixels = preprocessing.fit(decode(source, preprocessing.samples))
        digest = hashlib.sha256(Path(path).read_bytes() if path else pixels.tobytes())
        found.append(Picture(name or f"picture {number}", pixels, path, digest.hexdigest()))
    return found


def picture_fields(network: "Network", read: Sequence[Picture]) -> dict[str, Any]:
    """What an analysis keeps of its pictures, by the fields; refuse pictures of several sizes."""
    if len({one.pixels.shape for one in read}) > 1:
        shapes = ", ".join(" x ".join(map(str, one.pixels.shape)) for one in read)
        raise InputError(f"pictures: expected all of one size, got {shapes}")
    return {
        "pictures": tuple(one.name for one in read),
        "paths": tuple(one.path for one in read),
        "sha256": tuple(one.sha256 for one in read),
        "pixels": shown(network, np.stack([one.pixels for one in read])),
    }


def normalized(network: "Network", pixels: np.ndarray) -> Any:
    """Normalize fitted uint8 pictures, (batch, height, width, samples), on the device."""
    return network.preprocessing.normalize(jax.numpy.asarray(pixels))


def shown(network: "Network", pixels: np.ndarray) -> np.ndarray:
    """Fitted pictures in RGB, whatever channels the network takes: uint8 (..., 3)."""
    preprocessing = network.spec.preprocessing
    return preprocessing.rgb(pixels) if preprocessing else pixels


def channel_titles(network: "Network", layer: str, channels: Sequence[int]) -> tuple[str, ...]:
    """What stands beside channels of a layer: the classes' names where these are class scores."""
    has_classes = layer == network.spec.logits
    return tuple(network.label(one) if has_classes else f"channel {one}" for one in channels)


def short(name: str, length: int = 16) -> str:
    """A name cut to fit on a line under a small picture."""
    name = " ".join(name.split())
    return name if len(name) <= length else name[: length - 1] + "…"


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The name of each file for captions; with its folder's, where several have the same name.

    >>> distinct_names([Path("a/1.png"), Path("b/1.png"), Path("b/2.png")])
    ['a/1', 'b/1', '2']
    """
    times = Counter(path.stem for path in paths)

    def name(path: Path) -> str:
        folder = path.parent.name if times[path.stem] > 1 else ""
        return f"{folder}/{path.stem}" if folder else path.stem

    return [name(path) for path in paths]


def number(value: SupportsFloat) -> str:
    """A number as captions show it, with three significant digits."""
    return f"{float(value):.3g}"


def provenance(network: "Network", options: dict[str, Any]) -> dict[str, Any]:
    """Everything a stranger needs to make the same numbers again."""
    return {
        **network.provenance,
        "options": options,
        "jaxviz": __version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
    }


KINDS: dict[str, type] = {}
ENTRIES: dict[type, tuple[str, Mapping[str, str]]] = {}
_displays: list[Callable[[Any], bytes]] = []


def kind(name: str, **entries: str) -> Callable[[T], T]:
    """Let a NamedTuple be an analysis, under a name that files will hold.

    Its arrays are entries of the npz, named like their fields; `entries` gives other names, in
    which `{layer}` stands for the field `layer`. The field types are checked when a file is read.
    They may be arrays (a jaxtyping annotation checks the shape too), str, int, float, bool, None,
    tuples of one type, and other NamedTuples of these.
    """

    def add(cls: T) -> T:
        KINDS[name] = cls
        ENTRIES[cls] = name, entries
        cls._repr_png_ = _png  # type: ignore[attr-defined]
        return cls

    return add


def register_display(png: Callable[[Any], bytes]) -> None:
    """Let `png` draw the analyses that a notebook shows."""
    _displays[:] = [png]


def _png(analysis: Any) -> bytes:
    if not _displays:
        importlib.import_module("jaxviz.draw")  # it is above this room, and registers itself
    return _displays[0](analysis)
