"""Numbers that were made a few lines at a time, laid into one array."""

import functools
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax


def side_by_side(tiles: Sequence[Array], step: int, extent: int, axis: int) -> Array:
    """Number j of tile i at place i + step * j of an axis of this extent, added where two meet.

    >>> side_by_side([jnp.array([1, 2]), jnp.array([3, 4]), jnp.array([10, 20])], 2, 6, 0).tolist()
    [1, 3, 12, 4, 20, 0]
    """
    rounds = -(-len(tiles) // step)
    nothing = [jnp.zeros_like(tiles[0])] * (step - len(tiles))

    def padded(x: Array, low: int, high: int) -> Array:
        margins = [(0, 0, 0)] * x.ndim
        margins[axis] = (low, high, 0)
        return lax.pad(x, jnp.zeros((), x.dtype), margins) if low or high else x

    def line(first: int) -> Array:
        some = [*tiles, *nothing][first::step]
        return functools.reduce(jnp.add, [padded(x, i, rounds - 1 - i) for i, x in enumerate(some)])

    stacked = jnp.stack([line(first) for first in range(step)], axis=axis + 1)
    joined = stacked.reshape(*stacked.shape[:axis], -1, *stacked.shape[axis + 2 :])
    return padded(joined, 0, extent - joined.shape[axis])
