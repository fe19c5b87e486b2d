"""Layers that several of our networks share."""

import jax
from flax import nnx


def max_pool(x: jax.Array, *, window: int = 3, stride: int = 2, ceil: bool = False) -> jax.Array:
    """Max-pool (batch, height, width, channels); `ceil` keeps the last, partly filled windows.

    Caffe rounds the number of windows up, torch and JAX round it down. Rounding up is padding at
    the bottom and right, with minus infinity, far enough for the last window.
    """
    padding = [(0, 0), (0, 0)]
    if ceil:
        padding = [(0, -(side - window) % stride) for side in x.shape[1:3]]
    return nnx.max_pool(x, (window, window), strides=(stride, stride), padding=padding)
