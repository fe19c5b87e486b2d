"""Tensors of a foreign file become the weights of one of our networks: names, axes and colors."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from .._checks import InputError
from ..networks import catalog
from .foreign_names import foreign_names, foreign_network
from .stored import Stored, rows

# The layer that reads the flattened last map, and that map's sides: torch flattens (channel, row,
# col), we (row, col, channel). As a convolution that covers the map it is like any other kernel.
_FLATTENED = {"fc6": (6, 6)}
_COLORS = "conv1.kernel"  # the one kernel that reads colors
_WRAPPERS = ("module", "_orig_mod")  # what DataParallel and torch.compile put into names, anywhere
_MOST_PARTS = 4
_ENOUGH = 8  # so many known names are no accident


class Ported(NamedTuple):
    """Weights of a foreign file, arranged for one of our networks.

    `network` is a name that `load` knows. `tensors` are float32, in C order, by our flat names
    ("conv1.kernel", "fc6.bias"): convolutions as (height, width, in, out), dense layers as
    (in, out). `metadata` says where they come from. `left_over` are the names in the file that the
    network has no place for.
    """

    network: str
    tensors: dict[str, np.ndarray]
    metadata: dict[str, str]
    left_over: tuple[str, ...] = ()


def from_names(
    stored: Mapping[str, Stored],
    *,
    written_as: str,
    metadata: Mapping[str, str] | None = None,
    network: str | None = None,
    left_over: tuple[str, ...] = (),
) -> Ported:
    """Find the network that the tensors are of, check them against it, and read them.

    Names are torchvision's, those of EfficientNet-Lite in torch, or ours. `network`, or what the
    metadata say, decides among several networks that they fit. `left_over` are names that are
    known to have no place.
    """
    tensors = _with_bare_names(stored)
    metadata = metadata or {}
    foreign = foreign_network(tensors)
    theirs = foreign_names()[foreign] if foreign else {}
    network = foreign or _best_fit(tensors, network or metadata.get("network"))
    shapes = _shapes_in(tensors, network, theirs)
    names = {name: theirs.get(name, name) for name in shapes}
    missing = [name for name in names.values() if name not in tensors]
    if missing:
        raise InputError(f"does not fit the network {network}; missing: {_listed(missing)}")
    for ours, name in names.items():
        expected = torch_shape(shapes[ours]) if theirs else shapes[ours]
        if tensors[name].shape != expected:
            raise InputError(f"{name} has shape {tensors[name].shape}, expected {expected}")
    arrays = _read(
        shapes,
        {ours: (name, tensors[name]) for ours, name in names.items()},
        in_torch_order if theirs else lambda _, values: values,
    )
    left_over = tuple(name for name in tensors if name not in names.values()) + left_over
    return Ported(
        network, arrays, {**metadata, "network": network, "format": written_as}, left_over
    )


def from_caffe_layout(
    network: str,
    find: Callable[[str, tuple[int, ...]], Stored],
    metadata: Mapping[str, str],
    left_over: tuple[str, ...] = (),
) -> Ported:
    """Read all parameters of a network; `find` gives one by our name and Caffe's shape."""
    stored = {name: (name, find(name, shape)) for name, shape in caffe_shapes(network).items()}
    arrays = _read(_shapes(network)[0], stored, in_caffe_order)
    return Ported(network, arrays, {**metadata, "network": network}, left_over)


def _read(
    shapes: Mapping[str, tuple[int, ...]],
    stored: Mapping[str, tuple[str, Stored]],
    order: Callable[[str, np.ndarray], np.ndarray],
) -> dict[str, np.ndarray]:
    """Our arrays, each filled by a tensor, whose name errors say, in the file's order of axes."""
    arrays: dict[str, np.ndarray] = {}
    for ours, (name, tensor) in stored.items():
        arrays[ours] = np.empty(shapes[ours], np.float32)
        place = order(ours, arrays[ours])
        try:
            for part, piece in rows(tensor):
                place[part] = piece.reshape(-1, *place.shape[1:])
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    return arrays


def num_known(names: Iterable[str]) -> int:
    """How many of these names are parameters of a network here, whatever is before them."""
    known = _known_names()
    return sum(any(end in known for end in _ends(_without_wrappers(name))) for name in names)


