"""Reading an ONNX file: its nodes in order, its numbers, its input; everything is checked first."""

import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..._checks import InputError
from ..layer_names import ROOM
from .values import Node

_MOST_BYTES = 2**31 - 1  # of the file itself, as protobuf's own limit
_MOST_NODES = 20_000
_MOST_AXES = 8
_DOMAINS = ("", "ai.onnx")
# Kinds of numbers in a file, with their NumPy types.
_TYPES = {
    1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64,
    9: np.bool_, 10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64,
}  # fmt: skip


class Graph(NamedTuple):
    """A network as a file holds it.

    nodes: in an order in which each reads what is known. numbers: of its weights and constants, by
    name. image: the input's name and its axes, None where the file leaves a size open. outputs:
    the names of what it gives.
    """

    nodes: tuple[Node, ...]
    numbers: Mapping[str, np.ndarray]
    image: tuple[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]


def read_graph(path: str | os.PathLike[str]) -> Graph:
    """Read a file and the file of weights beside it, if it has one.

    Raises `InputError` if it cannot be read, is no ONNX file, is damaged, wants a file from outside
    its own folder, or holds what is not supported.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise InputError(
            'onnx files are read with the package onnx; pip install "jaxviz-cnn[onnx]"'
        ) from None
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise InputError(f"{path}: {size} bytes; files of more than 2 GB keep their weights "
                             "in a file beside them")  # fmt: skip
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except (DecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no ONNX file: {str(error)[:80]}") from None
    try:
        return _graph(model, path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _graph(model: Any, path: Path) -> Graph:
    graph = model.graph
    if not graph.node or len(graph.node) > _MOST_NODES:
        raise InputError(f"{len(graph.node)} nodes; expected 1 to {_MOST_NODES}")
    if model.functions and any(one.domain not in _DOMAINS for one in graph.node):
        raise InputError("holds functions of its own, which are not supported; inline them")
    versions = {one.domain: one.version for one in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    if not 7 <= opset < 100:
        raise InputError(f"operators of version {opset} are not supported; expected 7 or newer")
    tensors = _Tensors(path)
    numbers = {_text(one.name): tensors.read(one) for one in graph.initializer}
    inputs = [one for one in graph.input if _text(one.name) not in numbers]
    if len(inputs) != 1:
        names = ", ".join(_text(one.name)[:40] for one in inputs[:5]) or "none"
        raise InputError(f"expected one input, the images, got {len(inputs)}: {names}")
    if graph.sparse_initializer:
        raise InputError("holds sparse weights, which are not supported")
    nodes = []
    for one in graph.node:
        node = _node(one, opset, tensors)
        if node.kind == "Constant" and "value" in node.attributes:
            numbers[node.outputs[0]] = node.attributes["value"]
        else:
            nodes.append(node)
    image = _text(inputs[0].name)
    known = {image, "", *numbers}
    for node in nodes:
        missing = [name for name in node.inputs if name not in known]
        if missing:
            raise InputError(f"{node.kind} reads {missing[0][:60]!r} before anything gives it")
        if known.intersection(node.outputs) - {""}:
            raise InputError(f"{node.kind} gives {node.outputs[0][:60]!r} a second time")
        known.update(node.outputs)
    outputs = tuple(_text(one.name) for one in graph.output)
    if not outputs or not known.issuperset(outputs):
        raise InputError("nothing gives its outputs")
    return Graph(
        tuple(_scoped(_live(nodes, outputs))), numbers, (image, _axes(inputs[0])),
        outputs,
    )  # fmt: skip


def _live(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that the outputs need, with those of their own outputs that somebody reads."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            last = max(i for i, name in enumerate(node.outputs) if name in wanted)
            kept.append(node._replace(outputs=node.outputs[: last + 1]))
            wanted.update(node.inputs)
    return kept[::-1]


def _text(value: str | bytes) -> str:
    """A text of the file; what is not UTF-8 comes as bytes."""
    return value if isinstance(value, str) else value.decode(errors="replace")


def _axes(value: Any) -> tuple[int | None, ...]:
    sizes = value.type.tensor_type.shape.dim
    return tuple(
        one.dim_value if one.HasField("dim_value") and one.dim_value > 0 else None for one in sizes
    )


def _node(one: Any, opset: int, tensors: "_Tensors") -> Node:
    kind, domain = _text(one.op_type)[:60], _text(one.domain)
    if domain not in _DOMAINS:
        raise InputError(f"{kind} of {domain[:60]!r} is an operator of its own, not supported")
    attributes = {}
    for attribute in one.attribute:
        attributes[_text(attribute.name)] = _attribute(attribute, kind, tensors)
    scope = next(
        (_text(p.value) for p in one.metadata_props if _text(p.key).endswith("name_scopes")), ""
    )
    if not one.output:
        raise InputError(f"{kind} ({_text(one.name)[:60]}) gives nothing")
    outputs = [*map(_text, one.output)]
    while len(outputs) > 1 and not outputs[-1]:
        outputs.pop()
    return Node(
        kind,
        _text(one.name)[:200],
        tuple(map(_text, one.input)),
        tuple(outputs),
        attributes,
        scope,
        opset,
    )


def _attribute(attribute: Any, kind: str, tensors: "_Tensors") -> Any:
    if attribute.type == 1:
        return attribute.f
    if attribute.type == 2:
        return attribute.i
    if attribute.type == 3:
        return attribute.s.decode(errors="replace")
    if attribute.type == 4:
        return tensors.read(attribute.t)
    if attribute.type in (6, 7):
        return [*(attribute.floats if attribute.type == 6 else attribute.ints)]
    if attribute.type == 8:
        return [one.decode(errors="replace") for one in attribute.strings]
    raise InputError(
        f"{kind}: {_text(attribute.name)[:40]} is a graph or the like, which is not supported"
    )


class _Tensors:
    """Reads tensors, also from the file of weights beside the model."""

    def __init__(self, model: Path) -> None:
        self.folder = model.parent

    def read(self, tensor: Any) -> np.ndarray:
        name, shape = _text(tensor.name)[:80] or "a constant", tuple(tensor.dims)
        kind = _TYPES.get(tensor.data_type)
        if kind is None:
            raise InputError(f"{name}: numbers of type {tensor.data_type} are not supported")
        if len(shape) > _MOST_AXES or any(size < 0 for size in shape):
            raise InputError(f"{name}: shape {shape[:9]}")
        count = math.prod(shape)
        wanted = count * np.dtype(kind).itemsize
        if tensor.data_location == 1:
            return self._beside(tensor, name, wanted).view(kind).reshape(shape)
        if tensor.HasField("raw_data"):
            if len(tensor.raw_data) != wanted:
                found = len(tensor.raw_data)
                raise InputError(f"{name}: {found} bytes, expected {wanted} for shape {shape}")
            return np.frombuffer(tensor.raw_data, np.dtype(kind).newbyteorder("<")).reshape(shape)
        fields = {1: tensor.float_data, 7: tensor.int64_data, 11: tensor.double_data,
                  12: tensor.uint64_data, 13: tensor.uint64_data}  # fmt: skip
        found = fields.get(tensor.data_type, tensor.int32_data)
        if len(found) != count:
            raise InputError(f"{name}: {len(found)} numbers, expected {count} for shape {shape}")
        if tensor.data_type == 10:  # by their bits
            return np.array(found, np.uint16).view(np.float16).reshape(shape)
        try:
            return np.array(found, kind).reshape(shape)
        except OverflowError:
            raise InputError(f"{name}: numbers that {np.dtype(kind)} does not hold") from None

    def _beside(self, tensor: Any, name: str, wanted: int) -> np.ndarray:
        """Bytes of a regular file in the model's own folder, and from nowhere else."""
        place = {_text(one.key): _text(one.value) for one in tensor.external_data}
        location = place.get("location", "")
        parts = Path(location).parts
        if not location or "\0" in location or Path(location).is_absolute() or ".." in parts:
            raise InputError(f"{name}: lies in {location[:80]!r}, outside of the model's folder")
        path = self.folder / location
        try:
            inside = path.resolve(strict=True).is_relative_to(self.folder.resolve())
            if not inside or not path.is_file():
                raise InputError(
                    f"{name}: lies in {location[:80]!r}, outside of the model's folder"
                )
            begin, length = int(place.get("offset", 0)), int(place.get("length", wanted))
            size = path.stat().st_size
            if begin < 0 or length != wanted or begin + wanted > size:
                raise InputError(
                    f"{name}: bytes {begin} to {begin + length} of {location[:80]}, which has "
                    f"{size}; expected {wanted} of them"
                )
            return np.fromfile(path, np.uint8, wanted, offset=begin)
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{name}: lies in {location[:80]!r}: {error}") from None


