"""`feature_images`: images that are made to excite what a score asks for."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ... import devices
from ..._asked import chunk_order
from ..._checks import InputError, count, image_type, is_finite, number_list, random_key
from ..._checks import choice as checked_choice
from ..._checks import image_shape as checked_shape
from ..._contract import known_layers, score_shape
from ..._independence import independent
from ..._typing import Apply, Params, Progress, Score
from ...cpu.compilation import evaluate, inside_a_trace, program
from .ascent import Ascent, State
from .parametrizations import PARAMETRIZATIONS, Parametrization
from .transformations import Transformations

CHUNK = 8  # images at a time: what measures fastest on CPUs, and small
PIECE = 16  # steps that one call does


class FeatureImages(NamedTuple):
    """Images that were made to excite something.

    `images` (num, height, width, channel) are from 0 to 1, what `prepare` takes divided by 255.
    `scores` (num,) are those of the images; `trace` (num, steps) those of the moved images on which
    each step was taken.
    """

    images: Any
    scores: Any
    trace: Any


def feature_images(
    apply: Apply,
    params: Params,
    *,
    score: Score,
    key: Any,
    image_shape: Sequence[int],
    prepare: Callable[[Any], Any] | None = None,
    numbers: Sequence[int] | None = None,
    variants: int = 1,
    diversity: float = 0.5,
    diversity_layer: str | None = None,
    steps: int = 256,
    parametrization: str | Parametrization = "phases",
    transformations: Transformations | None = None,
    optimizer: Any = None,
    chunk_size: int | None = None,
    progress: Progress | None = None,
    preview: Callable[[Any], None] | None = None,
) -> FeatureImages:
    """Make images that excite what a score asks for, by gradient ascent (Olah et al. 2017).

    A channel that is silent at the start gets no gradient through its ReLU. Where an image gets
    none through a whole layer, that of the layer's outputs is let through (as in lucid), so no
    image stays gray.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        score: a function of the outputs, such as `jaxviz.channel_mean("conv5", 124)`, a sum of
            several, or `-jaxviz.logit(281)`, that returns one number an image, (batch,), or many,
            (batch, ...): then an image is made for each of them, so `channel_mean("conv5")` asks
            for those of all channels.
        key: of all that is random, from `jax.random.key`.
        image_shape: (height, width, channel).
        prepare: turns pixels from 0 to 255 (batch, height, width, channel) into what `apply` takes,
            such as `network.preprocessing.normalize`; without it `apply` gets images from 0 to 1.
        numbers: for which of the score's numbers images are made, by default each.
        variants: images for each number, that differ.
        diversity: how much the likeness of variants counts against the score; 0 leaves it to
            chance.
        diversity_layer: where it is measured, as the cosine of Gram matrices (Olah et al. 2017,
            "Diversity"); by default the layer of the score.
        steps: of the ascent.
        parametrization: "phases" keeps the magnitudes of the spectrum of photographs and turns the
            phases alone (Fel et al. 2023, MACO), "fourier" changes the whole spectrum, low
            frequencies faster (Mordvintsev et al. 2018), and "pixels" each pixel; or one of your
            own. Colors are made of three that are uncorrelated in photographs.
        transformations: how images are moved before each step; by default they are shifted by a
            28th of a side, turned by 5 degrees and scaled by 0.9 to 1.1, at most.
        optimizer: of optax; by default Adam at the rate that suits the parametrization. It sees the
            images of a chunk together, so one that takes a norm over all makes each depend on the
            others.
        chunk_size: images at a time. By Adam an image depends on the others of its chunk by
            round-off alone, which grows with the steps.
        progress: called with (steps done, steps in all).
        preview: called just before that with the images so far of those that are being made.

    Returns:
        `num` images: those of the first number, its variants one after the other, then the next.

    Raises:
        InputError: any of these is not as above, or the score returns something else.

    >>> bright = lambda params, images: {"mean": images.mean(axis=(1, 2))}
    >>> made = feature_images(bright, None, score=lambda outputs: outputs["mean"].mean(axis=1),
    ...                       key=jax.random.key(0), image_shape=(8, 8, 3), steps=32,
    ...                       parametrization="fourier")
    >>> made.images.shape, bool(made.trace[0, -1] > made.trace[0, 0])
    ((1, 8, 8, 3), True)
    """
    image_shape = checked_shape(image_shape)
    variants, steps = count(variants, "variants"), count(steps, "steps")
    random_key(key)
    every = getattr(score, "for_every_image", None)
    if every is not None:
        score = every(len(score.index))  # type: ignore[attr-defined]
    asked, length = ascent_of(
        apply, params, score=score, image_shape=image_shape, prepare=prepare, variants=variants,
        diversity=diversity, diversity_layer=diversity_layer, parametrization=parametrization,
        transformations=transformations, optimizer=optimizer,
    )  # fmt: skip
    params = devices.gathered(params)
    chosen = np.repeat(np.array(number_list(numbers, "numbers", length), np.int32), variants)
    keys = image_keys(key, chosen, variants)
    size = CHUNK if chunk_size is None else count(chunk_size, "chunk_size")
    size = min(-(-size // variants) * variants, len(chosen))
    order = chunk_order(len(chosen), size)
    run = _in_a_trace if inside_a_trace() else _in_pieces
    found = run(asked, params, (chosen[order], keys[order]), key, steps, progress, preview)
    return FeatureImages(*(one.reshape(-1, *one.shape[2:])[: len(chosen)] for one in found))


def ascent_of(
    apply: Apply, params: Params, *, score: Score, image_shape: tuple[int, int, int],
    prepare: Callable[[Any], Any] | None, variants: int = 1, diversity: float = 0.0,
    diversity_layer: str | None = None, parametrization: str | Parametrization = "phases",
    transformations: Transformations | None = None, optimizer: Any = None,
) -> tuple[Ascent, int]:  # fmt: skip
    """Check what `feature_images` was told; the ascent, and how many numbers the score has."""
    import optax

    if isinstance(parametrization, str):
        name = checked_choice(parametrization, "parametrization", PARAMETRIZATIONS)
        parametrization = PARAMETRIZATIONS[name]
    if not isinstance(parametrization, Parametrization):
        names = ", ".join(sorted(PARAMETRIZATIONS))
        raise InputError(f"parametrization: expected {names} or a Parametrization")
    transformations = Transformations() if transformations is None else transformations
    if not isinstance(transformations, Transformations):
        raise InputError(f"transformations: expected Transformations(), got {transformations!r}")
    transformations.check()
    if prepare is not None and not callable(prepare):
        raise InputError(f"prepare: expected a function of pixels, got {prepare!r}")
    if not is_finite(diversity) or diversity < 0:
        raise InputError(f"diversity: expected a number, 0 or more, got {diversity!r}")
    if not isinstance(optimizer, optax.GradientTransformation | None):
        raise InputError(f"optimizer: expected one of optax, got {optimizer!r}")
    dtype = image_type(params)
    prepared = _pixels(prepare) if prepare else lambda images: images.astype(dtype)
    image = jax.eval_shape(prepared, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
    length = math.prod(score_shape(score, apply, params, image)[1:])
    if not length:
        raise InputError("score: expected one number an image or more, got none")
    layer = None
    if variants > 1 and diversity:
        layer = diversity_layer or getattr(score, "layer", None)
        if layer is None:
            raise InputError("diversity_layer: the score has no layer of its own; name one")
        known_layers(apply, params, image, layer)
    independent(apply, params, image.shape[1:], image.dtype)
    asked = Ascent(
        apply, score, prepared, image_shape, parametrization, transformations,
        optimizer or optax.adam(parametrization.rate), variants, diversity, layer,
    )  # fmt: skip
    return asked, length


def _pixels(prepare: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda images: prepare(images * 255)


def image_keys(key: Any, numbers: Any, variants: int = 1) -> Any:
    """A key for each image, which depends on its number and its variant alone."""
    variant = np.arange(len(numbers)) % variants
    folded = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(numbers))
    return jax.vmap(jax.random.fold_in)(folded, jnp.asarray(variant))


def ascended(
    asked: Ascent, params: Params, state: State, numbers: Any, key: Any, *, steps: int, length: int
) -> tuple[State, Any]:
    """The state after so many more steps, of `steps` in all, and the scores (images, length)."""

    def advance(state: State, _: None) -> tuple[State, Any]:
        advanced, scores = asked.advance(params, state, numbers, key)
        if steps % length:  # the last piece is longer than what is left
            is_left = state.step < steps
            advanced = jax.tree.map(lambda new, old: jnp.where(is_left, new, old), advanced, state)
        return advanced, scores

    state, scores = jax.lax.scan(advance, state, length=length)
    return state, scores.T


def _finished(asked: Ascent, params: Params, state: State, numbers: Any) -> tuple[Any, Any]:
    """The images, and their scores."""
    images = asked.images(state)
    return images, asked.scores(params, images, numbers)


def _in_a_trace(asked: Ascent, params: Params, chunks: Any, key: Any, steps: int, *_: Any) -> Any:
    def of_chunk(chunk: Any) -> Any:
        numbers, keys = chunk
        start = asked.start(keys)
        state, trace = ascended(asked, params, start, numbers, key, steps=steps, length=steps)
        return *_finished(asked, params, state, numbers), trace

    return jax.lax.map(of_chunk, tuple(map(jnp.asarray, chunks)))


def _in_pieces(
    asked: Ascent, params: Params, chunks: Any, key: Any, steps: int, progress: Progress | None,
    preview: Callable[[Any], None] | None,
) -> Any:  # fmt: skip
    """Chunk by chunk, of each some steps at a time."""
    length = min(PIECE, steps)
    piece = functools.partial(ascended, asked, steps=steps, length=length)
    turn, finish, look = None, None, None
    found = []
    for place, (numbers, keys) in enumerate(zip(*chunks, strict=True)):
        state, trace = evaluate(asked.start, keys), []
        turn = turn or program(piece, params, state, numbers, key)
        for done in range(length, steps + length, length):
            state, scores = turn(params, state, numbers, key)
            trace.append(scores)
            if preview:
                look = look or program(asked.images, state)
                preview(look(state))
            if progress:
                jax.block_until_ready(scores)
                progress(place * steps + min(steps, done), len(chunks[0]) * steps)
        finish = finish or program(functools.partial(_finished, asked), params, state, numbers)
        images, scores = finish(params, state, numbers)
        found.append((images, scores, jnp.concatenate(trace, axis=1)[:, :steps]))
    return [jnp.stack(values) for values in zip(*found, strict=True)]
