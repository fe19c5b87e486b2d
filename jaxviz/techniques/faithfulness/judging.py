"""What all judges of heatmaps ask: what is judged, the score of variants, and a correlation."""

from typing import Any

import jax.numpy as jnp

from ..._asked import Problem, problem
from ..._checks import InputError, finite, image_batch, random_key
from ..._typing import Apply, Params, Score


def judged(
    apply: Apply, params: Params, images: Any, heatmap: Any, score: Score, key: Any
) -> tuple[Problem, Any]:
    """Check what is judged; the score, of one number an image, and the heatmap as floats."""
    image_batch(images)
    random_key(key)
    return single(problem(apply, params, images, score)), heatmap_of(heatmap, images.shape[:3])


def heatmap_of(heatmap: Any, shape: tuple[int, ...]) -> Any:
    """A heatmap (batch, height, width) as floats, all finite."""
    given = jnp.asarray(heatmap) if hasattr(heatmap, "shape") else heatmap
    if jnp.shape(given) != tuple(shape) or not hasattr(given, "dtype"):
        raise InputError(f"heatmap: expected {shape}, one number a pixel, got {jnp.shape(given)}")
    if not jnp.issubdtype(given.dtype, jnp.floating):
        given = given.astype(jnp.float32)
    return finite(given, "heatmap")


def single(asked: Problem) -> Problem:
    """Refuse a score of several numbers an image."""
    if asked.own is None and asked.shape:
        raise InputError(f"score: expected one number an image, got {asked.shape}")
    return asked


def own_score(asked: Problem, params: Params, variants: Any, own: Any) -> Any:
    """The scores (variants,) of variants of one image, which is asked for number `own`."""
    return jnp.take(asked.scored(params, variants), own, axis=1)


def correlation(one: Any, other: Any) -> Any:
    """Pearson's, along the last axis; NaN where either does not vary.

    >>> correlation(jnp.array([1.0, 2.0, 3.0]), jnp.array([3.0, 5.0, 7.0])).round(4).item()
    1.0
    """
    first, second = (x.max(axis=-1) > x.min(axis=-1) for x in (one, other))
    one, other = (x - x.mean(axis=-1, keepdims=True) for x in (one, other))
    norms = jnp.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    found = (one * other).sum(axis=-1) / jnp.where(norms > 0, norms, 1)
    return jnp.where(first & second & (norms > 0), found, jnp.nan)
