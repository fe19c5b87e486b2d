"""Layers that several of our networks share."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from ..cpu.convolution import group_by_group


def max_pool(x: jax.Array, *, window: int = 3, stride: int = 2, ceil: bool = False) -> jax.Array:
    """Max-pool (batch, height, width, channels); `ceil` keeps the last, partly filled windows.

    Caffe rounds the number of windows up, torch and JAX round it down. Rounding up is padding at
    the bottom and right, with minus infinity, far enough for the last window.
    """
    padding = [(0, 0), (0, 0)]
    if ceil:
        padding = [(0, -(side - window) % stride) for side in x.shape[1:3]]
    return nnx.max_pool(x, (window, window), strides=(stride, stride), padding=padding)


def local_response_norm(x: jax.Array, *, size: int, alpha: float, k: float) -> jax.Array:
    """Divide each number by (k + alpha / size * sum of squares) ** 0.75.

    The sum runs over `size` neighboring channels of (batch, height, width, channels), and less at
    the first and last ones. Krizhevsky et al. 2012, section 3.3, but for alpha, which Caffe
    divides by the size.
    """
    around = (0, 0), (0, 0), (0, 0), (size // 2, size // 2)
    squares = lax.reduce_window(x * x, 0.0, lax.add, (1, 1, 1, size), (1, 1, 1, 1), around)
    root = lax.rsqrt(k + alpha / size * squares)
    return x * root * jnp.sqrt(root)  # roots are several times faster than a power


def convolution_by_group(
    x: jax.Array, kernel: jax.Array, *args: Any, feature_group_count: int, **options: Any
) -> jax.Array:
    """`lax.conv_general_dilated` of channels-last arrays; on a CPU one group after the other."""

    def convolve(x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
        options["feature_group_count"] = groups
        return lax.conv_general_dilated(x, kernel, *args, **options)

    return group_by_group(x, kernel, feature_group_count, convolve)
