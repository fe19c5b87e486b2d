"""Gradients averaged over variants of an image: with noise, or on the way to it.

Smilkov et al. 2017, "SmoothGrad", section 3; Sundararajan et al. 2017, "Axiomatic attribution for
deep networks", section 3.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ... import devices
from ..._asked import Problem, gradient_chunk, indices, problem
from ..._checks import InputError, count, is_finite, random_key, whole_fill
from ..._typing import Apply, Images, Params, Score
from .pulling import differentiated, magnitude, pulled

_MOST_NOISE = 1e6  # what is larger leaves nothing of an image in float32


class SmoothGradient(NamedTuple):
    """Gradients of noisy images.

    `values` (batch, height, width, channel, ...) are their mean, `variance` their variance over the
    samples, `heatmap` (batch, height, width, ...) the largest magnitude of the mean of a pixel's
    channels, `baseline` (batch, ...) the score of the image without noise.
    """

    values: Any
    variance: Any
    heatmap: Any
    baseline: Any


class IntegratedGradients(NamedTuple):
    """What each number of an image adds to the score, on the way from `fill` to the image.

    `values` (batch, height, width, channel, ...) are in units of the score; `heatmap` (batch,
    height, width, ...) is their sum over a pixel's channels, with its sign. `baseline` (batch, ...)
    is the score of the image and `start` that of the fill, where the way begins. The values should
    sum to their difference; `completeness_error` is how much they miss, as a share of it.
    """

    values: Any
    heatmap: Any
    baseline: Any
    start: Any
    completeness_error: Any


def smooth_gradient(
    apply: Apply,
    params: Params,
    images: Images,
    *,
    score: Score,
    key: Any,
    num_samples: int = 50,
    noise: float = 0.15,
    chunk_size: int | None = None,
) -> SmoothGradient:
    """The mean gradient of the images with Gaussian noise (Smilkov et al. 2017, section 3).

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        images: normalized float images (batch, height, width, channel), all finite.
        score: a function of the outputs, as for `gradient`.
        key: of the noise, from `jax.random.key`.
        num_samples: noisy variants of each image.
        noise: their standard deviation, as a share of the image's range of values.
        chunk_size: variants at a time; memory grows with it, the answer does not depend on it.

    Raises:
        InputError: as `gradient`, or one of the others is not as above.

    >>> mean = lambda params, images: {"mean": images.mean(axis=(1, 2))}
    >>> found = smooth_gradient(mean, None, np.ones((1, 2, 2, 1), np.float32),
    ...                         score=lambda outputs: outputs["mean"][:, 0], key=jax.random.key(0))
    >>> found.values.ravel().tolist(), float(found.variance.max())
    ([0.25, 0.25, 0.25, 0.25], 0.0)
    """
    if not (is_finite(noise) and 0 <= noise <= _MOST_NOISE):
        raise InputError(f"noise: expected a share of the image's range of values, got {noise!r}")
    random_key(key)
    asked = problem(apply, params, images, score)
    params, images = devices.gathered((params, images))
    weights = np.full(count(num_samples, "num_samples"), 1 / num_samples, images.dtype)

    def of_all(params: Params, images: Any, own: Any, key: Any, noise: Any) -> tuple[Any, ...]:
        def vary(image: Any, place: Any, numbers: Any) -> Any:
            """Noise of each place in the batch and each sample, whatever is done together."""
            keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, place), numbers)
            random = jax.vmap(lambda one: jax.random.normal(one, image.shape, image.dtype))(keys)
            return image[None] + noise * (image.max() - image.min()) * random

        values, variance = _averaged(asked, params, images, own, vary, weights, chunk_size)
        return asked.scores(params, images), values, variance

    scores, values, variance = differentiated(
        of_all, params, images, indices(asked, len(images)), key, jnp.asarray(noise, images.dtype)
    )
    values, variance = asked.shaped(values), asked.shaped(variance)
    return SmoothGradient(values, variance, magnitude(values), asked.asked(scores))


def integrated_gradients(
    apply: Apply,
    params: Params,
    images: Images,
    *,
    score: Score,
    fill: ArrayLike | Sequence[float],
    steps: int = 50,
    chunk_size: int | None = None,
) -> IntegratedGradients:
    """The gradient integrated from an empty image to the image (Sundararajan et al. 2017, 3).

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        images: normalized float images (batch, height, width, channel), all finite.
        score: a function of the outputs, as for `gradient`.
        fill: the empty image, in normalized units: a number, one for each channel, or an image. The
            training-set mean is `network.spec.mean_fill`.
        steps: points on the way where the gradient is taken, by Gauss and Legendre's rule.
        chunk_size: points at a time; memory grows with it, the answer does not depend on it.

    Raises:
        InputError: as `gradient`, or the fill has the wrong shape.

    >>> square = lambda params, images: {"square": (images**2).sum(axis=(1, 2))}
    >>> found = integrated_gradients(square, None, np.full((1, 1, 2, 1), 3, np.float32), fill=0,
    ...                              score=lambda outputs: outputs["square"][:, 0], steps=4)
    >>> np.round(found.heatmap, 4).tolist()
    [[[9.0, 9.0]]]
    """
    asked = problem(apply, params, images, score)
    params, images = devices.gathered((params, images))
    points, weights = np.polynomial.legendre.leggauss(count(steps, "steps"))
    shape = images.shape[1:]
    filling = whole_fill(fill, shape, images.dtype)[None]

    def of_all(params: Params, images: Any, own: Any, filling: Any, points: Any) -> tuple[Any, ...]:
        def vary(image: Any, place: Any, numbers: Any) -> Any:
            return filling + points[numbers][:, None, None, None] * (image[None] - filling)

        mean, _ = _averaged(
            asked, params, images, own, vary, (weights / 2).astype(images.dtype), chunk_size
        )
        start = asked.scores(params, filling)
        values = mean * (images - filling)[..., None]
        return (
            asked.scores(params, images),
            jnp.broadcast_to(start, (len(images), asked.numbers)),
            values,
        )

    way = jnp.asarray((points + 1) / 2, images.dtype)
    scores, starts, values = differentiated(
        of_all, params, images, indices(asked, len(images)), filling, way
    )
    baseline, start, values = asked.asked(scores), asked.asked(starts), asked.shaped(values)
    difference = baseline - start
    missed = jnp.abs(values.sum(axis=(1, 2, 3)) - difference)
    is_none = difference == 0
    share = missed / jnp.where(is_none, 1, jnp.abs(difference))
    error = jnp.where(is_none & (missed > 0), jnp.inf, share)
    return IntegratedGradients(values, values.sum(axis=3), baseline, start, error)


def _averaged(
    asked: Problem,
    params: Params,
    images: Any,
    own: Any,
    vary: Callable[[Any, Any, Any], Any],
    weights: np.ndarray,
    chunk_size: int | None,
) -> tuple[Any, Any]:
    """The weighted mean and variance of the gradients of the variants of each image.

    vary: (image, its place in the batch, numbers of variants) -> the variants. Of the variants of
    one image so many at a time are evaluated, and joined as in Chan et al. 1983.
    """
    size = gradient_chunk(asked.apply, params, images, chunk_size, len(weights))
    chunks = -(-len(weights) // size)
    numbers = np.arange(chunks * size, dtype=np.int32).reshape(chunks, size)
    shares = np.pad(weights, (0, numbers.size - len(weights))).reshape(chunks, size)

    scored = functools.partial(asked.scored, params)

    def of_image(piece: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        image, place, one = piece

        def add(state: tuple[Any, Any, Any], chunk: tuple[Any, Any]) -> tuple[Any, None]:
            total, mean, spread = state
            number, share = chunk
            variants = vary(image, place, jnp.minimum(number, len(weights) - 1))
            repeated = jnp.broadcast_to(one, (size,))
            found = pulled(scored, asked.asks, variants, repeated)[1]
            share = share[:, None, None, None, None].astype(found.dtype)
            added = share.sum()
            own_mean = (share * found).sum(axis=0) / added
            own_spread = (share * (found - own_mean[None]) ** 2).sum(axis=0)
            both = total + added
            gap = own_mean - mean
            state = (
                both,
                mean + gap * (added / both),
                spread + own_spread + gap**2 * (total * added / both),
            )
            return state, None

        number = asked.numbers if asked.own is None else 1
        # Made of the image, so that `shard_map` knows over which axes it varies.
        nothing = jnp.broadcast_to(0 * image[..., None], (*image.shape, number))
        start = (nothing.sum(), nothing, nothing)
        (total, mean, spread), _ = jax.lax.scan(add, start, (numbers, shares))
        return mean, spread / total

    places = np.arange(len(images), dtype=np.int32)
    return jax.lax.map(of_image, (images, places, own))
