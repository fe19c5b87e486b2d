"""Convolutions of channels-last arrays as a CPU takes them fastest."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from . import policy, toom_cook


def group_by_group(
    images: Array, kernel: Array, groups: int, convolve: Callable[[Array, Array, int], Array]
) -> Array:
    """`convolve(images, kernel, groups)`, a few groups at a time where that is faster.

    The channels are last in the images, the kernel and the result, which is equal within round-off.
    """
    parts = policy.parts_of_groups(groups, kernel.shape[-2])
    if groups == 1 or parts == 1:
        return convolve(images, kernel, groups)
    merged = _merged(kernel, groups, groups // parts)
    pairs = zip(jnp.split(images, parts, axis=-1), jnp.split(merged, parts, axis=-1), strict=True)
    return jnp.concatenate([convolve(*pair, 1) for pair in pairs], axis=-1)


def _merged(kernel: Array, groups: int, together: int) -> Array:
    """The kernel of so many groups together, with zeros from one group to another."""
    if together == 1:
        return kernel
    *taps, into, out = kernel.shape
    each = out // groups
    apart = kernel.reshape(*taps, into, groups // together, together, each)
    own = jnp.eye(together, dtype=kernel.dtype).reshape(together, 1, 1, together, 1)
    blocks = apart[..., None, :, :, :, :] * own
    return blocks.reshape(*taps, together * into, out)


def is_by_shifts(images: Any, kernel: Any, groups: int) -> bool:
    """Whether `depthwise` does such a convolution, and pays."""
    return (
        groups == images.shape[-1] > 1
        and images.dtype == kernel.dtype
        and images.dtype in (jnp.float32, jnp.float64)
        and policy.shifts_pay(math.prod(kernel.shape[:-2]))
    )


def depthwise(
    images: Array, kernel: Array, strides: Sequence[int], dilation: Sequence[int]
) -> Array:
    """A convolution of each channel by itself, without padding: products of shifted images.

    images: (batch, *space, channel). kernel: (*taps, 1, out), the outputs of a channel in a row.
    """
    *taps, _, out = kernel.shape
    if out != images.shape[-1]:
        images = jnp.repeat(images, out // images.shape[-1], axis=-1)
    ends = [
        (extent - (size - 1) * gap - 1) // step * step + 1
        for extent, size, gap, step in zip(images.shape[1:-1], taps, dilation, strides, strict=True)
    ]
    total: Any = None
    for tap in np.ndindex(*taps):
        starts = [place * gap for place, gap in zip(tap, dilation, strict=True)]
        limits = [start + end for start, end in zip(starts, ends, strict=True)]
        shifted = lax.slice(
            images, (0, *starts, 0), (images.shape[0], *limits, out), (1, *strides, 1)
        )
        product = shifted * kernel[(*tap, 0)].reshape((1,) * len(taps) + (1, out))
        total = product if total is None else total + product
    return total


def correlation_by_points(images: Array, kernel: Array, precision: Any) -> Array:
    """A convolution of stride 1 without padding. kernel: (r, r, in, out) with r of 3 or 5."""
    taps = kernel.shape[0]
    axes = policy.toom_cook_axes(taps)

    def multiply(pixels: Array, weights: Array) -> Array:
        if axes == 2:
            return jnp.matmul(pixels, weights, precision=precision)
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            pixels, weights[None], (1, 1), "VALID", dimension_numbers=numbers, precision=precision
        )

    at_points = toom_cook.kernel_at_points(kernel, axes)
    return toom_cook.correlate(images, at_points, [taps] * axes, multiply)
