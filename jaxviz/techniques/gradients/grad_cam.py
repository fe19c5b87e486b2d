"""Where a layer's channels speak for a score: Grad-CAM.

Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based
localization", section 3.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ... import devices
from ..._asked import by_chunks, gradient_chunk, indices, problem
from ..._checks import InputError
from ..._contract import outputs_of, selected
from ..._typing import Apply, Images, Params, Score
from ...backward import inner_vjp
from ...incremental import ReceptiveField, receptive_field
from .plain import Attribution, guided_backpropagation
from .pulling import differentiated, for_each_number, magnitude


class GradCam(NamedTuple):
    """A layer's channels, summed with what each means for the score.

    `values` (batch, rows, cols, ...): for each place of the layer, never negative.
    `heatmap` (batch, height, width, ...): the same for each pixel, between the centers of the
    units' receptive fields.
    `weights` (batch, channels, ...): the mean gradient of the score by each channel.
    `baseline` (batch, ...): the score of the image.
    """

    values: Any
    heatmap: Any
    weights: Any
    baseline: Any


def grad_cam(
    apply: Apply,
    params: Params,
    images: Images,
    *,
    score: Score,
    layer: str,
    chunk_size: int | None = None,
) -> GradCam:
    """What a layer's channels add to a score, where they fire (Selvaraju et al. 2017, section 3).

    Each channel is weighted with the mean over its map of the score's gradient (equation 1); their
    sum, where it is positive, is the result (equation 2).

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        images: normalized float images (batch, height, width, channel), all finite.
        score: a function of the outputs, as for `gradient`.
        layer: a layer with maps, mostly the last; the score must depend on it.
        chunk_size: images at a time; memory grows with it, the answer does not depend on it.

    Raises:
        InputError: as `gradient`, or the layer has no maps, or the score does not depend on it.

    >>> def apply(params, images):
    ...     maps = images * params
    ...     return {"maps": maps, "sum": maps.sum(axis=(1, 2))}
    >>> images = np.array([[[[1.0], [-1.0]]]], np.float32)
    >>> found = grad_cam(apply, 2.0, images, score=lambda outputs: outputs["sum"][:, 0],
    ...                  layer="maps")
    >>> found.values.tolist(), found.weights.tolist()
    ([[[2.0, 0.0]]], [[1.0]])
    """
    asked = problem(apply, params, images, score)
    params, images = devices.gathered((params, images))
    size = gradient_chunk(apply, params, images, chunk_size, len(images))

    def of_all(params: Params, images: Any, own: Any) -> tuple[Any, ...]:
        def of_chunk(images: Any, own: Any) -> tuple[Any, ...]:
            def maps_and_scores(images: Any) -> tuple[Any, Any]:
                outputs = outputs_of(apply, params, images)
                (maps,) = selected(apply, outputs, [layer], len(images))
                if maps.ndim != 4:
                    raise InputError(f"layer: {layer!r} has no maps, its shape is {maps.shape[1:]}")
                return maps, asked.score_of(outputs)

            maps, scores, pull = inner_vjp(maps_and_scores, images, name=layer)

            def of_number(seed: Any) -> tuple[Any, Any]:
                weights = pull(seed).mean(axis=(1, 2))
                return weights, jnp.maximum(jnp.einsum("bc,bhwc->bhw", weights, maps), 0)

            return scores, *for_each_number(asked.asks, scores, own, of_number)

        return by_chunks(of_chunk, (images, own), size)

    scores, weights, values = differentiated(of_all, params, images, indices(asked, len(images)))
    field = receptive_field(apply, params, images.shape[1:], layer=layer)
    heatmap = asked.shaped(_placed(values, field))
    return GradCam(asked.shaped(values), heatmap, asked.shaped(weights), asked.asked(scores))


def guided_grad_cam(
    apply: Apply,
    params: Params,
    images: Images,
    *,
    score: Score,
    layer: str,
    chunk_size: int | None = None,
) -> Attribution:
    """Guided backpropagation where Grad-CAM is large (Selvaraju et al. 2017, section 3.1).

    `values` are the product of both; `heatmap` is the largest magnitude of a pixel's channels. The
    arguments and errors are those of `grad_cam` and `guided_backpropagation`.

    >>> import jax
    >>> def apply(params, images):
    ...     maps = jax.nn.relu(images * params)
    ...     return {"maps": maps, "sum": maps.sum(axis=(1, 2))}
    >>> images = np.array([[[[1.0], [-1.0]]]], np.float32)
    >>> guided_grad_cam(apply, 2.0, images, score=lambda outputs: outputs["sum"][:, 0],
    ...                 layer="maps").heatmap.tolist()
    [[[4.0, 0.0]]]
    """
    fine = guided_backpropagation(apply, params, images, score=score, chunk_size=chunk_size)
    coarse = grad_cam(apply, params, images, score=score, layer=layer, chunk_size=chunk_size)
    values = fine.values * coarse.heatmap[:, :, :, None]
    return Attribution(values, magnitude(values), fine.baseline)


def _placed(values: Any, field: ReceptiveField) -> Any:
    """(batch, rows, cols, ...) on the pixels of the image, (batch, height, width, ...)."""
    centers = field.centers(values.shape[1:3])
    rows, cols = (
        _between(center, length) for center, length in zip(centers, field.image_size, strict=True)
    )
    rows, cols = rows.astype(values.dtype), cols.astype(values.dtype)
    return jnp.einsum("brc...,hr,wc->bhw...", values, rows, cols, precision="highest")


def _between(centers: np.ndarray, length: int) -> np.ndarray:
    """The weights (pixels, units) that interpolate between centers, and hold on beyond them."""
    pixels = np.arange(length)
    order = np.argsort(centers, kind="stable")
    weights = np.zeros((length, len(centers)))
    for unit in range(len(centers)):
        one = np.zeros(len(centers))
        one[unit] = 1
        weights[:, unit] = np.interp(pixels, centers[order], one[order])
    return weights
