"""What occlusion is asked, checked, and what its scores become: places, coverage, heatmap."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ... import devices
from ..._asked import asked_shape
from ..._checks import InputError, count, finite, image_batch, image_fill, pair
from ..._typing import Apply, Images, Params, Score
from ...cpu.compilation import compiled

_MAX_HEATMAP = 2**30  # numbers, 4 GB


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


def places_of(
    shape: tuple[int, ...], window: int | tuple[int, int], stride: int | tuple[int, int]
) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
    """The window's size and where its corners stand, by rows and by columns."""
    window, stride = pair(window, "window"), pair(stride, "stride")
    if any(step > side for step, side in zip(stride, window, strict=True)):
        raise InputError(f"stride: {stride} is larger than the window {window}; pixels are missed")
    rows, cols = (window_starts(shape[i], window[i], stride[i]) for i in (0, 1))
    return window, rows, cols


class Problem(NamedTuple):
    """What is asked, checked: the arguments of `occlusion_map`, and the places of the windows.

    `is_each` says that each image has a class of its own, of all that the score returns.
    """

    apply: Apply
    params: Params
    images: Any
    score: Score
    window: tuple[int, int]
    rows: np.ndarray
    cols: np.ndarray
    fill: Any
    chunk_size: int | None
    is_rounded: bool
    is_each: bool

    @property
    def grid(self) -> tuple[tuple[int, int], ...]:
        """All places, (top, left)."""
        return tuple((int(top), int(left)) for top in self.rows for left in self.cols)

    def result(self, baseline: Any, scores: Any, *, heatmap: bool = True) -> OcclusionMap:
        """The map of the scores (batch, places, ...) at all places."""
        shape = self.images.shape
        scores = scores.reshape(shape[0], len(self.rows), len(self.cols), *scores.shape[2:])
        if self.is_each:  # each image keeps its own class of all
            own = np.arange(shape[0])
            baseline, scores = baseline[own, own], scores[own, :, :, own]
        covers = [
            coverage_of(starts, self.window[i], shape[i + 1])
            for i, starts in enumerate((self.rows, self.cols))
        ]
        coverage = covers[0].sum(0)[:, None] * covers[1].sum(0)[None]
        averaged = _spread(baseline, scores, *covers) if heatmap else None
        return OcclusionMap(scores, baseline, averaged, jnp.asarray(coverage, jnp.int32))


def problem_of(
    apply: Apply, params: Params, images: Images, *, score: Score, window: int | tuple[int, int],
    stride: int | tuple[int, int], fill: Any, chunk_size: int | None, heatmap: bool = True,
    precision: str | None = None,
) -> Problem:  # fmt: skip
    """Check what `occlusion_map` was told."""
    finite(image_batch(images), "images")
    if chunk_size is not None:
        count(chunk_size, "chunk_size")
    shape = images.shape[1:]
    window, rows, cols = places_of(shape, window, stride)
    filling = image_fill(fill, shape, images.dtype)
    every = getattr(score, "for_every_image", None)
    if every is not None:
        score = every(images.shape[0])
    numbers = math.prod(asked_shape(score, apply, params, images))
    if heatmap and numbers * shape[0] * shape[1] > _MAX_HEATMAP:
        raise InputError(
            f"score: {numbers} numbers for each of {shape[0]} x {shape[1]} pixels are too many for "
            "a heatmap; pass heatmap=False and use the scores"
        )
    params, images, filling = devices.gathered((params, images, filling))
    return Problem(
        apply, params, images, score, window, rows, cols, filling, chunk_size,
        precision is not None, every is not None,
    )  # fmt: skip


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
