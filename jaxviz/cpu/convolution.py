"""Convolutions of channels-last arrays as a CPU takes them fastest."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from . import policy, toom_cook


def group_by_group(
    images: Array, kernel: Array, groups: int, convolve: Callable[[Array, Array, int], Array]
) -> Array:
    """`convolve(images, kernel, groups)`, one group after the other where that is faster.

    The channels are last in the images, the kernel and the result, which is equal within round-off.
    """
    if groups == 1 or not policy.groups_one_by_one(groups):
        return convolve(images, kernel, groups)
    pairs = zip(jnp.split(images, groups, axis=-1), jnp.split(kernel, groups, axis=-1), strict=True)
    return jnp.concatenate([convolve(*pair, 1) for pair in pairs], axis=-1)


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