def _scoped(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with the names of the modules that they are, or of the blocks that they are in."""
    rooms = [_room(node) for node in nodes]
    count = Counter(rooms)
    blocks = {"/".join(parts) for room in rooms for parts in _outer(room.split("/"))}
    scoped = []
    for node, room in zip(nodes, rooms, strict=True):
        is_block = room in blocks or (count[room] > 1 and len(node.inputs) < 2)
        scoped.append(node._replace(scope=f"{room}{ROOM}" if room and is_block else room))
    return scoped


def _outer(parts: list[str]) -> list[list[str]]:
    return [parts[:end] for end in range(1, len(parts))]


def _room(node: Node) -> str:
    """The module that a node belongs to, as the exporter wrote it down."""
    if node.scope.startswith("["):  # "['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d_1']"
        names = re.findall(r"'([^']*)'", node.scope)[:-1]
        return names[-1].replace(".", "/") if names else ""
    parts = [part for part in node.name.split("/") if part]
    if not node.name.startswith("/") or len(parts) < 2:
        return ""
    joined: list[str] = []
    for part in parts[:-1]:  # "/layer1/layer1.0/conv1/Conv": each may repeat the one before
        if joined and part.startswith(f"{joined[-1]}."):
            joined[-1] = part
        else:
            joined.append(part)
    return "/".join(joined).replace(".", "/")
