"""What a reader of networks needs of an ONNX file: its nodes, their attributes, its tensors."""

import struct
from typing import NamedTuple

from .._checks import InputError
from .protobuf import BYTES, VARINT, Field, Wire
from .stored import Stored

_MOST_NODES = 5000
_FLOAT, _INT64 = 1, 7
_TYPES = {2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}


class Tensor(NamedTuple):
    """A tensor's shape and where its numbers lie; not read, whatever it claims to be."""

    name: str
    shape: tuple[int, ...]
    kind: int
    raw: list[Field]
    floats: list[Field]
    integers: list[Field]
    elsewhere: bool

    def stored(self, wire: Wire, shape: tuple[int, ...]) -> Stored:
        """The tensor to be read, which must have this shape."""
        if self.elsewhere:
            raise InputError(f"{self.name[:80]} lies in another file, which is not read")
        if self.kind != _FLOAT:
            named = _TYPES.get(self.kind, f"of type {self.kind}")
            raise InputError(f"{self.name[:80]} is {named}, expected float32")
        if self.shape != shape:
            raise InputError(f"{self.name[:80]} has shape {self.shape[:8]}, expected {shape}")
        try:
            return wire.floats(self.raw or self.floats, shape)
        except InputError as error:
            raise InputError(f"{self.name[:80]} {error}") from None

    def numbers(self, wire: Wire) -> list[int]:
        """The few whole numbers of a shape."""
        found = [number for field in self.integers for number in wire.integers(field)]
        for field in self.raw:
            size = field.end - field.start
            if self.kind != _INT64 or size % 8 or size > 64:
                raise InputError(f"{self.name[:80]} is no shape")
            found += struct.unpack(f"<{size // 8}q", wire.source.read(field.start, size))
        return found


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


def looks_like_onnx(wire: Wire) -> bool:
    """Whether this begins as a model and has a graph."""
    first = True
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
    graph = Graph([], {}, {}, 0)
    graphs = 0
    for field in wire.fields():
        if field.number == 7:
            graphs += 1
            for part in wire.fields(field):
                _add(wire, part, graph)
                if len(graph.nodes) > _MOST_NODES:
                    raise InputError(f"has more than {_MOST_NODES} nodes")
        elif field.number == 8:
            domain, version = "", 0
            for part in wire.fields(field):
                if part.number == 1:
                    domain = wire.text(part)
                elif part.number == 2:
                    version = wire.integers(part)[0]
            if domain in ("", "ai.onnx"):
                graph = graph._replace(opset=version)
    if graphs != 1:
        raise InputError(f"has {graphs} graphs, expected one")
    return graph


def _add(wire: Wire, part: Field, graph: Graph) -> None:
    if part.number == 1:
        graph.nodes.append(_node(wire, part))
    elif part.number == 5:
        tensor = _tensor(wire, part)
        if tensor.name in graph.tensors:
            raise InputError(f"has two tensors of the name {tensor.name[:80]!r}")
        graph.tensors[tensor.name] = tensor
    elif part.number == 11:
        name, shape = _input(wire, part)
        graph.inputs[name] = shape
    elif part.number == 15:
        raise InputError("has sparse tensors, which are not read")


def _node(wire: Wire, inside: Field) -> Node:
    node = Node("", [], [], {})
    for field in wire.fields(inside):
        if field.number == 1:
            node.inputs.append(wire.text(field))
        elif field.number == 2:
            node.outputs.append(wire.text(field))
        elif field.number == 4:
            node = node._replace(kind=wire.text(field))
        elif field.number == 5:
            name, value = _attribute(wire, field)
            node.attributes[name] = value
        elif field.number == 7 and wire.text(field) not in ("", "ai.onnx"):
            raise InputError(f"has an operation of {wire.text(field)[:80]!r}, which is not known")
    return node


def _attribute(wire: Wire, inside: Field) -> tuple[str, list[float] | str | Tensor]:
    name, value = "", list[float]()
    other: str | Tensor | None = None
    for field in wire.fields(inside):
        if field.number == 1:
            name = wire.text(field)
        elif field.number == 2:
            value.append(wire.number(field))
        elif field.number in (3, 8):
            value += map(float, wire.integers(field))
        elif field.number == 4:
            other = wire.text(field)
        elif field.number == 5:
            other = _tensor(wire, field)
    return name, value if other is None else other


def _tensor(wire: Wire, inside: Field) -> Tensor:
    shape: list[int] = []
    raw, floats, integers = list[Field](), list[Field](), list[Field]()
    name, kind, elsewhere = "", 0, False
    for field in wire.fields(inside):
        if field.number == 1:
            shape += wire.integers(field)
        elif field.number == 2:
            kind = wire.integers(field)[0]
        elif field.number == 4:
            floats.append(field)
        elif field.number == 7:
            integers.append(field)
        elif field.number == 8:
            name = wire.text(field)
        elif field.number == 9:
            raw.append(field)
        elif field.number in (13, 14):
            elsewhere = elsewhere or field.number == 13 or field.value == 1
    return Tensor(name, tuple(shape), kind, raw, floats, integers, elsewhere)


def _input(wire: Wire, inside: Field) -> tuple[str, list[int]]:
    """The name and shape of an input: a type, in it a tensor's, in it a shape, in it its sides."""
    name, sides = "", list[int]()
    for field in wire.fields(inside):
        if field.number == 1:
            name = wire.text(field)
        elif field.number == 2:
            kinds = [kind for kind in wire.fields(field) if kind.number == 1]
            shapes = [s for kind in kinds for s in wire.fields(kind) if s.number == 2]
            for side in [d for shape in shapes for d in wire.fields(shape) if d.number == 1]:
                known = [wire.integers(value) for value in wire.fields(side) if value.number == 1]
                sides.append(known[0][0] if known else 0)
    return name, sides
