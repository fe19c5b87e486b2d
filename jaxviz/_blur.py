"""Images blurred by a Gaussian, in two products of matrices."""

from typing import Any

import jax
import jax.numpy as jnp

from ._checks import InputError, is_finite

_NARROWEST = 1e-3  # pixels: of a neighbor's weight nothing is left, in float64 neither


def blurred(images: Any, sigma: Any) -> Any:
    """Images (batch, height, width, channel) blurred by a Gaussian of so many pixels.

    Beyond the edges there is nothing: what lies within weighs as much more. `sigma` may be traced.

    >>> blurred(jnp.ones((1, 3, 3, 1)), 2.0).round(4).ravel().tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    images = jnp.asarray(images)
    if not isinstance(sigma, jax.core.Tracer):
        sigma = sigma.item() if isinstance(sigma, jax.Array) and sigma.ndim == 0 else sigma
        if not is_finite(sigma) or sigma < 0:
            raise InputError(f"blur: expected pixels, 0 or more, got {sigma!r}")
    rows, cols = (_gaussian(length, sigma, images.dtype) for length in images.shape[1:3])
    return jnp.einsum("rh,bhwc,kw->brkc", rows, images, cols, precision="highest")


def _gaussian(length: int, sigma: Any, dtype: Any) -> Any:
    """The matrix (length, length) that blurs an axis; each row sums to 1."""
    places = jnp.arange(length, dtype=dtype)
    sigma = jnp.maximum(jnp.asarray(sigma, dtype), _NARROWEST)
    weights = jnp.exp(-0.5 * ((places[:, None] - places[None]) / sigma) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)
