"""The change of a convolution's input, spread by the kernel to the outputs that it reaches.

Either every changed pixel is multiplied by all taps and the products are added where they fall, or
the change is convolved in fewer products (see `toom_cook`).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..jaxpr.tape import Step
from . import policy, toom_cook
from .rounding import rounded, rounded_product


class Kernel(NamedTuple):
    """A kernel as the two ways of spreading read it.

    taps: (in, taps * out). points: (points, in, out), or None where there is no such way.
    """

    taps: Array
    points: Array | None


def num_products(step: Step, extents: Sequence[int]) -> int:
    """For each input and output channel, of a change of so many pixels an axis."""
    by_taps = math.prod(extents) * math.prod(taps_of(step))
    by_points = math.prod(toom_cook.num_products(extent, 3) for extent in extents)
    return by_points if _has_points(step) and policy.points_pay(by_points, by_taps) else by_taps


def taps_of(step: Step) -> list[int]:
    """The extents of a convolution's kernel."""
    shape, numbers = step.input_avals[1].shape, step.params["dimension_numbers"]
    return [shape[axis] for axis in numbers.rhs_spec[2:]]


def _has_points(step: Step) -> bool:
    return (
        {*taps_of(step)} == {3}
        and all(dilation == 1 for dilation in step.params["rhs_dilation"])
        and step.input_avals[0].dtype in (jnp.float32, jnp.float64)
    )


def prepare(step: Step, kernel: Array) -> Kernel:
    """kernel: (*taps, in, out), of a step with stride 1."""
    taps = jnp.moveaxis(kernel, -2, 0).reshape(kernel.shape[-2], -1)
    axes = range(kernel.ndim - 2)
    points = None
    if _has_points(step):
        points = toom_cook.stacked_at_points(jnp.flip(kernel, axes), len(axes))
    if step.rounded:
        return jax.tree.map(rounded, Kernel(taps, points))
    return Kernel(taps, points)


def spread(step: Step, change: Array, kernel: Kernel) -> Array:
    """Every pixel of change (chunk, batch, *space, in) times all taps, added where they fall."""
    extents = change.shape[2:-1]
    by_taps = math.prod(extents) * math.prod(taps_of(step))
    way = spread_by_taps if num_products(step, extents) == by_taps else spread_by_points
    return way(step, change, kernel)


def spread_by_taps(step: Step, change: Array, kernel: Kernel) -> Array:
    taps, rows = taps_of(step), change.reshape(-1, change.shape[-1])
    product = _product(step, rows, kernel.taps, (((1,), (0,)), ((), ())))
    product = product.reshape(*change.shape[:-1], *taps, -1)
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


def spread_by_points(step: Step, change: Array, kernel: Kernel) -> Array:
    assert kernel.points is not None

    def multiply(pixels: Array, weights: Array) -> Array:
        return _product(step, pixels, weights, (((2,), (1,)), ((0,), (0,))))

    images = change.reshape(-1, *change.shape[2:])
    result = toom_cook.convolve(images, kernel.points, taps_of(step), multiply)
    return result.reshape(*change.shape[:2], *result.shape[1:])


def _product(step: Step, change: Array, kernel: Array, numbers: Any) -> Array:
    if step.rounded:
        return rounded_product(change, kernel, numbers)
    return lax.dot_general(
        change,
        kernel,
        numbers,
        precision=step.params["precision"],
        preferred_element_type=step.params["preferred_element_type"],
    )
