"""Cutting boxes out of maps and putting them together, inside of a compiled loop over positions.

`chunk` holds the positions that are being evaluated, as rows of the boxes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .windows import Box, Reading, covering, needed


class Value(NamedTuple):
    """A clean array; if `box` is given, `contents` (chunk, *box.sizes) replace that part of it."""

    clean: Any
    contents: Any = None
    box: Box | None = None


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
