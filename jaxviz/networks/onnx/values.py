"""Values between the nodes of an ONNX graph, their axes in whatever order computes fastest."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ..._checks import InputError

_MOST_NUMBERS = 2**28  # of a value that depends on images, 1 GB of float32


class Value(NamedTuple):
    """An array whose axis `order[i]` is the axis i that the graph means.

    known: its numbers, where they do not depend on images: of weights as they are in the file, and
    of shapes and the like, which are computed ahead. is_static: whether it is of the latter kind.
    """

    array: Any
    order: tuple[int, ...]
    known: np.ndarray | None = None
    is_static: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape[axis] for axis in self.order)

    @property
    def rank(self) -> int:
        return len(self.order)

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def logical(self) -> Any:
        """The array with its axes as the graph means them."""
        if self.is_static:
            return self.known
        return moved(self.array, self.order)

    @property
    def last(self) -> Any:
        """The array with its channels, axis 1 of the graph, behind all others."""
        axes = (0, *range(2, self.rank), 1)
        return moved(self.array, [self.order[axis] for axis in axes])

    def axis(self, axis: int) -> int:
        """Where an axis of the graph, perhaps counted from the end, lies in the array."""
        if not -self.rank <= axis < self.rank:
            raise InputError(f"axis {axis} of a value of shape {self.shape}")
        return self.order[axis % self.rank]

    def like(self, array: Any) -> "Value":
        """Another array, whose axes lie as here."""
        return Value(array, self.order)


def moved(array: Any, order: Sequence[int]) -> Any:
    return array if [*order] == [*range(len(order))] else jnp.transpose(array, order)


def plain(array: Any) -> Value:
    """A value whose axes lie as the graph means them."""
    return Value(array, tuple(range(array.ndim)))


def channels_last(array: Any) -> Value:
    """A value whose channels lie behind all other axes."""
    rank = array.ndim
    return Value(array, (0, rank - 1, *range(1, rank - 1)))


def static(array: Any) -> Value:
    """A value that is computed ahead, such as a shape."""
    known = np.asarray(array)
    return Value(known, tuple(range(known.ndim)), known, True)


def aligned(values: Sequence[Value]) -> tuple[Value, list[Any]]:
    """The arrays as the widest of the values lies, to be combined element by element."""
    lead = max(values, key=lambda value: (value.rank, not value.is_static, value.known is None))
    back = [lead.order.index(axis) for axis in range(lead.rank)]
    arrays = []
    for value in values:
        if value.order == lead.order:
            arrays.append(value.array)
        elif not value.rank:
            arrays.append(value.logical)
        else:
            shape = (1,) * (lead.rank - value.rank) + value.shape
            arrays.append(moved(jnp.reshape(value.logical, shape), back))
    return lead, arrays


class Node(NamedTuple):
    """One operation of the graph, with its attributes read.

    opset: the version of the operators that the file was written for. most: how many numbers an
    array may have that it makes.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    scope: str = ""
    opset: int = 0
    most: int = _MOST_NUMBERS

    def get(self, name: str, usual: Any = None) -> Any:
        """An attribute, or what it is by default."""
        return self.attributes.get(name, usual)

    def refuse(self, what: str) -> InputError:
        return InputError(f"{self.kind} ({self.name or self.outputs[0]}): {what}")

    def bounded(self, shape: Any) -> list[int]:
        """A shape that a file asks for, unless it is none or its numbers would fill the memory."""
        sizes = [int(size) for size in shape]
        if any(size < 0 for size in sizes) or math.prod(sizes) > self.most:
            raise self.refuse(f"makes an array of shape {sizes[:9]}")
        return sizes

    def fixed(self, value: Value | None, what: str) -> Any:
        """The numbers of an operand that must be known ahead; None if there is none."""
        if value is None:
            return None
        if value.known is None:
            raise self.refuse(f"{what} depends on the images, which is not supported")
        return value.known

    def ints(self, inputs: Sequence[Value | None], place: int, name: str) -> list[int] | None:
        """Whole numbers that newer files give as an operand and older ones as an attribute."""
        operand = inputs[place] if place < len(inputs) else None
        found = self.fixed(operand, name)
        given = self.get(name) if found is None else found
        return None if given is None else [int(one) for one in np.ravel(given)]


# An operator: (node, its operands, None for those left out) -> its results.
Operator = Callable[[Node, Sequence[Any]], Value | list[Value]]
