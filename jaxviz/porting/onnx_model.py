"""Reading ONNX models of Caffe's AlexNets, as ONNX's model zoo has them, in opsets 3 to 12.

The graph is followed from its input, node by node, and must compute what our network computes.
"""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._checks import InputError
from ..networks.caffe_alexnet import CONVOLUTIONS, DENSE
from .arrangement import Ported, from_caffe_layout
from .onnx_graph import Graph, Node, Tensor, read_graph
from .protobuf import Wire
from .source import Source, opened
from .stored import Stored

_PASSING = ("Dropout", "Identity")  # do nothing when a network is only evaluated
_NO_PADS = (0, 0, 0, 0)


class _Step(NamedTuple):
    """An operation that must come next: any of `kinds`, with attributes (value, default)."""

    kinds: tuple[str, ...]
    layer: str
    attributes: dict[str, tuple[Any, Any]]


def port_onnx(path: str | os.PathLike[str]) -> Ported:
    """Read an ONNX model that computes Caffe's AlexNet, or its caffenet.

    Pictures are of 227 pixels a side, or of 224 as in the model zoo, whose pools drop what does not
    fill a window; the metadata's `geometry` says so, and `load` runs it in that way. fc6 gets rows
    in (row, col, channel) order, and conv1 reads RGB.

    Raises `InputError` if the file is damaged, if its graph computes anything else, or if a tensor
    is missing or has another shape.
    """
    with opened(path) as source:
        return _port(source)


def _port(source: Source) -> Ported:
    graph = read_graph(Wire(source))
    making = [node for node in graph.nodes if node.kind in ("Constant", "ConstantOfShape")]
    nodes = [node for node in graph.nodes if node.kind not in ("Constant", "ConstantOfShape")]
    side = _side(graph, nodes)
    network = "caffenet" if [node.kind for node in nodes[2:3]] == ["MaxPool"] else "caffe_alexnet"
    layers = _follow(nodes, _steps(network, side))
    made = {node.outputs[0]: node for node in making if node.outputs}
    used = {name for node in graph.nodes for name in node.inputs}

    def find(parameter: str, shape: tuple[int, ...]) -> Stored:
        layer, part = parameter.split(".")
        place = 1 + (part == "bias")
        names = layers[layer].inputs
        if len(names) <= place:
            raise InputError(f"does not fit {network}: {layer} has no {part}")
        name = names[place]
        if name in made:
            return _made(graph, made[name], shape)
        if name not in graph.tensors:
            raise InputError(f"{layer} reads {name[:80]!r}, which the file does not hold")
        return graph.tensors[name].stored(shape)

    metadata = {"format": "ONNX", "opset": str(graph.opset)}
    if side == 224:
        metadata["geometry"] = "224"
    left_over = tuple(name[:80] for name in graph.tensors if name not in used)
    return from_caffe_layout(network, find, metadata, left_over)


def _side(graph: Graph, nodes: list[Node]) -> int:
    """How many pixels its pictures have a side."""
    name = nodes[0].inputs[0] if nodes and nodes[0].inputs else ""
    shape = graph.inputs.get(name, [])
    if len(shape) != 4 or shape[1:] not in ([3, 224, 224], [3, 227, 227]):
        wanted = "(batch, 3, 224, 224) or (batch, 3, 227, 227)"
        raise InputError(f"its graph takes pictures of shape {tuple(shape[:8])}, expected {wanted}")
    return shape[2]


def _steps(network: str, side: int) -> Iterator[_Step]:
    """What the network does, in order, where each operation rounds down."""
    for layer, _, _, kernel, stride, padding, groups, norm, pool in CONVOLUTIONS:
        settings = {
            "kernel_shape": ((kernel, kernel), (kernel, kernel)),
            "strides": ((stride, stride), (1, 1)),
            "pads": ((padding,) * 4, _NO_PADS),
            "group": ((groups,), (1,)),
        }
        yield _Step(("Conv",), layer, settings | _COMMON)
        yield _Step(("Relu",), layer, {})
        for after in (pool, norm) if network == "caffenet" else (norm, pool):
            if after and after == norm:
                yield _Step(("LRN",), norm, _NORM)
            elif after:
                pads = (0, 0, 1, 1) if (side, after) == (224, "pool5") else _NO_PADS
                yield _Step(("MaxPool",), after, _POOL | {"pads": (pads, _NO_PADS)})
    yield _Step(("Reshape", "Flatten"), "fc6", {})
    for layer, *_ in DENSE:
        yield _Step(("Gemm",), layer, _GEMM)
        if layer != "fc8":
            yield _Step(("Relu",), layer, {})


