"""Occlusion: hide a part of the image, watch the score, draw what mattered.

Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2, fig. 7.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ... import devices
from ..._checks import InputError, choice, count, finite, image_batch, image_fill, image_type, pair
from ..._checks import image_shape as checked_shape
from ..._contract import score_shape, scores_of
from ..._independence import independent
from ..._typing import Apply, Images, Params, Score
from ...cpu.compilation import compiled, evaluate, inside_a_trace
from ...incremental import Explanation, WindowedOutputs, explain, windowed_outputs

METHODS = ("incremental", "full")
_MAX_HEATMAP = 2**30  # numbers, 4 GB
_FULL_CHUNK = 32  # whole passes at a time: what measures fastest on CPUs, and small


class OcclusionMap(NamedTuple):
    """What happened to the score as a window was hidden, place by place.

    `scores` (batch, rows, cols, ...): the score with the window at each place of the grid.
    `baseline` (batch, ...): the score of the whole image.
    `heatmap` (batch, height, width, ...): baseline minus occluded score, averaged over the windows
    that cover a pixel, in units of the score; positive (hot) where hiding hurt.
    `coverage` (height, width): how many windows cover each pixel, at least one.

    The dots stand for what a score returns besides one number an image.
    """

    scores: Any
    baseline: Any
    heatmap: Any
    coverage: Any


def window_starts(length: int, window: int, stride: int) -> np.ndarray:
    """The first pixels of the windows along one axis; the last window touches the edge.

    >>> window_starts(10, 4, 4).tolist()
    [0, 4, 6]
    """
    if window > length:
        raise InputError(f"window: {window} is larger than the image, {length} pixels")
    last = length - window
    return np.append(np.arange(0, last, stride), last).astype(np.int32)


def occlusion_map(
    apply: Apply,
    params: Params,
    images: Images,
    *,
    score: Score,
    window: int | tuple[int, int],
    stride: int | tuple[int, int],
    fill: ArrayLike | Sequence[float],
    method: str = "incremental",
    chunk_size: int | None = None,
    heatmap: bool = True,
) -> OcclusionMap:
    """Measure how the score of each image changes as a window of it is replaced.

    Args:
        apply: `apply(params, images) -> {layer: activations}`, where no image may depend on the
            others of its batch: batch normalization must use its running averages.
        params: any pytree of arrays.
        images: normalized float images (batch, height, width, channel), all finite.
        score: a function of the outputs, such as `jaxviz.log_probability(281)`, that returns one
            number an image, (batch,), or many, (batch, ...). It sees the images one or some at a
            time; for a class for each image, give `logit` and the like one for each.
        window: size of the hidden part in pixels, one number or (rows, cols).
        stride: step between windows in pixels, one number or (rows, cols). The last window is
            shifted to touch the edge, so that every pixel is covered when stride <= window.
        fill: what replaces the window, in normalized units: a number, one for each channel, or an
            image. The training-set mean is `network.spec.mean_fill`.
        method: "incremental" recomputes only what each window changes, for any network, and equals
            "full", which evaluates every occluded image from the start, within round-off.
        chunk_size: how many occluded images are evaluated at a time; memory grows with it, the
            answer does not depend on it. By default as many as keep the memory within bounds.
        heatmap: False leaves the heatmap out (None), for scores of so many numbers, a whole layer
            say, that one for each pixel would not fit.

    Raises:
        InputError: the window is larger than the image, the stride larger than the window, the
            fill or the score has the wrong shape, images or fill hold what is not finite, or the
            heatmap would be too large; or the images of a batch depend on one another.

    >>> mean = lambda params, images: {"mean": images.mean(axis=(1, 2))}
    >>> images = np.ones((1, 4, 4, 1), np.float32)
    >>> result = occlusion_map(mean, None, images, score=lambda outputs: outputs["mean"][:, 0],
    ...                        window=2, stride=2, fill=0.0)
    >>> result.scores.tolist()
    [[[0.75, 0.75], [0.75, 0.75]]]
    >>> float(result.heatmap[0, 0, 0])
    0.25
    """
    finite(image_batch(images), "images")
    choice(method, "method", METHODS)
    if chunk_size is not None:
        count(chunk_size, "chunk_size")
    shape = images.shape[1:]
    window, rows, cols = places_of(shape, window, stride)
    filling = image_fill(fill, shape, images.dtype)
    every = getattr(score, "for_every_image", None)
    if every is not None:
        score = every(images.shape[0])
    numbers = math.prod(score_shape(score, apply, params, images))
    if heatmap and numbers * shape[0] * shape[1] > _MAX_HEATMAP:
        raise InputError(
            f"score: {numbers} numbers for each of {shape[0]} x {shape[1]} pixels are too many for "
            "a heatmap; pass heatmap=False and use the scores"
        )

    independent(apply, params, shape, images.dtype)
    params, images, filling = devices.gathered((params, images, filling))
    grid = tuple((int(top), int(left)) for top in rows for left in cols)
    measure = _incremental if method == "incremental" else _full
    baseline, scores = measure(
        params, images, filling, apply=apply, score=score, window=window, grid=grid,
        chunk_size=chunk_size,
    )  # fmt: skip
    scores = scores.reshape(images.shape[0], len(rows), len(cols), *scores.shape[2:])
    if every is not None:  # each image keeps its own class of all
        own = np.arange(images.shape[0])
        baseline, scores = baseline[own, own], scores[own, :, :, own]
    covers = [coverage_of(starts, window[i], shape[i]) for i, starts in enumerate((rows, cols))]
    coverage = covers[0].sum(0)[:, None] * covers[1].sum(0)[None]
    averaged = _spread(baseline, scores, *covers) if heatmap else None
    return OcclusionMap(scores, baseline, averaged, jnp.asarray(coverage, jnp.int32))


def _incremental(
    params: Params,
    images: Any,
    fill: Any,
    *,
    apply: Apply,
    score: Score,
    window: tuple[int, int],
    grid: tuple[tuple[int, int], ...],
    chunk_size: int | None,
) -> tuple[Any, Any]:
    tops, lefts = zip(*grid, strict=True)

    def of_one(image: Any) -> WindowedOutputs:
        return windowed_outputs(
            lambda batch: scores_of(score, apply, params, batch), image, fill, tops, lefts,
            window=window, chunk_size=chunk_size,
        )  # fmt: skip

    if inside_a_trace() or isinstance(images, jax.core.Tracer):
        clean, outputs = jax.lax.map(of_one, images)
    else:  # image by image, one compiled program serves all
        found = [of_one(image) for image in images]
        clean, outputs = (jnp.stack(values) for values in zip(*found, strict=True))
    return clean[:, 0], outputs[:, :, 0]


def explain_occlusion(
    apply: Apply,
    params: Params,
    image_shape: Sequence[int],
    *,
    score: Score,
    window: int | tuple[int, int],
    stride: int | tuple[int, int],
) -> Explanation:
    """Say what method="incremental" does with a network, operation by operation.

    The options are those of `occlusion_map`, `image_shape` is (height, width, channel), and the
    images have the type of the params. The result prints as a table: the operations, the boxes that
    are recomputed, the share of the arithmetic that is left, and where and why whole maps are
    evaluated. Nothing is computed.

    >>> mean = lambda params, images: {"mean": images.mean(axis=(1, 2))}
    >>> explain_occlusion(mean, None, (8, 8, 3), score=lambda outputs: outputs["mean"][:, 0],
    ...                   window=4, stride=4).group_sizes
    (4,)
    """
    shape = checked_shape(image_shape)
    window, rows, cols = places_of(shape, window, stride)
    tops, lefts = np.repeat(rows, len(cols)), np.tile(cols, len(rows))
    dtype = image_type(params)
    every = getattr(score, "for_every_image", None)
    if every is not None:
        score = every(len(score.index))  # type: ignore[attr-defined]
    score_shape(score, apply, params, jax.ShapeDtypeStruct((1, *shape), dtype))
    return explain(
        lambda x: scores_of(score, apply, params, x), shape, tops, lefts, window=window, dtype=dtype
    )


def places_of(
    shape: tuple[int, ...], window: int | tuple[int, int], stride: int | tuple[int, int]
) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
    """The window's size and where its corners stand, by rows and by columns."""
    window, stride = pair(window, "window"), pair(stride, "stride")
    if any(step > side for step, side in zip(stride, window, strict=True)):
        raise InputError(f"stride: {stride} is larger than the window {window}; pixels are missed")
    rows, cols = (window_starts(shape[i], window[i], stride[i]) for i in (0, 1))
    return window, rows, cols


