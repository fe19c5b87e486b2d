"""Pooling by slices: each place of the window is a strided slice, and the slices fuse."""

import functools
import itertools
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array, lax

from .tiles import side_by_side


def pool_by_slices(
    x: Array,
    combine: Callable[[Array, Array], Array],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    *,
    barriers: bool,
) -> Array:
    """Pool without padding, one axis after the other.

    With `barriers`, XLA does not evaluate an axis again for each use of it by the next: better for
    whole maps, and worse for small boxes.

    >>> import jax.numpy as jnp
    >>> pool_by_slices(jnp.arange(6), lax.max, [3], [2], [1], barriers=False).tolist()
    [2, 4]
    """
    for axis, (size, stride, step) in enumerate(zip(window, strides, dilation, strict=True)):
        count = (x.shape[axis] - (size - 1) * step - 1) // stride + 1
        last = (count - 1) * stride + 1
        starts = [i * step for i in range(size)]
        slices = [lax.slice_in_dim(x, i, i + last, stride, axis=axis) for i in starts]
        x = functools.reduce(combine, slices)
        if barriers and size > 1:
            x = lax.optimization_barrier(x)
    return x


def unpool_by_slices(
    gradient: Array, x: Array, window: Sequence[int], strides: Sequence[int]
) -> Array:
    """The gradient of a maximum over windows of x, without padding, by x.

    It goes to the first place of each window that holds the maximum.

    >>> unpool_by_slices(jnp.array([1.0, 2.0]), jnp.array([0.0, 5.0, 5.0, 1.0]), [3], [1]).tolist()
    [0.0, 3.0, 0.0, 0.0]
    """
    most = pool_by_slices(x, lax.max, window, strides, [1] * x.ndim, barriers=True)
    places = list(itertools.product(*map(range, window)))
    first = jnp.full(most.shape, len(places), jnp.int32)
    for number, starts in reversed([*enumerate(places)]):
        ends = [
            start + (count - 1) * stride + 1
            for start, count, stride in zip(starts, most.shape, strides, strict=True)
        ]
        first = jnp.where(lax.slice(x, starts, ends, strides) == most, number, first)
    first = lax.optimization_barrier(first)

    def laid(*place: int) -> Array:
        """What the gradient leaves at this place of every window, on the axes that are left."""
        axis = len(place)
        if axis == x.ndim:
            number = places.index(place)
            return jnp.where(first == number, gradient, jnp.zeros((), gradient.dtype))
        tiles = [laid(*place, i) for i in range(window[axis])]
        return side_by_side(tiles, strides[axis], x.shape[axis], axis)

    return laid()
