"""What all judges of heatmaps ask: what is judged, and the score of variants."""

from typing import Any

import jax.numpy as jnp

from ..._asked import Problem, problem
from ..._checks import InputError, checked_heatmap, image_batch, random_key
from ..._typing import Apply, Params, Score


def judged(
    apply: Apply, params: Params, images: Any, heatmap: Any, score: Score, key: Any
) -> tuple[Problem, Any]:
    """Check what is judged; the score, of one number an image, and the heatmap as floats."""
    image_batch(images)
    random_key(key)
    return single(problem(apply, params, images, score)), checked_heatmap(heatmap, images.shape[:3])


def single(asked: Problem) -> Problem:
    """Refuse a score of several numbers an image."""
    if asked.own is None and asked.shape:
        raise InputError(f"score: expected one number an image, got {asked.shape}")
    return asked


def own_score(asked: Problem, params: Params, variants: Any, own: Any) -> Any:
    """The scores (variants,) of variants of one image, which is asked for number `own`."""
    return jnp.take(asked.scored(params, variants), own, axis=1)
