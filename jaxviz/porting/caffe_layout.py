"""Weights in Caffe's layout become ours: its axes are torch's, and it feeds blue, green, red."""

from collections.abc import Callable, Mapping

import numpy as np

from .._checks import InputError
from ..networks import catalog
from .arrangement import as_torch, fill, turned
from .ported import Ported
from .stored import Stored

FIRST = "conv1.kernel"  # the one that reads colors


def parameters(network: str) -> dict[str, tuple[int, ...]]:
    """The parameters of one of Caffe's AlexNets by our names, with the shapes Caffe gives them."""
    complete = catalog.parameter_shapes(network)[0]
    return {name: as_torch(tuple(value.shape)) for name, value in complete.items()}


def place_for(name: str, values: np.ndarray) -> np.ndarray:
    """A view of our tensor in Caffe's order: (out, in, height, width), colors from blue to red."""
    view = turned(name, values)
    return view[:, ::-1] if name == FIRST else view


def from_caffe_layout(
    network: str,
    find: Callable[[str, tuple[int, ...]], Stored],
    metadata: Mapping[str, str],
    left_over: tuple[str, ...] = (),
) -> Ported:
    """Read all parameters of a network; `find` gives one by our name and Caffe's shape."""
    shapes = parameters(network)
    tensors: dict[str, np.ndarray] = {}
    found = {name: find(name, shape) for name, shape in shapes.items()}
    for name, value in catalog.parameter_shapes(network)[0].items():
        tensors[name] = np.empty(value.shape, np.float32)
        try:
            fill(place_for(name, tensors[name]), found[name])
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    return Ported(network, tensors, {**metadata, "network": network}, left_over)