def _full(
    params: Params,
    images: Any,
    fill: Any,
    *,
    apply: Apply,
    score: Score,
    window: tuple[int, int],
    grid: tuple[tuple[int, int], ...],
    chunk_size: int | None,
) -> tuple[Any, Any]:
    """All (image, place) pairs in chunks of one size; the last is filled up with repetitions."""
    batch, height, width, _ = images.shape
    chunk_size = min(chunk_size or _FULL_CHUNK, len(grid) * batch)
    which = np.repeat(np.arange(batch, dtype=np.int32), len(grid))
    places = np.tile(np.asarray(grid, np.int32), (batch, 1))
    chunks = -(-len(which) // chunk_size)
    order = np.arange(chunks * chunk_size).reshape(chunks, chunk_size) % len(which)

    def measured(params: Params, images: Any, fill: Any, chosen: Any) -> tuple[Any, Any]:
        def occluded(index: Any, place: Any) -> Any:
            row = jnp.arange(height, dtype=jnp.int32)[:, None, None]
            col = jnp.arange(width, dtype=jnp.int32)[None, :, None]
            top, left = place
            inside = (row >= top) & (row < top + window[0])
            inside &= (col >= left) & (col < left + window[1])
            return jnp.where(inside, fill, images[index])

        def of_chunk(chunk: Any) -> Any:
            return scores_of(score, apply, params, jax.vmap(occluded)(*chunk))

        return scores_of(score, apply, params, images), jax.lax.map(of_chunk, chosen)

    baseline, scores = evaluate(measured, params, images, fill, (which[order], places[order]))
    scores = scores.reshape(-1, *scores.shape[2:])[: len(which)]
    return baseline, scores.reshape(batch, len(grid), *scores.shape[1:])


def coverage_of(starts: np.ndarray, window: int, length: int) -> np.ndarray:
    """One row a window: 1 where it covers the pixel, else 0."""
    pixels = np.arange(length)[None]
    first = starts[:, None]
    return ((pixels >= first) & (pixels < first + window)).astype(np.float32)


@compiled
def _spread(baseline: Any, scores: Any, row_covers: Any, col_covers: Any) -> Any:
    """Average the drop of the score over the windows that cover each pixel."""
    drop = baseline[:, None, None] - scores
    total = jnp.einsum("brc...,rh,cw->bhw...", drop, row_covers, col_covers, precision="highest")
    coverage = row_covers.sum(0)[:, None] * col_covers.sum(0)[None]
    return total / coverage.reshape(1, *coverage.shape, *(1,) * (total.ndim - 3))
