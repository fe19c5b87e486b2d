"""Sums and maxima of what lies outside of a box, without a subtraction and without reading it all.

Along each axis they are known before each index and from it on. What a box leaves out is what lies
before and after it along the first axis; then, of what is left, along the next.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from .reading import cut_each
from .windows import Box


class Reduction(NamedTuple):
    """How arrays are reduced over axes, and running along one; 0 is neutral."""

    reduce: Callable[..., Array]
    running: Callable[..., Array]
    combine: Callable[[Array, Array], Array]


SUM = Reduction(jnp.sum, lax.cumsum, jnp.add)
MAX = Reduction(jnp.max, lax.cummax, jnp.maximum)  # of magnitudes: none is less than 0


class Along(NamedTuple):
    """What lies before each index of an axis and from it on, later axes reduced."""

    axis: int
    before: Array
    after: Array


def running(clean: Array, axes: Sequence[int], by: Reduction) -> list[Along]:
    """What `reduced` needs of an array, once for all positions.

    In float32 at least, since many sums are made of sums.
    """
    if jnp.issubdtype(clean.dtype, jnp.floating):
        clean = clean.astype(jnp.promote_types(clean.dtype, jnp.float32))
    found = []
    for i, axis in enumerate(axes):
        rest = clean
        if later := tuple(axes[i + 1 :]):
            rest = by.reduce(clean, later, keepdims=True).astype(clean.dtype)
        none = jnp.zeros_like(lax.slice_in_dim(rest, 0, 1, axis=axis))
        before = jnp.concatenate([none, by.running(rest, axis)], axis)
        after = jnp.concatenate([by.running(rest, axis, reverse=True), none], axis)
        found.append(Along(axis, before, after))
    return found


def everything(known: Sequence[Along]) -> Array:
    """The whole map reduced, all of whose axes are known."""
    return known[0].after[0].reshape(())


def reduced(
    contents: Array, box: Box, known: Sequence[Along], by: Reduction, chunk: Array
) -> Array:
    """The whole map with `contents` in the box, reduced: (chunk, axes that are kept).

    contents: (chunk, *box.sizes). known: as `running` made it of the clean map.

    >>> import numpy as np
    >>> known = running(jnp.arange(12.0).reshape(3, 4), (0, 1), SUM)
    >>> box = Box(np.array([[1, 2]]), (1, 1))  # over the 6
    >>> reduced(jnp.full((1, 1, 1), 100.0), box, known, SUM, jnp.array([0])).tolist()
    [160.0]
    """
    summed = tuple(along.axis + 1 for along in known)
    total = by.reduce(contents.astype(known[0].before.dtype), summed)
    return with_outside(total, box, known, by, chunk)


def with_outside(
    total: Array, box: Box, known: Sequence[Along], by: Reduction, chunk: Array
) -> Array:
    """`total` (chunk, axes that are kept) and what lies outside of the box."""
    axes = [along.axis for along in known]
    summed = tuple(axis + 1 for axis in axes)
    for i, (axis, before, after) in enumerate(known):
        if box.sizes[axis] == before.shape[axis] - 1:
            continue
        sizes: list[Any] = list(box.sizes)
        for other in axes[i:]:
            sizes[other] = 1
        starts = box.starts.copy()
        starts[:, axes[i + 1 :]] = 0
        ends = starts.copy()
        ends[:, axis] += box.sizes[axis]
        for sums, at in ((before, starts), (after, ends)):
            part = cut_each(sums, Box(at, tuple(sizes)), chunk)
            total = by.combine(total, by.reduce(part, summed))
    return total
