"""`load_onnx`: a network from an ONNX file."""

import functools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..._checks import InputError
from ...pictures.preprocessing import Preprocessing
from ..named import name_activations
from ..network import Network
from ..sources import file_digest
from .evaluation import OPERATORS, Param, run, run_each
from .graph import Graph, read_graph
from .values import Node

_MOST_PIXELS = 2**27  # numbers of an image


def load_onnx(
    path: str | os.PathLike[str],
    *,
    image_shape: Sequence[int] | None = None,
    preprocessing: Preprocessing | None = None,
    labels: Sequence[str] = (),
    roles: Mapping[str, Any] | None = None,
    name: str | None = None,
    title: str | None = None,
    pre: bool = False,
) -> Network:
    """Load a network from an ONNX file, with the weights beside it if it keeps them there.

    The file is read with the package `onnx` (pip install jaxviz-cnn[onnx]) and run by JAX: layers
    are named as in the network that was exported, activations are (batch, height, width, channel),
    weights are `params`, and everything differentiates. `jaxviz.networks.onnx.loading.OPERATORS`
    lists the operators.

    Args:
        path: a file of operators of version 7 or newer, with one input, (batch, channel, height,
            width) or (batch, height, width, channel).
        image_shape: (height, width, channel), where the file leaves the sizes open and there is no
            preprocessing.
        preprocessing: how pictures become images; an ONNX file does not say it.
        labels: the class names, in the order of the logits.
        roles: as for `jaxviz.Network`.
        name: a short name, by default the file's.
        title: the name that captions show.
        pre: whether "LAYER:pre" gives the value before the activation function.

    Raises:
        InputError: the file cannot be read, is damaged, wants a file from outside its folder, has
            an operator that is not supported, or sizes that are open.

    >>> import onnx, pathlib, tempfile
    >>> from onnx import helper
    >>> images, scores = (
    ...     helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    ...     for name, shape in (("images", ("N", 3, 8, 8)), ("scores", ("N", 3, 1, 1))))
    >>> pool = helper.make_node("GlobalAveragePool", ["images"], ["scores"])
    >>> graph = helper.make_graph([pool], "mean", [images], [scores])
    >>> version = [helper.make_opsetid("", 17)]
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "mean.onnx"
    >>> onnx.save(helper.make_model(graph, opset_imports=version), path)
    >>> load_onnx(path).layers((8, 8, 3))
    {'pool1': (1, 1, 3)}
    """
    path = Path(path)
    graph = read_graph(path)
    unknown = next((node for node in graph.nodes if node.kind not in OPERATORS), None)
    if unknown:
        raise InputError(
            f"{path}: operator {unknown.kind} (node {unknown.name or unknown.outputs[0]!r}) is not "
            "supported; export the network with other operators, or write it as a function"
        )
    axes = graph.image[1]
    if len(axes) != 4:
        raise InputError(f"{path}: expected images of 4 axes, got an input of shape {axes}")
    if axes[0] not in (None, 1):
        raise InputError(
            f"{path}: takes {axes[0]} images at a time; export it for one, or for any number"
        )
    is_first = _has_channels_first(axes)
    shape = _image_shape(path, axes, is_first, image_shape, preprocessing)
    params = _params(graph)
    function = functools.partial(
        run if axes[0] is None else run_each, graph=graph, params_of=params, is_first=is_first
    )
    try:
        return name_activations(
            function, {one.key: jnp.asarray(one.array) for one in params.values()}, shape,
            preprocessing=preprocessing, labels=labels, roles=roles, name=name or path.stem,
            title=title, pre=pre,
            provenance={"weights": path.name, "sha256": file_digest(path, "sha256")},
        )  # fmt: skip
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _image_shape(
    path: Path,
    axes: Sequence[int | None],
    is_first: bool,
    given: Sequence[int] | None,
    preprocessing: Preprocessing | None,
) -> tuple[int, ...]:
    """The size of images: as the file fixes it, else as it is given."""
    written = (axes[2], axes[3], axes[1]) if is_first else (axes[1], axes[2], axes[3])
    if given is None and preprocessing is not None:
        given = preprocessing.input_shape
    asked = tuple(given) if given is not None else (None, None, None)
    if len(asked) != 3:
        raise InputError(f"image_shape: expected (height, width, channel), got {given!r}")
    shape = []
    for fixed, wanted, name in zip(written, asked, ("height", "width", "channels"), strict=True):
        size = wanted if fixed is None else fixed
        if size is None:
            size = 3 if name == "channels" else None
        if size is None:
            raise InputError(
                f"{path}: leaves the {name} of its images open; pass image_shape=(height, width, "
                "channel) or --size"
            )
        if wanted is not None and wanted != size:
            raise InputError(f"{path}: its images have {size} {name}, not {wanted}")
        shape.append(int(size))
    if math.prod(shape) > _MOST_PIXELS:
        raise InputError(f"{path}: its images are of shape {tuple(shape)}, too large")
    return tuple(shape)


def _params(graph: Graph) -> dict[str, Param]:
    """The weights: arrays of floating-point numbers, their axes as they are computed with."""
    users: dict[str, set[tuple[int, ...]]] = {}
    for node in graph.nodes:
        for place, name in enumerate(node.inputs):
            users.setdefault(name, set()).add(_best_order(node, place, graph.numbers.get(name)))
    params: dict[str, Param] = {}
    keys: set[str] = set()
    for name, array in graph.numbers.items():
        if array.dtype.kind != "f" or array.size < 2 or name not in users:
            continue
        key = name.replace(".", "/").strip("/")
        key = name if not key or key in keys else key
        keys.add(key)
        orders = users[name] - {()}
        order = orders.pop() if len(orders) == 1 else tuple(range(array.ndim))
        back = tuple(order.index(axis) for axis in range(array.ndim))
        params[name] = Param(key, np.ascontiguousarray(np.transpose(array, order)), back)
    return params


def _best_order(node: Node, place: int, array: np.ndarray | None) -> tuple[int, ...]:
    """In what order an operator reads the axes of its weights."""
    if array is None:
        return ()
    if node.kind == "Conv" and place == 1 and array.ndim > 2:
        return (*range(2, array.ndim), 1, 0)
    if node.kind == "Gemm" and place == 1 and node.get("transB", 0) and array.ndim == 2:
        return (1, 0)
    return tuple(range(array.ndim))


def fixed_size(path: Path) -> int | None:
    """The height of the images that an ONNX file fixes, if it is their width, too."""
    axes = read_graph(path).image[1]
    if len(axes) != 4:
        return None
    height, width = axes[2:] if _has_channels_first(axes) else axes[1:3]
    return height if height == width else None


def _has_channels_first(axes: Sequence[int | None]) -> bool:
    """Whether images are (batch, channel, height, width), as nearly all files have them."""
    is_square_behind, is_square_before = axes[2] == axes[3], axes[1] == axes[2]
    if is_square_behind != is_square_before:
        return is_square_behind
    return not (axes[3] in (1, 3, 4) and axes[1] not in (1, 3, 4))
