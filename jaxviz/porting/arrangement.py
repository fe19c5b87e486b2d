"""Named tensors become the weights of one of our networks."""

from collections.abc import Mapping

import numpy as np

from .._checks import InputError
from ..networks.registry import networks, parameter_shapes
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
# The layer that reads the flattened last map: torch flattens (channel, row, col), and we
# (row, col, channel). As a convolution that covers the map it is like any other kernel.
_FLATTENED = {"fc6": (6, 6, 256)}


def arranged(
    found: Mapping[str, Stored],
    *,
    written_as: str,
    metadata: Mapping[str, str] | None = None,
    beside: tuple[str, ...] = (),
) -> Ported:
    """Find the network that the tensors are of, check them against it, and read them.

    Names are torchvision's or ours. `beside` are names that are known to be left over.
    """
    tensors = _bare(found)
    theirs = _TORCHVISION_NAMES if _is_torchvision(tensors) else {}
    said = metadata or {}
    network = "alexnet" if theirs else _most_alike(tensors, said.get("network"))
    shapes = _wanted(network, tensors, theirs)
    missing = [theirs.get(name, name) for name in shapes if theirs.get(name, name) not in tensors]
    if missing:
        raise InputError(f"does not fit the network {network}; missing: {_listed(missing)}")
    for name, shape in shapes.items():
        their = theirs.get(name, name)
        expected = _as_torch(shape) if theirs else shape
        if tensors[their].shape != expected:
            raise InputError(f"{their} has shape {tensors[their].shape}, expected {expected}")
    used = {theirs.get(name, name) for name in shapes}
    return Ported(
        network,
        {
            name: _read(theirs.get(name, name), tensors, shape, name if theirs else None)
            for name, shape in shapes.items()
        },
        {**said, "network": network, "format": written_as},
        tuple(name for name in tensors if name not in used) + beside,
    )


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
    """The network with most of these names; among several, the one that the file names."""
    shared = {name: len(parameter_shapes(name)[0].keys() & tensors.keys()) for name in networks()}
    most = max(shared.values())
    if not most:
        raise InputError(f"holds the tensors of no network known here: {_listed(list(tensors))}")
    best = [name for name, count in shared.items() if count == most]
    return said if said in best else best[0]


def _wanted(
    network: str, tensors: Mapping[str, Stored], theirs: Mapping[str, str]
) -> dict[str, tuple[int, ...]]:
    """The network's parameters; without those at its end, if the file has none of them."""
    complete, *shorter = (
        {name: tuple(value.shape) for name, value in parameters.items()}
        for parameters in parameter_shapes(network)
    )
    for shapes in shorter:
        if not any(theirs.get(name, name) in tensors for name in complete.keys() - shapes.keys()):
            return shapes
    return complete


def _as_torch(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]


def _read(
    their: str, tensors: Mapping[str, Stored], shape: tuple[int, ...], turned: str | None
) -> np.ndarray:
    """Read a tensor piece by piece into its place; `turned` is our name of one of torchvision's."""
    values = np.empty(shape, np.float32)
    place, outputs = values, shape[-1]
    if turned and len(shape) > 1:
        layer = turned.removesuffix(".kernel")
        covered = shape[:3] if len(shape) == 4 else _FLATTENED.get(layer, (1, 1, shape[0]))
        place = values.reshape(*covered, outputs).transpose(3, 2, 0, 1)
    try:
        for part, piece in rows(tensors[their]):
            place[part] = piece.reshape(-1, *place.shape[1:])
    except InputError as error:
        raise InputError(f"{their}: {error}") from None
    return values


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(name[:80] for name in names[:4]) + more
