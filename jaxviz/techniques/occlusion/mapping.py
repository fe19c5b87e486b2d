"""Occlusion: hide a part of the image, watch the score, draw what mattered.

Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2, fig. 7.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..._asked import chunk_order
from ..._checks import InputError, choice, image_type
from ..._checks import image_shape as checked_shape
from ..._contract import score_shape, scores_of
from ..._typing import Apply, Images, Params, Score
from ...cpu import policy
from ...cpu.compilation import evaluate, inside_a_trace, program
from ...incremental import Explanation, WindowedOutputs, explain, windowed_outputs
from .problem import OcclusionMap, Problem, places_of, problem_of

_MOST_FULL = 32  # whole passes at a time
_PRECISIONS = ("bfloat16",)


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
    precision: str | None = None,
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
        precision: "bfloat16" lets method="incremental" round what a window changes before it is
            multiplied, on CPUs where that is faster (AMX or AVX-512 BF16), and never inside of a
            `jit` of one's own. Sums are float32; the scores of the whole images, other types, and
            products for which the network asks for a precision stay as they are. The error is a
            share of the changes that are summed up: of heatmaps of photographs mostly less than
            half a percent of their range, and up to one percent. An image of which a window hides
            numbers many times as large as all others is not rounded. None rounds nothing.

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
    measure = measure_of(method, precision)
    asked = problem_of(
        apply, params, images, score=score, window=window, stride=stride, fill=fill,
        chunk_size=chunk_size, heatmap=heatmap, precision=precision,
    )  # fmt: skip
    return asked.result(*measure(asked, asked.grid), heatmap=heatmap)


def incremental(asked: Problem, grid: Sequence[tuple[int, int]]) -> tuple[Any, Any]:
    """The scores of the images, and with a window at some places, (batch, places, ...)."""
    tops, lefts = zip(*grid, strict=True)
    apply, params, images = asked.apply, asked.params, asked.images

    def of_one(image: Any) -> WindowedOutputs:
        return windowed_outputs(
            lambda batch: scores_of(asked.score, apply, params, batch), image, asked.fill, tops,
            lefts, window=asked.window, chunk_size=asked.chunk_size, rounded=asked.is_rounded,
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


def full(asked: Problem, grid: Sequence[tuple[int, int]]) -> tuple[Any, Any]:
    """The same by whole passes: all (image, place) pairs in chunks of one size.

    The last chunk is filled up with repetitions. One compiled program serves all chunks, windows
    and places.
    """
    score, apply = asked.score, asked.apply
    batch, height, width, _ = asked.images.shape
    chunk_size = min(asked.chunk_size or min(policy.batch_size(), _MOST_FULL), len(grid) * batch)
    which = np.repeat(np.arange(batch, dtype=np.int32), len(grid))
    places = np.tile(np.asarray(grid, np.int32), (batch, 1))
    order = chunk_order(len(which), chunk_size)
    chunks = which[order], places[order]
    given = asked.params, asked.images, asked.fill, np.asarray(asked.window, np.int32)

    def of_chunk(params: Params, images: Any, fill: Any, window: Any, chunk: Any) -> Any:
        def occluded(index: Any, place: Any) -> Any:
            row = jnp.arange(height, dtype=jnp.int32)[:, None, None]
            col = jnp.arange(width, dtype=jnp.int32)[None, :, None]
            top, left = place
            inside = (row >= top) & (row < top + window[0])
            inside &= (col >= left) & (col < left + window[1])
            return jnp.where(inside, fill, jnp.asarray(images)[index])

        return scores_of(score, apply, params, jax.vmap(occluded)(*chunk))

    def of_images(params: Params, images: Any) -> Any:
        return scores_of(score, apply, params, images)

    if inside_a_trace() or isinstance(asked.images, jax.core.Tracer):
        scores = jax.lax.map(lambda chunk: of_chunk(*given, chunk), chunks)
    else:
        parts = [*zip(*chunks, strict=True)]
        run = program(of_chunk, *given, parts[0])
        scores = jnp.stack([run(*given, part) for part in parts])
    scores = scores.reshape(-1, *scores.shape[2:])[: len(which)]
    baseline = evaluate(of_images, asked.params, asked.images)
    return baseline, scores.reshape(batch, len(grid), *scores.shape[1:])


Measure = Callable[[Problem, Sequence[tuple[int, int]]], tuple[Any, Any]]
METHODS: dict[str, Measure] = {"incremental": incremental, "full": full}


def measure_of(method: str, precision: str | None) -> Measure:
    """The method of this name, which must be able to keep to the precision."""
    measure = METHODS[choice(method, "method", METHODS)]
    if precision is not None:
        choice(precision, "precision", _PRECISIONS)
        if measure is full:
            raise InputError("precision: expected None for method='full', which has no changes")
    return measure
