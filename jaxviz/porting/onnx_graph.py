"""The graph of an ONNX file: its nodes with their attributes, its tensors and its inputs."""

import struct
from typing import NamedTuple

from .._checks import InputError
from .protobuf import BYTES, VARINT, Message, Wire
from .source import Source
from .stored import Stored

_MOST_NODES = 5000
_FLOAT, _INT64 = 1, 7
_OWN_DOMAINS = ("", "ai.onnx")
_TYPES = {2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}


class Tensor(NamedTuple):
    """A tensor's shape and number type, and the message with its numbers, which are not read."""

    name: str
    shape: tuple[int, ...]
    kind: int
    message: Message

    def stored(self, shape: tuple[int, ...]) -> Stored:
        """The tensor to be read, which must have this shape."""
        name, message = self.name[:80], self.message
        if message.all(13) or 1 in message.integers(14):
            raise InputError(f"{name} lies in another file, which is not read")
        if self.kind != _FLOAT:
            kind = _TYPES.get(self.kind, f"of type {self.kind}")
            raise InputError(f"{name} is {kind}, expected float32")
        if self.shape != shape:
            raise InputError(f"{name} has shape {self.shape[:8]}, expected {shape}")
        try:
            return message.wire.floats(message.all(9) or message.all(4), shape)
        except InputError as error:
            raise InputError(f"{name} {error}") from None

    def numbers(self) -> list[int]:
        """The few whole numbers of a shape."""
        values = self.message.integers(7)
        for field in self.message.all(9):
            size = field.end - field.start
            if self.kind != _INT64 or size % 8 or size > 64:
                raise InputError(f"{self.name[:80]} is no shape")
            values += struct.unpack(
                f"<{size // 8}q", self.message.wire.source.read(field.start, size)
            )
        return values


class Node(NamedTuple):
    """An operation: what it reads and writes, and its attributes, as numbers, texts or a tensor."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, list[float] | str | Tensor]


class Graph(NamedTuple):
    """Nodes in order, tensors and the shapes of inputs by name (0 where a side is left open)."""

    nodes: list[Node]
    tensors: dict[str, Tensor]
    inputs: dict[str, list[int]]
    opset: int


def is_onnx(source: Source) -> bool:
    """Whether the file begins as an ONNX model and has a graph."""
    wire, first = Wire(source), True
    for field in wire.fields(clipped=True):
        if first and (field.number, field.wire) != (1, VARINT):
            return False
        first = False
        if field.number == 7 and field.wire == BYTES:
            inner = next(wire.fields(field, clipped=True), None)
            return inner is not None and inner.wire == BYTES and inner.number in (1, 2, 5, 11)
        if field.number > 25:
            return False
    return False


def read_graph(wire: Wire) -> Graph:
    """The graph of a model."""
    model = wire.message()
    if len(model.all(7)) != 1:
        raise InputError(f"has {len(model.all(7))} graphs, expected one")
    (graph,) = model.messages(7)
    if len(graph.all(1)) > _MOST_NODES:
        raise InputError(f"has more than {_MOST_NODES} nodes")
    if graph.all(15):
        raise InputError("has sparse tensors, which are not read")
    tensors: dict[str, Tensor] = {}
    for tensor in map(_tensor, graph.messages(5)):
        if tensor.name in tensors:
            raise InputError(f"has two tensors of the name {tensor.name[:80]!r}")
        tensors[tensor.name] = tensor
    opsets = [part.integer(2) for part in model.messages(8) if part.text(1) in _OWN_DOMAINS]
    return Graph(
        [_node(message) for message in graph.messages(1)],
        tensors,
        {message.text(1): _input_shape(message) for message in graph.messages(11)},
        (opsets or [0])[-1],
    )


def _node(message: Message) -> Node:
    if message.text(7) not in _OWN_DOMAINS:
        raise InputError(f"has an operation of {message.text(7)[:80]!r}, which is not known")
    attributes = {part.text(1): _attribute(part) for part in message.messages(5)}
    return Node(message.text(4), message.texts(1), message.texts(2), attributes)


def _attribute(message: Message) -> list[float] | str | Tensor:
    if message.all(5):
        return _tensor(message.messages(5)[-1])
    if message.all(4):
        return message.text(4)
    return [*message.floats(2), *map(float, message.integers(3) + message.integers(8))]


def _tensor(message: Message) -> Tensor:
    return Tensor(message.text(8), tuple(message.integers(1)), message.integer(2), message)


def _input_shape(message: Message) -> list[int]:
    """The shape of an input, which lies in a type, in a tensor's type, in a shape, in its sides."""
    inner = [message]
    for number in (2, 1, 2, 1):
        inner = [part for outer in inner for part in outer.messages(number)]
    return [side.integer(1) for side in inner]