_COMMON = {"dilations": ((1, 1), (1, 1)), "auto_pad": ("NOTSET", "NOTSET")}
_NORM = {
    "size": ((5,), ()), "alpha": ((1e-4,), (1e-4,)), "beta": ((0.75,), (0.75,)),
    "bias": ((1,), (1,)),
}  # fmt: skip
_POOL = _COMMON | {
    "kernel_shape": ((3, 3), ()), "strides": ((2, 2), (1, 1)), "ceil_mode": ((0,), (0,)),
    "storage_order": ((0,), (0,)),
}  # fmt: skip
_GEMM = {
    "alpha": ((1,), (1,)), "beta": ((1,), (1,)), "transA": ((0,), (0,)), "transB": ((1,), (0,)),
    "broadcast": ((1,), (1,)),  # in old opsets, of the bias over the batch
}  # fmt: skip


def _follow(nodes: list[Node], steps: Iterator[_Step]) -> dict[str, Node]:
    """Go from node to node, each reading what the last wrote; return those with weights."""
    weighted: dict[str, Node] = {}
    waiting = iter(nodes)
    reading = nodes[0].inputs[0]

    def next_node(wanted: str) -> Node:
        nonlocal reading
        for node in waiting:
            if node.inputs[:1] != [reading] or not node.outputs:
                break
            reading = node.outputs[0]
            if node.kind not in _PASSING:
                return node
        raise InputError(f"its graph differs: {wanted} does not come where it should")

    for step in steps:
        wanted = f"{' or '.join(step.kinds)} of {step.layer}"
        node = next_node(wanted)
        if node.kind not in step.kinds:
            raise InputError(f"its graph differs: has {node.kind[:40]}, expected {wanted}")
        _check_attributes(node, step)
        if node.kind in ("Conv", "Gemm"):
            weighted[step.layer] = node
    rest = [node.kind for node in waiting if node.kind not in _PASSING]
    if rest not in ([], ["Softmax"]):
        raise InputError(f"its graph differs: after fc8 comes {rest[0][:40]}")
    return weighted


def _check_attributes(node: Node, step: _Step) -> None:
    for name in dict.fromkeys((*step.attributes, *node.attributes)) if step.attributes else ():
        wanted, default = step.attributes.get(name, ("absent", "absent"))
        value = node.attributes.get(name, default)
        if isinstance(value, Tensor):
            value = "a tensor"
        same = value == wanted
        if not isinstance(value, str) and not isinstance(wanted, str):
            same = len(value) == len(wanted) and np.allclose(value, wanted, rtol=1e-6, atol=0)
        if not same:
            difference = f"{step.layer} has {name[:80]} {str(value)[:80]}, expected {wanted}"
            raise InputError(f"its graph differs: {difference}")


def _made(graph: Graph, node: Node, shape: tuple[int, ...]) -> Stored:
    """A tensor that a node makes: it carries it, or repeats one number."""
    value = node.attributes.get("value")
    if not isinstance(value, Tensor):
        raise InputError(f"{node.outputs[0][:80]} is made without a value")
    if node.kind == "Constant":
        return value._replace(name=node.outputs[0]).stored(shape)
    sides = graph.tensors.get(node.inputs[0]) if node.inputs else None
    if sides is None or sides.numbers() != list(shape):
        raise InputError(f"{node.outputs[0][:80]} is made with another shape than {shape}")
    one = value.stored(value.shape)
    if one.length != 1:
        raise InputError(f"{node.outputs[0][:80]} is made of {one.length} numbers, expected one")
    return one._replace(shape=shape, strides=(0,) * len(shape))
