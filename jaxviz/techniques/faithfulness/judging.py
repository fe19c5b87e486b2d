"""What all judges of heatmaps ask: what is judged, and the score of variants."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from ..._asked import Problem, problem
from ..._checks import InputError, checked_heatmap, image_batch, random_key
from ..._typing import Apply, Params, Score


def judged(apply: Apply, params: Params, images: Any, score: Score, key: Any) -> Problem:
    """Check what a heatmap is judged by: a score of one number an image."""
    image_batch(images)
    random_key(key)
    return single(problem(apply, params, images, score))


def as_ranks(heatmap: Any, shape: tuple[int, ...]) -> Any:
    """A heatmap of which the order counts alone, as floats that keep it.

    Wider numbers on the host, such as float64 and int64, become their places in the order of each
    image, since float32 may not tell them apart.
    """
    found = checked_heatmap(heatmap, shape)
    is_wider = isinstance(heatmap, np.ndarray) and not np.can_cast(heatmap.dtype, found.dtype)
    if not is_wider or not heatmap.size:
        return found
    places = [np.unique(one, return_inverse=True)[1].reshape(shape[1:]) for one in heatmap]
    return jnp.asarray(np.stack(places), found.dtype)


def single(asked: Problem) -> Problem:
    """Refuse a score of several numbers an image."""
    if asked.own is None and asked.shape:
        raise InputError(f"score: expected one number an image, got {asked.shape}")
    return asked


def own_score(asked: Problem, params: Params, variants: Any, own: Any) -> Any:
    """The scores (variants,) of variants of one image, which is asked for number `own`."""
    return jnp.take(asked.scored(params, variants), own, axis=1)
