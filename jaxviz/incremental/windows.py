"""Boxes on feature maps: how far a change reaches, and how to cut boxes out and put them together.

Ranges are host NumPy, one row a position: they are exact and known when a function is traced.
Inside a compiled loop over positions, `chunk` holds the rows that are being evaluated.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..jaxpr.tape import Reads

# An empty range: the identity of `union`.
NOWHERE = 1 << 30


class Window(NamedTuple):
    """Output index i of an axis reads input indices j of `axis` at places j * spacing.

    It reads those at places i * stride - padding + [0, size). Of stride and spacing one is 1.
    """

    axis: int
    size: int = 1
    stride: int = 1
    padding: int = 0
    spacing: int = 1

    def reached(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The range of output indices, as far as the axis goes on, that read any of [low, high)."""
        first = low * self.spacing + self.padding - self.size + 1
        last = (high - 1) * self.spacing + self.padding
        return -(-first // self.stride), last // self.stride + 1

    def read(self, starts: np.ndarray, size: int, extent: int) -> tuple[np.ndarray, int]:
        """The range of input indices that a range of output indices reads; see `covering`."""
        first = starts // self.spacing * self.stride - self.padding // self.spacing
        last = (size - 1) * self.stride + self.size - 1 - self.padding
        count = last // self.spacing + self.padding // self.spacing + 1
        return first, max(int(count), 1)

    def covering(self, starts: np.ndarray, size: int, extent: int) -> tuple[np.ndarray, int]:
        """The range of output indices, around one that is wanted, that can be evaluated.

        Behind spaced inputs it begins at the same place among them at every position.
        """
        behind = starts % self.spacing
        return starts - behind, size + int(behind.max(initial=0))


class Table(NamedTuple):
    """Output index i of an axis reads input indices low[i] <= j < high[i] of `axis`.

    Any part of it is evaluated as a part of the whole axis.
    """

    axis: int
    low: tuple[int, ...]
    high: tuple[int, ...]

    @classmethod
    def of(cls, reads: Reads) -> "Table":
        """What a step's tape says."""
        return cls(reads.axis, reads.low, reads.high)

    def reached(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of a `Window`."""
        reads = (np.array(self.low) < high[:, None]) & (np.array(self.high) > low[:, None])
        count = reads.sum(axis=1, initial=0)
        first = reads.argmax(axis=1)
        last = reads.shape[1] - reads[:, ::-1].argmax(axis=1)
        return first, np.where(count > 0, last, first)

    def read(self, starts: np.ndarray, size: int, extent: int) -> tuple[np.ndarray, int]:
        """As of a `Window`."""
        return np.zeros_like(starts), extent

    def covering(self, starts: np.ndarray, size: int, extent: int) -> tuple[np.ndarray, int]:
        """As of a `Window`."""
        return np.zeros_like(starts), extent


Reading = Window | Table


class Region(NamedTuple):
    """Where a value may differ: at `low <= index < high`, each (positions, rank)."""

    low: np.ndarray
    high: np.ndarray

    def rows(self, index: np.ndarray) -> "Region":
        return Region(self.low[index], self.high[index])

    @property
    def is_empty(self) -> bool:
        return self.low.shape[1] > 0 and bool((self.low >= self.high).any(axis=1).all())


class Box(NamedTuple):
    """One box of a static size a position; `starts` is (positions, rank)."""

    starts: np.ndarray
    sizes: tuple[int, ...]

    def same_as(self, other: "Box") -> bool:
        return self.sizes == other.sizes and np.array_equal(self.starts, other.starts)


class Value(NamedTuple):
    """A clean array; if `box` is given, `contents` (chunk, *box.sizes) replace that part of it."""

    clean: Any
    contents: Any = None
    box: Box | None = None


def whole(shape: Sequence[int], count: int) -> Box:
    return Box(np.zeros((count, len(shape)), int), tuple(shape))


def reach(windows: Sequence[Reading | None], region: Region, shape: Sequence[int]) -> Region:
    """The output indices that read any of `region`; an axis without a window is all reached."""
    low = np.zeros((len(region.low), len(shape)), int)
    high = np.broadcast_to(np.array(shape, int), low.shape).copy()
    for axis, window in enumerate(windows):
        if window is not None:
            at = region.low[:, window.axis], region.high[:, window.axis]
            first, last = window.reached(*at)
            low[:, axis] = np.clip(first, 0, None)
            high[:, axis] = np.clip(last, None, shape[axis])
    empty = (low >= high).any(axis=1) | (region.low >= region.high).any(axis=1)
    low[empty], high[empty] = NOWHERE, -NOWHERE
    return Region(low, high)


def union(regions: Sequence[Region]) -> Region:
    low = np.min([region.low for region in regions], axis=0)
    return Region(low, np.max([region.high for region in regions], axis=0))


def bounding_box(region: Region, shape: Sequence[int]) -> Box:
    """The smallest static box that covers every position's region and stays on the map."""
    extent = np.array(shape, int)
    sizes = (region.high - region.low).max(axis=0)
    return Box(np.clip(region.low, 0, extent - sizes), tuple(int(size) for size in sizes))


def covering(windows: Iterable[Sequence[Reading | None]], box: Box, shape: Sequence[int]) -> Box:
    """The box of the output, around one that is wanted, that the operands' windows can make."""
    starts, sizes = box.starts.copy(), list(box.sizes)
    for each in windows:
        for axis, window in enumerate(each):
            if window is not None:
                found = window.covering(starts[:, axis], sizes[axis], shape[axis])
                starts[:, axis], sizes[axis] = found
    return Box(starts, tuple(sizes))


def needed(windows: Sequence[Reading | None], box: Box, shape: Sequence[int]) -> Box:
    """What an operand of `shape` must supply for `box` of the output; it may overhang the map."""
    starts = np.zeros((len(box.starts), len(shape)), int)
    sizes = list(shape)
    for axis, window in enumerate(windows):
        if window is not None:
            along = window.axis
            found = window.read(box.starts[:, axis], box.sizes[axis], shape[along])
            starts[:, along], sizes[along] = found
    return Box(starts, tuple(sizes))


def _is_constant(column: np.ndarray) -> bool:
    return bool((column == column[0]).all())


def _rows(column: np.ndarray, chunk: Array) -> Array:
    return jnp.asarray(column, jnp.int32)[chunk]


def cut(array: Any, box: Box, chunk: Array, fill: Any = 0) -> tuple[Array, bool]:
    """The box of every position in `chunk`, `fill` outside of the array.

    Returns (chunk, *sizes) and True, or (*sizes) and False where all positions have the same box.
    """
    starts, limits = box.starts, box.starts + np.array(box.sizes, int)
    array = jnp.asarray(array)
    if not box.sizes:
        return array, False
    low = np.maximum(0, -starts.min(axis=0))
    high = np.maximum(0, limits.max(axis=0) - array.shape)
    if low.any() or high.any():
        fill = jnp.asarray(fill, array.dtype)
        array = lax.pad(array, fill, [(int(a), int(b), 0) for a, b in zip(low, high, strict=True)])
    starts = starts + low
    moving = [axis for axis in range(array.ndim) if not _is_constant(starts[:, axis])]
    for axis, size in enumerate(box.sizes):
        if axis not in moving and size != array.shape[axis]:
            first = int(starts[0, axis])
            array = lax.slice_in_dim(array, first, first + size, axis=axis)
    if not moving:
        return array, False

    def piece(*offsets: Array) -> Array:
        indices: list[Any] = [np.int32(0)] * array.ndim
        for axis, offset in zip(moving, offsets, strict=True):
            indices[axis] = offset
        return lax.dynamic_slice(array, indices, box.sizes)

    return jax.vmap(piece)(*(_rows(starts[:, axis], chunk) for axis in moving)), True


def cut_each(array: Any, box: Box, chunk: Array, fill: Any = 0) -> Array:
    """Like `cut`, with an axis of positions always: of length 1 if all have the same box."""
    part, moves = cut(array, box, chunk, fill)
    return part if moves else part[None]


def place(
    contents: Array, offsets: np.ndarray, sizes: Sequence[int], chunk: Array, fill: Any = 0
) -> tuple[Array, Any]:
    """Contents moved into a frame of `sizes`, each position's at its own offset there.

    Returns the frames (chunk, *sizes), `fill` where the contents do not reach, and a mask of where
    they do, which broadcasts to the frames (True if that is everywhere).
    """
    covered: Any = True
    padding, moving = [(0, 0, 0)], []
    for axis, size in enumerate(sizes):
        extent, column = contents.shape[axis + 1], offsets[:, axis]
        least, most = int(column.min()), int(column.max())
        if least == most:
            padding.append((least, size - least - extent, 0))
        else:
            moving.append(axis)
            padding.append((max(most, 0), max(size - extent - least, 0), 0))
        if most > 0 or least + extent < size:
            index = np.arange(size, dtype=np.int32)[None]
            at: Any = least if least == most else _rows(column, chunk)[:, None]
            inside = (index >= at) & (index < at + extent)
            shape = [-1] + [1] * len(sizes)
            shape[axis + 1] = size
            covered = covered & inside.reshape(shape)
    frame = lax.pad(contents, jnp.asarray(fill, contents.dtype), padding)
    if moving:

        def piece(row: Array, *offsets: Array) -> Array:
            indices: list[Any] = [np.int32(0)] * row.ndim
            for axis, offset in zip(moving, offsets, strict=True):
                indices[axis] = np.int32(padding[axis + 1][0]) - offset
            return lax.dynamic_slice(row, indices, sizes)

        frame = jax.vmap(piece)(frame, *(_rows(offsets[:, axis], chunk) for axis in moving))
    return frame, covered


def read(value: Value, box: Box, chunk: Array, fill: Any = 0) -> tuple[Array, bool]:
    """Like `cut`, of a value whose own box has other contents than the clean array."""
    if value.box is None:
        return cut(value.clean, box, chunk, fill)
    if value.box.same_as(box):
        return value.contents, True
    offsets = value.box.starts - box.starts
    frame, covered = place(value.contents, offsets, box.sizes, chunk, fill)
    if covered is True or value.box.sizes == jnp.shape(value.clean):
        return frame, True
    return jnp.where(covered, frame, cut_each(value.clean, box, chunk, fill)), True


def read_windows(
    windows: Sequence[Sequence[Reading | None] | None],
    operands: Sequence[Value],
    box: Box,
    shape: Sequence[int],
    chunk: Array,
    evaluate: Callable[..., Any],
    fill: Any = 0,
) -> Array:
    """The contents of a box of the output, (chunk, *box.sizes), from what it reads of the operands.

    windows: of each operand, or None: it is clean, and read whole. shape: of the whole output.
    evaluate: (sizes, *parts) -> a box of the output, for one position.
    """
    covered = covering([seen for seen in windows if seen], box, shape)
    parts = [
        (operand.clean, False)
        if seen is None
        else read(operand, needed(seen, covered, jnp.shape(operand.clean)), chunk, fill)
        for operand, seen in zip(operands, windows, strict=True)
    ]
    found: Array = map_positions(partial(evaluate, covered.sizes), parts)
    if covered.same_as(box):
        return found
    return place(found, covered.starts - box.starts, box.sizes, chunk)[0]


def map_positions(fun: Callable[..., Any], parts: Sequence[tuple[Any, bool]]) -> Any:
    """`fun` of each position's parts; a part comes with whether it has an axis of positions."""
    axes = [0 if batched else None for _, batched in parts]
    return jax.vmap(fun, in_axes=axes)(*(part for part, _ in parts))
