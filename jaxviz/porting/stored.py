"""Descriptions of tensors in a file, and reading them piece by piece as float32."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .._checks import InputError
from .source import Section

_PIECE = 2**21  # bytes at a time, which a processor's cache holds
BFLOAT16 = "bfloat16"  # NumPy has no such type: read as uint16, the upper halves of float32
READABLE = ("float32", "float16", "float64", BFLOAT16)


class Stored(NamedTuple):
    """A tensor in a file, not yet read.

    `kind` is the name of its number type, `big_endian` the order of its bytes. `strides` and
    `offset` count elements of the storage that `open` gives, which has `length` of them; `skip` are
    bytes before the first.
    """

    shape: tuple[int, ...]
    kind: str
    open: Callable[[], Section]
    length: int
    strides: tuple[int, ...]
    offset: int = 0
    skip: int = 0
    big_endian: bool = False


def checked(tensor: Stored) -> Stored:
    """Refuse a tensor that does not lie in its storage, or is larger than it."""
    sides, steps = tensor.shape, tensor.strides
    if len(sides) > 8 or len(sides) != len(steps):
        raise InputError(f"a tensor has {len(sides)} sides and {len(steps)} strides")
    if min((*sides, *steps, tensor.offset, tensor.length), default=0) < 0:
        raise InputError(f"a tensor has negative numbers: shape {sides}, strides {steps}")
    last = sum((side - 1) * step for side, step in zip(sides, steps, strict=True))
    empty = 0 in sides
    if not empty and tensor.offset + last >= tensor.length:
        raise InputError(f"a tensor of shape {sides} reaches beyond its {tensor.length} numbers")
    if math.prod(sides) > tensor.length:
        raise InputError(f"a tensor of shape {sides} is larger than its {tensor.length} numbers")
    return tensor


def in_order(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an array in C order."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def rows(tensor: Stored) -> Iterator[tuple[slice, np.ndarray]]:
    """The tensor as float32, some rows of the first axis at a time."""
    if tensor.kind not in READABLE:
        raise InputError(f"its numbers are {tensor.kind}, expected {', '.join(READABLE)}")
    dtype = np.dtype("uint16" if tensor.kind == BFLOAT16 else tensor.kind)
    dtype = dtype.newbyteorder(">" if tensor.big_endian else "<")
    section = tensor.open()
    section.skip(tensor.skip)
    if tensor.strides != in_order(tensor.shape):
        storage = np.frombuffer(section.read(tensor.length * dtype.itemsize), dtype)
        steps = tuple(step * dtype.itemsize for step in tensor.strides)
        start = tensor.offset * dtype.itemsize
        view = np.ndarray(tensor.shape, dtype, storage, start, steps)
        yield slice(0, tensor.shape[0]), _float32(view, tensor.kind)
        return
    section.skip(tensor.offset * dtype.itemsize)
    width = math.prod(tensor.shape[1:]) * dtype.itemsize
    count = max(1, _PIECE // max(1, width))
    for start in range(0, tensor.shape[0], count):
        stop = min(start + count, tensor.shape[0])
        data = section.read((stop - start) * width)
        piece = np.frombuffer(data, dtype).reshape(stop - start, *tensor.shape[1:])
        yield slice(start, stop), _float32(piece, tensor.kind)


def _float32(numbers: np.ndarray, kind: str) -> np.ndarray:
    if kind == BFLOAT16:
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # what overflows is refused as not finite
        return numbers.astype(np.float32, copy=False)
