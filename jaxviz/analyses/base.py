"""What all analyses share: their pictures, how they are kept in a file, and how they show.

An analysis is a NamedTuple of arrays, labels and caption fields with two properties: `facts`, short
(what, value) pairs to read beside its figure, and `alt`, a sentence that says what the figure shows
for those who cannot see it. It holds all that its figure needs, so that `load_analyses` brings back
what `jaxviz.draw` can draw without the network and without the pictures.
"""

import hashlib
import importlib
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    Protocol,
    SupportsFloat,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

import jax
import numpy as np
from jaxtyping import jaxtyped
from PIL import Image

from .. import __version__
from .._checks import InputError
from .._typing import Fitted
from ..files import read_arrays, write_arrays
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
    found = []
    for number, source in enumerate(sources, start=1):
        if isinstance(source, Picture):
            found.append(source)
            continue
        preprocessing = network.preprocessing
        pixels = preprocessing.fit(decode(source, preprocessing.samples))
        path = "" if isinstance(source, Image.Image | np.ndarray) else os.fspath(source)
        name = Path(path).stem if path else f"picture {number}"
        digest = hashlib.sha256(Path(path).read_bytes() if path else pixels.tobytes())
        found.append(Picture(name, pixels, path, digest.hexdigest()))
    return found


def normalized(network: "Network", pixels: np.ndarray) -> Any:
    """Normalize fitted uint8 pictures, (batch, height, width, samples), on the device."""
    return network.preprocessing.normalize(jax.numpy.asarray(pixels))


def shown(network: "Network", pixels: np.ndarray) -> np.ndarray:
    """Fitted pictures in RGB, whatever channels the network takes: uint8 (..., 3)."""
    preprocessing = network.spec.preprocessing
    return preprocessing.rgb(pixels) if preprocessing else pixels


def short(name: str, length: int = 16) -> str:
    """A name cut to fit on a line under a small picture."""
    name = " ".join(name.split())
    return name if len(name) <= length else name[: length - 1] + "…"


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


_KINDS: dict[str, type] = {}
_ENTRIES: dict[type, tuple[str, Mapping[str, str]]] = {}
_displays: list[Callable[[Any], bytes]] = []


def kind(name: str, **entries: str) -> Callable[[T], T]:
    """Let a NamedTuple be an analysis, under a name that files will hold.

    Its arrays are entries of the npz, named like their fields; `entries` gives other names, in
    which `{layer}` stands for the field `layer`. The field types are checked when a file is read.
    They may be arrays (a jaxtyping annotation checks the shape too), str, int, float, bool, None,
    tuples of one type, and other NamedTuples of these.
    """

    def add(cls: T) -> T:
        _KINDS[name] = cls
        _ENTRIES[cls] = name, entries
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


def save_analyses(
    path: str | os.PathLike[str], analyses: Sequence[Analysis], provenance: Mapping[str, Any]
) -> Path:
    """Write analyses to an npz, from which `load_analyses` and `jaxviz draw` read them.

    Where two of them would use one entry name, each entry gets its analysis's number and a dot in
    front: `0.scores`, `1.scores`.
    """
    packed = [_packed(analysis, "") for analysis in analyses]
    names = [name for _, arrays in packed for name in arrays]
    if len(set(names)) < len(names):
        packed = [_packed(analysis, f"{i}.") for i, analysis in enumerate(analyses)]
    arrays = {name: value for _, arrays in packed for name, value in arrays.items()}
    records = [record for record, _ in packed]
    return write_arrays(Path(path), arrays, {**provenance, "analyses": records})


def _packed(analysis: Any, prefix: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the JSON record holds of an analysis, and its arrays by entry name."""
    name, entries = _ENTRIES[type(analysis)]
    arrays: dict[str, np.ndarray] = {}

    def plain(value: Any, entry: str) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray | jax.Array):
            arrays[entry] = np.asarray(value)
            return {"array": entry}
        if hasattr(value, "_asdict"):
            return {key: plain(part, f"{entry}.{key}") for key, part in value._asdict().items()}
        if isinstance(value, list | tuple):
            return [plain(part, f"{entry}.{i}") for i, part in enumerate(value)]
        return value

    values = analysis._asdict()
    fields = {
        field: plain(value, prefix + entries.get(field, field).format(**values))
        for field, value in values.items()
    }
    return {"kind": name, "fields": fields}, arrays


def load_analyses(path: str | os.PathLike[str]) -> tuple[list[Any], dict[str, Any]]:
    """Read what `save_analyses` wrote: the analyses and the provenance.

    Nothing in the file is executed. Raises `InputError` for one that is damaged, that jaxviz did
    not write, or whose fields are not those that this version's analyses have.
    """
    arrays, record = read_arrays(Path(path))
    if "analyses" not in record:
        raise InputError(f"{path}: holds no analyses; write it again with this version")
    analyses = []
    try:
        for stored in record.pop("analyses"):
            found: list[tuple[np.ndarray, Any]] = []
            analyses.append(_decoded(stored["fields"], _KINDS[stored["kind"]], arrays, found))
            with jaxtyped("context"):  # sizes of the same name must agree
                for array, hint in found:
                    if not isinstance(array, hint):
                        raise TypeError(f"expected {hint.__name__}, got {array.dtype}{array.shape}")
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not an analysis of this version ({error})") from None
    return analyses, record


def _decoded(
    value: Any, hint: Any, arrays: Mapping[str, np.ndarray], found: list[tuple[np.ndarray, Any]]
) -> Any:
    """Turn what JSON gives into a value of the type `hint`; its arrays are added to `found`."""
    hints = (hint, *get_args(hint))
    if isinstance(value, dict) and value.keys() == {"array"}:
        wanted = [one for one in hints if one is np.ndarray or hasattr(one, "array_type")]
        found += [(arrays[value["array"]], one) for one in wanted]
        if wanted:
            return arrays[value["array"]]
    if isinstance(value, dict):
        cls = next((one for one in hints if hasattr(one, "_fields")), None)
        if cls is None:
            raise TypeError(f"expected {hint}, got {value}")
        types = get_type_hints(cls)
        parts = {
            field: _decoded(part, types[field], arrays, found) for field, part in value.items()
        }
        return cls(**parts)
    if isinstance(value, list):
        inner = next((get_args(one)[0] for one in hints if get_origin(one) is tuple), None)
        value = tuple(_decoded(part, inner, arrays, found) for part in value)
    if not _fits(value, hint):
        raise TypeError(f"expected {hint}, got {str(value)[:80]}")
    return value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value that is no array is of a type; the parts of a tuple were looked at before."""
    parts = get_args(hint)
    if get_origin(hint) is tuple:
        size = len(parts) if parts[-1] is not Ellipsis else None
        return isinstance(value, tuple) and size in (None, len(value))
    if parts:  # a union
        return any(_fits(value, part) for part in parts)
    return isinstance(value, float | int if hint is float else hint)
