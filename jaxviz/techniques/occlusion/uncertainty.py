"""Occlusion with fills drawn again and again: what of a map is told from zero, and from chance."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._blur import blurred
from ..._checks import InputError, count, image_batch, random_key
from ..._statistics import mid_places
from ..._typing import Apply, Images, Params, Score
from .mapping import occlusion_map

_SURE = 0.975  # of both sides together 95 %
_BLURS = (0.04, 0.12)  # of the shorter side


class OcclusionStatistics(NamedTuple):
    """What hiding did, over many fills.

    `drop` (batch, rows, cols): the mean drop of the score with the window at each place of the
    grid, and `standard_error` of that mean. `beats`: the share of chance means that it exceeds, of
    which each is the mean of drops at places drawn at random, one for each fill; 0.5 is nothing,
    and near 0 or 1 is what no fill alone explains. `heatmap` (batch, height, width) is the drop on
    the pixels, as in `OcclusionMap`, `heatmap_error` its standard error, and `distinct` where its
    95 % interval (Student's t) leaves zero out. `scores` (fills, batch, rows, cols) are all that
    was measured, `baseline` (batch,) is the score of the whole image, and `coverage`
    (height, width) how many windows cover each pixel.
    """

    drop: Any
    standard_error: Any
    beats: Any
    heatmap: Any
    heatmap_error: Any
    distinct: Any
    scores: Any
    baseline: Any
    coverage: Any


def occlusion_statistics(
    apply: Apply,
    params: Params,
    images: Images,
    *,
    score: Score,
    window: int | tuple[int, int],
    stride: int | tuple[int, int],
    fills: Any,
    key: Any,
    num_chance: int = 1000,
    chunk_size: int | None = None,
    precision: str | None = None,
) -> OcclusionStatistics:
    """Occlude by many fills, for a map with its error: one fill alone decides much of it.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        images: normalized float images (batch, height, width, channel), all finite.
        score: a function of the outputs that returns one number an image.
        window: size of the hidden part in pixels, as for `occlusion_map`.
        stride: step between windows in pixels.
        fills: three images or more to hide with, in normalized units, for each image its own,
            (fills, batch, height, width, channel), such as `random_fills` draws.
        key: of the places drawn at random.
        num_chance: chance means to compare with.
        chunk_size: how many occluded images are evaluated at a time.
        precision: None or "bfloat16", as for `occlusion_map`.

    Raises:
        InputError: as `occlusion_map`, or one of the others is not as above.

    >>> mean = lambda params, images: {"mean": images.mean(axis=(1, 2))}
    >>> images, fills = np.ones((1, 4, 4, 1), np.float32), np.zeros((3, 1, 4, 4, 1), np.float32)
    >>> score = lambda outputs: outputs["mean"][:, 0]
    >>> found = occlusion_statistics(mean, None, images, score=score, window=2, stride=2,
    ...                              fills=fills, key=jax.random.key(0))
    >>> found.drop.tolist(), bool(found.distinct.all())
    ([[[0.25, 0.25], [0.25, 0.25]]], True)
    """
    image_batch(images)
    random_key(key)
    count(num_chance, "num_chance")
    try:
        shape = np.shape(fills)
    except ValueError:
        raise InputError("fills: their shapes differ") from None
    if len(shape) != 5 or shape[1:] != images.shape or shape[0] < 3:
        raise InputError(f"fills: expected 3 or more of shape {images.shape}, got {shape}")
    every = getattr(score, "for_every_image", None)
    if every is not None:
        raise InputError("score: expected one class for all images; explain the others apart")
    drawn = [
        [
            occlusion_map(
                apply, params, images[place : place + 1], score=score, window=window,
                stride=stride, fill=fill[place], chunk_size=chunk_size, precision=precision,
            )
            for place in range(len(images))
        ]
        for fill in fills
    ]  # fmt: skip

    def stacked(field: str) -> Any:
        rows = [jnp.concatenate([getattr(one, field) for one in row]) for row in drawn]
        return jnp.stack(rows)

    scores, heatmaps, baseline = stacked("scores"), stacked("heatmap"), stacked("baseline")[0]
    if scores.ndim != 4:
        raise InputError(f"score: expected one number an image, got {scores.shape[4:]}")
    from scipy.special import stdtrit  # slow, and needed by few

    drops = baseline[None, :, None, None] - scores
    drop, error = _mean_and_error(drops)
    heatmap, heatmap_error = _mean_and_error(heatmaps)
    sure = float(stdtrit(len(scores) - 1, _SURE))
    return OcclusionStatistics(
        drop, error, _beats(drops, drop, key, num_chance), heatmap, heatmap_error,
        jnp.abs(heatmap) > sure * heatmap_error, scores, baseline, drawn[0][0].coverage,
    )  # fmt: skip


def _mean_and_error(values: Any) -> tuple[Any, Any]:
    """The mean over the first axis, and its standard error."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def _beats(drops: Any, drop: Any, key: Any, number: int) -> Any:
    """The share of means at places drawn for each fill that the mean of each place exceeds."""
    fills, batch, rows, cols = drops.shape
    flat = drops.reshape(fills, batch, rows * cols)
    places = jax.random.randint(key, (fills, batch, number), 0, rows * cols)
    chance = jnp.sort(jnp.take_along_axis(flat, places, axis=2).mean(axis=0), axis=1)
    own = drop.reshape(batch, rows * cols)
    return (mid_places(chance, own) / number).reshape(batch, rows, cols)


def random_fills(images: Images, *, key: Any, num: int) -> Any:
    """Fills to draw from, in turn: a picture moved at random, noise, and the image itself blurred.

    The pictures are those of the batch, moved by a quarter of each side at least; the noise is of
    each pixel by itself and has the batch's mean and spread of each channel; the Gaussian that
    blurs is 4 to 12 % of the shorter side. Returns (num, batch, height, width, channel).

    >>> random_fills(np.ones((2, 8, 8, 3), np.float32), key=jax.random.key(0), num=4).shape
    (4, 2, 8, 8, 3)
    """
    image_batch(images)
    random_key(key)
    images = jnp.asarray(images)
    batch, height, width, _ = images.shape
    mean = images.mean(axis=(0, 1, 2), keepdims=True)
    spread = images.std(axis=(0, 1, 2), keepdims=True)

    def moved(key: Any) -> Any:
        which, *moves = jax.random.split(key, 3)
        chosen = images[jax.random.randint(which, (batch,), 0, batch)]
        down, right = (
            jax.random.randint(one, (batch,), length // 4, length - length // 4)
            for one, length in zip(moves, (height, width), strict=True)
        )
        return jax.vmap(lambda image, down, right: jnp.roll(image, (down, right), (0, 1)))(
            chosen, down, right
        )

    def noise(key: Any) -> Any:
        return mean + spread * jax.random.normal(key, images.shape, images.dtype)

    def soft(key: Any) -> Any:
        low, high = (share * min(height, width) for share in _BLURS)
        return blurred(images, jax.random.uniform(key, (), images.dtype, minval=low, maxval=high))

    kinds = (moved, noise, soft)
    return jnp.stack(
        [kinds[place % 3](jax.random.fold_in(key, place)) for place in range(count(num, "num"))]
    )