def _with_bare_names(stored: Mapping[str, Stored]) -> dict[str, Stored]:
    """The tensors by the network's own names, without what modules around it put before them."""
    plain = {name: _without_wrappers(name) for name in stored}
    before = _common_start(plain.values())
    tensors: dict[str, Stored] = {}
    for name, tensor in stored.items():
        bare = plain[name].removeprefix(before)
        if bare in tensors:
            raise InputError(f"holds two tensors of the name {bare[:80]!r}")
        tensors[bare] = tensor
    return tensors


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _common_start(names: Iterable[str]) -> str:
    """What stands before most names that are known: "model." in a module that has the network."""
    known = _known_names()
    starts: Counter[str] = Counter()
    for name in names:
        end = next((end for end in _ends(name) if end in known), None)
        if end:
            starts[name.removesuffix(end)] += 1
    best = [start for start, count in starts.items() if count == max(starts.values())]
    if len(best) > 1 and starts[best[0]] >= _ENOUGH:
        listed = " and ".join(repr(start[:80]) for start in best[:4])
        raise InputError(f"holds several networks alike, under {listed}; save one of them alone")
    return min(best, key=len, default="")


def _ends(name: str) -> Iterator[str]:
    """What a name may end with, from the longest: its last parts, as many as names here have."""
    parts = name.split(".")[-_MOST_PARTS:]
    return (".".join(parts[i:]) for i in range(len(parts)))


def _known_names() -> frozenset[str]:
    ours = (name for network in catalog.networks() for name in _shapes(network)[0])
    theirs = (name for names in foreign_names().values() for name in names.values())
    return frozenset([*theirs, *ours])


def _best_fit(tensors: Mapping[str, Stored], preferred: str | None) -> str:
    """The network with most of these tensors; of several equal ones the preferred one."""
    fits: dict[str, tuple[int, int]] = {}
    for network in catalog.networks():
        shapes = _shapes(network)[0]
        names = [name for name in shapes if name in tensors]
        fits[network] = sum(tensors[name].shape == shapes[name] for name in names), len(names)
    most = max(fits.values())
    if not tensors:
        raise InputError("holds no tensors")
    if not most[1]:
        raise InputError(f"holds the tensors of no network known here: {_listed(list(tensors))}")
    best = [name for name, counts in fits.items() if counts == most]
    if preferred not in best and len(best) > 1:
        raise InputError(f"fits {' and '.join(best)} alike; say which with network=")
    return preferred if preferred in best else best[0]


def _shapes_in(
    tensors: Mapping[str, Stored], network: str, theirs: Mapping[str, str]
) -> dict[str, tuple[int, ...]]:
    """The network's parameters; without those at its end, if the file has none of them."""
    complete, *shorter = _shapes(network)
    for shapes in shorter:
        if not any(theirs.get(name, name) in tensors for name in complete.keys() - shapes.keys()):
            return shapes
    return complete


def _shapes(network: str) -> list[dict[str, tuple[int, ...]]]:
    return [
        {name: tuple(value.shape) for name, value in parameters.items()}
        for parameters in catalog.parameter_shapes(network)
    ]


def caffe_shapes(network: str) -> dict[str, tuple[int, ...]]:
    """The parameters of one of Caffe's AlexNets by our names, with the shapes Caffe gives them."""
    return {name: torch_shape(shape) for name, shape in _shapes(network)[0].items()}


def torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that torch and Caffe give a tensor of this shape of ours."""
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]


def in_torch_order(name: str, values: np.ndarray) -> np.ndarray:
    """A view of our tensor in torch's order: (out, in, height, width)."""
    if values.ndim == 1:
        return values
    layer = name.removesuffix(".kernel")
    sides = values.shape[:2] if values.ndim == 4 else _FLATTENED.get(layer, (1, 1))
    return values.reshape(*sides, -1, values.shape[-1]).transpose(3, 2, 0, 1)


def in_caffe_order(name: str, values: np.ndarray) -> np.ndarray:
    """A view of our tensor in Caffe's order: torch's, and colors from blue to red."""
    view = in_torch_order(name, values)
    return view[:, ::-1] if name == _COLORS else view


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(name[:80] for name in names[:4]) + more
