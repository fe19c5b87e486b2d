"""Infidelity: how far a heatmap's sums over windows are from what hiding them did."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._checks import InputError, checked_heatmap, type_name
from .problem import OcclusionMap, coverage_of, places_of


class Infidelity(NamedTuple):
    """Of each image, (batch,).

    `value` is the mean squared difference of the heatmap's sum over a window and the drop of the
    score, in squared units of the score. `normalized` is that with the heatmap multiplied by the
    best `factor`, 0 or more, as a share of the mean squared drop: 0 is perfect, 1 says nothing.
    """

    value: Any
    normalized: Any
    factor: Any


def infidelity(
    heatmap: Any,
    occluded: OcclusionMap,
    *,
    window: int | tuple[int, int],
    stride: int | tuple[int, int],
) -> Infidelity:
    """Judge a heatmap by an occlusion, which measured all that this needs (Yeh et al. 2019, eq. 1).

    Occlusion's own heatmap is judged by what it was made of, unless `occluded` has another fill.

    Args:
        heatmap: (batch, height, width), in units of the score.
        occluded: what `occlusion_map` returned for the images, with one score for each.
        window: that of the occlusion.
        stride: that of the occlusion.

    Raises:
        InputError: these do not fit together.

    >>> import numpy as np
    >>> occluded = OcclusionMap(np.array([[[2.0, 0.0]]]), np.array([3.0]), None, np.ones((1, 2)))
    >>> found = infidelity(np.array([[[1.0, 3.0]]]), occluded, window=1, stride=1)
    >>> found.value.tolist(), found.normalized.round(4).tolist()
    ([0.0], [0.0])
    """
    if not isinstance(occluded, OcclusionMap):
        raise InputError(f"occluded: expected an OcclusionMap, got {type_name(occluded)}")
    shape = jnp.shape(occluded.coverage)
    if jnp.ndim(occluded.scores) != 3:
        raise InputError(f"occluded: expected one score an image, got {occluded.scores.shape[3:]}")
    heatmap = checked_heatmap(heatmap, (len(occluded.baseline), *shape))
    sizes, rows, cols = places_of((*shape, 1), window, stride)
    if (len(rows), len(cols)) != tuple(occluded.scores.shape[1:]):
        raise InputError(f"window, stride: {window}, {stride} are not those of the occlusion")
    down, right = (
        coverage_of(starts, size, length)
        for starts, size, length in zip((rows, cols), sizes, shape, strict=True)
    )
    coverage = down.sum(axis=0)[:, None] * right.sum(axis=0)[None]
    if (
        not isinstance(occluded.coverage, jax.core.Tracer)
        and (np.asarray(occluded.coverage) != coverage).any()
    ):
        raise InputError(f"window, stride: {window}, {stride} are not those of the occlusion")
    sums = jnp.einsum("bhw,rh,cw->brc", heatmap, down, right, precision="highest")
    drops = jnp.asarray(occluded.baseline)[:, None, None] - occluded.scores
    square = (sums**2).sum(axis=(1, 2))
    products = jnp.maximum((sums * drops).sum(axis=(1, 2)), 0)  # not a map turned around
    factor = products / jnp.where(square > 0, square, 1)
    missed = ((factor[:, None, None] * sums - drops) ** 2).sum(axis=(1, 2))
    total = (drops**2).sum(axis=(1, 2))
    share = jnp.where(total > 0, missed / jnp.where(total > 0, total, 1), jnp.nan)
    return Infidelity(((sums - drops) ** 2).mean(axis=(1, 2)), share, factor)
