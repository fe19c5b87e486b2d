"""The change of a convolution's input, spread by the kernel to the outputs that it reaches."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..jaxpr.tape import Step


class Kernel(NamedTuple):
    """A kernel as the two ways of spreading read it.

    taps: (in, *taps, out). points: (points, in, out), or None where there is no such way.
    """

    taps: Array
    points: Array | None


def num_products(step: Step, extents: Sequence[int]) -> int:
    """For each input and output channel, of a change of so many pixels an axis."""
    if _points_pay(step, extents):
        return _num_products_by_points(extents)
    return math.prod(extents) * math.prod(_taps(step))


def _num_products_by_points(extents: Sequence[int]) -> int:
    return math.prod(4 * -(-extent // 2) for extent in extents)


def _points_pay(step: Step, extents: Sequence[int]) -> bool:
    by_taps = math.prod(extents) * math.prod(_taps(step))
    return _has_points(step) and _num_products_by_points(extents) * 4 <= by_taps * 3


def _taps(step: Step) -> list[int]:
    shape, numbers = step.input_avals[1].shape, step.params["dimension_numbers"]
    return [shape[axis] for axis in numbers.rhs_spec[2:]]


def _has_points(step: Step) -> bool:
    return (
        all(extent == 3 for extent in _taps(step))
        and all(dilation == 1 for dilation in step.params["rhs_dilation"])
        and step.input_avals[0].dtype in (jnp.float32, jnp.float64)
    )


def prepare(step: Step, kernel: Array) -> Kernel:
    """kernel: (*taps, in, out), of a step with stride 1."""
    taps = jnp.moveaxis(kernel, -2, 0)
    if not _has_points(step):
        return Kernel(taps, None)
    rank = kernel.ndim - 2
    for axis in range(rank):
        last, middle, first = jnp.moveaxis(kernel, axis, 0)
        half = (first + last) / 2
        kernel = jnp.stack([first, half + middle / 2, half - middle / 2, last])
    return Kernel(taps, kernel.reshape(4**rank, *kernel.shape[-2:]))


def spread(step: Step, change: Array, kernel: Kernel) -> Array:
    """Every pixel of change (chunk, batch, *space, in) times all taps, summed where they fall."""
    way = by_points if _points_pay(step, change.shape[2:-1]) else by_taps
    return way(step, change, kernel)


def by_taps(step: Step, change: Array, kernel: Kernel) -> Array:
    taps = _taps(step)
    product = _products(step, change, kernel.taps, (((change.ndim - 1,), (0,)), ((), ())))
    frame: Any = 0
    for tap in np.ndindex(*taps):
        margins = [
            ((extent - 1 - i) * dilation, i * dilation, 0)
            for i, extent, dilation in zip(tap, taps, step.params["rhs_dilation"], strict=True)
        ]
        piece = product[(slice(None),) * (len(taps) + 2) + tap]
        none = [(0, 0, 0)]
        frame += lax.pad(piece, jnp.zeros((), piece.dtype), [*none * 2, *margins, *none])
    return jnp.asarray(frame)


def by_points(step: Step, change: Array, kernel: Kernel) -> Array:
    """Toom-Cook: along an axis, 2 pixels and 3 taps take 4 products instead of 6.

    Pixels and taps are coefficients of polynomials, which are multiplied at 0, 1, -1 and infinity.
    """
    extents = change.shape[2:-1]
    for axis in range(len(extents)):
        # Points come first; each axis of space that is done has put one before it.
        change = _pixels_at_points(change, 2 + 2 * axis)
    assert kernel.points is not None
    flat = change.reshape(len(kernel.points), -1, change.shape[-1])
    product = _products(step, flat, kernel.points, (((2,), (1,)), ((0,), (0,))))
    product = product.reshape(*change.shape[:-1], -1)
    for axis, extent in reversed(list(enumerate(extents))):
        product = _interpolated(list(product), 2 + 2 * axis, extent + 2)
    return product


def _products(step: Step, change: Array, kernel: Array, numbers: Any) -> Array:
    return lax.dot_general(
        change,
        kernel,
        numbers,
        precision=step.params["precision"],
        preferred_element_type=step.params["preferred_element_type"],
    )


def _pixels_at_points(change: Array, axis: int) -> Array:
    if change.shape[axis] % 2:
        change = _padded(change, axis, 0, 1)
    first = lax.slice_in_dim(change, 0, None, 2, axis)
    second = lax.slice_in_dim(change, 1, None, 2, axis)
    return jnp.stack([first, first + second, first - second, second])


def _interpolated(at: Sequence[Array], axis: int, extent: int) -> Array:
    """From the products at the points to pixels, of which neighboring pairs overlap by two."""
    even = _padded(at[0], axis, 0, 1) + _padded(at[1] + at[2] - at[0], axis, 1, 0)
    odd = _padded(at[1] - at[2] - at[3], axis, 0, 1) + _padded(at[3], axis, 1, 0)
    both = jnp.stack([even, odd], axis + 1)
    both = both.reshape(*both.shape[:axis], -1, *both.shape[axis + 2 :])
    return lax.slice_in_dim(both, 0, extent, axis=axis)


def _padded(x: Array, axis: int, low: int, high: int) -> Array:
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (low, high, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), config)
