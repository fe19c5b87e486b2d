"""Named tensors become the weights of one of our networks."""

from collections.abc import Mapping

import numpy as np

from .._checks import InputError
from ..networks import catalog
from .ported import Ported
from .stored import Stored, rows

# torchvision's layers, and ours. Its kernels are (out, in, height, width) and (out, in).
_TORCHVISION = {
    "features.0": "conv1",
    "features.3": "conv2",
    "features.6": "conv3",
    "features.8": "conv4",
    "features.10": "conv5",
    "classifier.1": "fc6",
    "classifier.4": "fc7",
    "classifier.6": "fc8",
}
# The layer that reads the flattened last map, and that map's sides: torch flattens (channel, row,
# col), we (row, col, channel). As a convolution that covers the map it is like any other kernel.
_FLATTENED = {"fc6": (6, 6)}


def arranged(
    found: Mapping[str, Stored],
    *,
    written_as: str,
    metadata: Mapping[str, str] | None = None,
    network: str | None = None,
    beside: tuple[str, ...] = (),
) -> Ported:
    """Find the network that the tensors are of, check them against it, and read them.

    Names are torchvision's or ours. `network`, or what the metadata say, decides among several
    networks that they fit. `beside` are names that are known to be left over.
    """
    tensors = _bare(found)
    theirs = _TORCHVISION_NAMES if _is_torchvision(tensors) else {}
    said = metadata or {}
    network = "alexnet" if theirs else _most_alike(tensors, network or said.get("network"))
    shapes = _wanted(network, tensors, theirs)
    named = {name: theirs.get(name, name) for name in shapes}
    missing = [their for their in named.values() if their not in tensors]
    if missing:
        raise InputError(f"does not fit the network {network}; missing: {_listed(missing)}")
    for name, their in named.items():
        expected = as_torch(shapes[name]) if theirs else shapes[name]
        if tensors[their].shape != expected:
            raise InputError(f"{their} has shape {tensors[their].shape}, expected {expected}")
    read: dict[str, np.ndarray] = {}
    for name, their in named.items():
        read[name] = np.empty(shapes[name], np.float32)
        try:
            fill(turned(name, read[name]) if theirs else read[name], tensors[their])
        except InputError as error:
            raise InputError(f"{their}: {error}") from None
    left_over = tuple(name for name in tensors if name not in named.values()) + beside
    return Ported(network, read, {**said, "network": network, "format": written_as}, left_over)


_TORCHVISION_NAMES = {
    f"{layer}.{ours}": f"{their}.{part}"
    for their, layer in _TORCHVISION.items()
    for part, ours in (("weight", "kernel"), ("bias", "bias"))
}


def _bare(found: Mapping[str, Stored]) -> dict[str, Stored]:
    """Names without the "module." that torch's wrappers for several devices add."""
    tensors: dict[str, Stored] = {}
    for name, tensor in found.items():
        bare = name.removeprefix("module.").replace("features.module.", "features.")
        if bare in tensors:
            raise InputError(f"holds two tensors of the name {bare[:80]!r}")
        tensors[bare] = tensor
    return tensors


def _is_torchvision(tensors: Mapping[str, Stored]) -> bool:
    if any(name.startswith("features.") and ".squeeze." in name for name in tensors):
        raise InputError(
            "holds torchvision's SqueezeNet, which expects other pictures than ours; of "
            "torchvision's networks AlexNet is read"
        )
    return any(name in tensors for name in _TORCHVISION_NAMES.values())


def _most_alike(tensors: Mapping[str, Stored], said: str | None) -> str:
    """The network with most of these tensors; among several, the one that is said."""
    shared: dict[str, tuple[int, int]] = {}
    for network in catalog.networks():
        parameters = catalog.parameter_shapes(network)[0]
        names = [name for name in parameters if name in tensors]
        fitting = [name for name in names if tensors[name].shape == tuple(parameters[name].shape)]
        shared[network] = len(fitting), len(names)
    most = max(shared.values())
    if not most[1]:
        raise InputError(f"holds the tensors of no network known here: {_listed(list(tensors))}")
    best = [name for name, counts in shared.items() if counts == most]
    if said not in best and len(best) > 1:
        raise InputError(f"fits {' and '.join(best)} alike; say which with network=")
    return said if said in best else best[0]


def _wanted(
    network: str, tensors: Mapping[str, Stored], theirs: Mapping[str, str]
) -> dict[str, tuple[int, ...]]:
    """The network's parameters; without those at its end, if the file has none of them."""
    complete, *shorter = (
        {name: tuple(value.shape) for name, value in parameters.items()}
        for parameters in catalog.parameter_shapes(network)
    )
    for shapes in shorter:
        if not any(theirs.get(name, name) in tensors for name in complete.keys() - shapes.keys()):
            return shapes
    return complete


def as_torch(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that torch and Caffe give a tensor of this shape of ours."""
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]


def turned(name: str, values: np.ndarray) -> np.ndarray:
    """A view of our tensor in which it has torch's order: (out, in, height, width)."""
    if values.ndim == 1:
        return values
    layer = name.removesuffix(".kernel")
    sides = values.shape[:2] if values.ndim == 4 else _FLATTENED.get(layer, (1, 1))
    return values.reshape(*sides, -1, values.shape[-1]).transpose(3, 2, 0, 1)


def fill(place: np.ndarray, tensor: Stored) -> None:
    """Read a tensor into its place."""
    for part, piece in rows(tensor):
        place[part] = piece.reshape(-1, *place.shape[1:])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(name[:80] for name in names[:4]) + more
