"""Pooling by slices: each place of the window is a strided slice, and the slices fuse."""

import functools
from collections.abc import Callable, Sequence

from jax import Array, lax


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
