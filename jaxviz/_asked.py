"""What a score is asked of each image, and the images in chunks."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._checks import InputError, count, finite, image_batch
from ._contract import output_types, outputs_of, score_shape, scores_from
from ._independence import independent, independent_scores, shape_and_type
from ._remembered import Remembered
from ._typing import Apply, Outputs, Params, Score
from .cpu import policy
from .jaxpr.recording import record
from .jaxpr.tape import value_sizes

CHUNK = 16  # images, or variants of one, at a time

_together = Remembered()


class Numbers(NamedTuple):
    """Which of so many numbers of a score are asked for: all, or of each image one of its own."""

    total: int
    one_each: bool

    def seeds(self, own: Any) -> Any:
        """Of one image the numbers it is asked for, as rows of (asked, numbers)."""
        every = jnp.eye(self.total)
        return every[own][None] if self.one_each else every


class Problem(NamedTuple):
    """A score of a batch of images, flat: (images, numbers) of which `shape` are the axes.

    own: of a class for each image, which of the numbers each image is asked for; else None.
    """

    apply: Apply
    score: Score
    shape: tuple[int, ...]
    numbers: int
    own: np.ndarray | None

    def score_of(self, outputs: Outputs) -> Any:
        """(batch, numbers), of outputs that are there."""
        scores = scores_from(self.score, outputs)
        return scores.reshape(len(scores), -1)

    def scored(self, params: Params, images: Any) -> Any:
        """(batch, numbers), of some images at a time."""
        return self.score_of(outputs_of(self.apply, params, images))

    def scores(self, params: Params, images: Any) -> Any:
        """(batch, numbers)."""
        return by_chunks(lambda some: self.scored(params, some), (images,), None)

    @property
    def asks(self) -> Numbers:
        return Numbers(self.numbers, self.own is not None)

    def shaped(self, values: Any) -> Any:
        """(batch, ..., asked) with the axes of the score in place of the last."""
        return values.reshape(*values.shape[:-1], *self.shape)

    def asked(self, scores: Any) -> Any:
        """Of (batch, numbers) those that each image is asked for."""
        if self.own is not None:
            scores = scores[np.arange(len(self.own)), self.own]
        return scores.reshape(scores.shape[0], *self.shape)


def asked_shape(score: Score, apply: Apply, params: Params, images: Any) -> tuple[int, ...]:
    """The shape of a score of images; refuse one that mixes them, and a network that does."""
    shape = score_shape(score, apply, params, images)
    independent(apply, params, images.shape[1:], images.dtype)
    outputs = output_types(apply, params, images)
    independent_scores(functools.partial(scores_from, score), outputs, images.shape[0])
    return shape


def problem(apply: Apply, params: Params, images: Any, score: Score) -> Problem:
    """Check images and score; a score may have a class for each image."""
    finite(image_batch(images), "images")
    every = getattr(score, "for_every_image", None)
    own = None
    if every is not None:
        score, own = every(len(images)), np.arange(len(images))
    shape = asked_shape(score, apply, params, images)[1:]
    numbers = math.prod(shape)
    if not numbers:
        raise InputError(f"score: expected one number an image or more, got shape {shape}")
    return Problem(apply, score, () if every is not None else shape, numbers, own)


def chunk_of(chunk_size: int | None, length: int) -> int:
    """How many of so many are evaluated at a time."""
    return min(CHUNK if chunk_size is None else count(chunk_size, "chunk_size"), length)


def gradient_chunk(
    apply: Apply, params: Params, images: Any, chunk_size: int | None, length: int
) -> int:
    """How many of so many images like these a gradient is taken of at a time."""
    if chunk_size is not None:
        return chunk_of(chunk_size, length)
    one = jax.ShapeDtypeStruct((1, *images.shape[1:]), images.dtype)

    def together() -> int:
        try:
            tape = record(apply, jax.tree.map(shape_and_type, params), one).tape
        except (TypeError, ValueError):  # it takes other numbers of images
            return CHUNK
        return policy.gradients_together(sum(value_sizes(tape)), CHUNK)

    return min(_together.of(apply, (one.shape, str(one.dtype)), together), length)


def chunk_order(length: int, size: int) -> np.ndarray:
    """Places 0 to `length` in chunks of one size, (chunks, size); the last one is filled from 0.

    >>> chunk_order(5, 3).tolist()
    [[0, 1, 2], [3, 4, 0]]
    """
    chunks = -(-length // size)
    return np.arange(chunks * size).reshape(chunks, size) % length


def by_chunks(of_chunk: Callable[..., Any], arrays: tuple[Any, ...], chunk_size: int | None) -> Any:
    """`of_chunk(*arrays)` in chunks along the first axis; the last is filled with repetitions."""
    length = len(arrays[0])
    order = chunk_order(length, chunk_of(chunk_size, length))
    if len(order) == 1:
        return of_chunk(*arrays)
    found = jax.lax.map(lambda piece: of_chunk(*piece), tuple(one[order] for one in arrays))
    return jax.tree.map(lambda one: one.reshape(-1, *one.shape[2:])[:length], found)


def indices(asked: Problem, batch: int) -> np.ndarray:
    """For each image which number it is asked for, where each has its own."""
    return np.zeros(batch, np.int32) if asked.own is None else asked.own.astype(np.int32)
