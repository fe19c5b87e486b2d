"""Deletion and insertion: the score as pixels go, or come, in the order of a heatmap."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ... import devices
from ..._asked import Problem, by_chunks, indices
from ..._blur import blurred
from ..._checks import count, whole_fill
from ..._typing import Apply, Images, Params, Score
from ...cpu.compilation import evaluate
from .judging import as_ranks, judged, own_score

_BLUR = 5.0  # pixels


class Curve(NamedTuple):
    """The score as a share of the pixels is changed.

    `shares` (steps + 1,) are from 0 to 1; `scores` (batch, steps + 1) those of the images; `area`
    (batch,) is the mean score on the way, by trapezoids.
    """

    shares: Any
    scores: Any
    area: Any


def deletion_curve(
    apply: Apply,
    params: Params,
    images: Images,
    heatmap: Any,
    *,
    score: Score,
    fill: ArrayLike | Sequence[float],
    key: Any,
    steps: int = 50,
    chunk_size: int | None = None,
) -> Curve:
    """The score as the pixels are replaced, the hottest first (Petsiuk et al. 2018, section 4.2).

    The smaller the area, the better the heatmap says what the score rests on; but it depends on the
    fill, so compare at least two, and with the heatmaps that `control_heatmaps` gives.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        images: normalized float images (batch, height, width, channel), all finite.
        heatmap: (batch, height, width), larger where it matters more.
        score: a function of the outputs that returns one number an image, such as
            `jaxviz.probability(281)`, or one with a class for each image.
        fill: what replaces pixels, in normalized units: a number, one for each channel, or an
            image.
        key: settles which of equal pixels come first.
        steps: in how many steps all pixels are replaced, as many in each.
        chunk_size: images at a time; memory grows with it, the answer does not depend on it.

    Raises:
        InputError: any of these is not as above.

    >>> mean = lambda params, images: {"mean": images.mean(axis=(1, 2))}
    >>> found = deletion_curve(mean, None, np.array([[[[3.0], [1.0]]]], np.float32),
    ...                        np.array([[[1.0, 0.0]]]), fill=0, steps=2, key=jax.random.key(0),
    ...                        score=lambda outputs: outputs["mean"][:, 0])
    >>> found.scores.tolist(), found.area.tolist()
    ([[2.0, 0.5, 0.0]], [0.75])
    """
    asked = judged(apply, params, images, score, key)
    heatmap = as_ranks(heatmap, images.shape[:3])
    last = whole_fill(fill, images.shape[1:], images.dtype)[None]
    return _curve(asked, params, images, heatmap, images, last, key, steps, chunk_size)


def insertion_curve(
    apply: Apply,
    params: Params,
    images: Images,
    heatmap: Any,
    *,
    score: Score,
    key: Any,
    fill: ArrayLike | Sequence[float] | None = None,
    blur: float = _BLUR,
    steps: int = 50,
    chunk_size: int | None = None,
) -> Curve:
    """The score as the pixels come back, the hottest first (Petsiuk et al. 2018, section 4.2).

    It begins with the images blurred by a Gaussian of `blur` pixels, or with a `fill`. The larger
    the area, the better. The other arguments and the errors are those of `deletion_curve`.

    >>> mean = lambda params, images: {"mean": images.mean(axis=(1, 2))}
    >>> found = insertion_curve(mean, None, np.array([[[[3.0], [1.0]]]], np.float32),
    ...                         np.array([[[1.0, 0.0]]]), fill=0, steps=2, key=jax.random.key(0),
    ...                         score=lambda outputs: outputs["mean"][:, 0])
    >>> found.scores.tolist()
    [[0.0, 1.5, 2.0]]
    """
    asked = judged(apply, params, images, score, key)
    heatmap = as_ranks(heatmap, images.shape[:3])
    if fill is None:
        first = blurred(images, blur)
    else:
        first = whole_fill(fill, images.shape[1:], images.dtype)[None]
    return _curve(asked, params, images, heatmap, first, images, key, steps, chunk_size)


def _curve(
    asked: Problem, params: Params, images: Any, heatmap: Any, first: Any, last: Any, key: Any,
    steps: int, chunk_size: int | None,
) -> Curve:  # fmt: skip
    params, images, heatmap, first, last = devices.gathered((params, images, heatmap, first, last))
    ends = tuple(jnp.broadcast_to(one, images.shape) for one in (first, last))
    number = images.shape[1] * images.shape[2]
    changed = np.rint(np.linspace(0, number, count(steps, "steps") + 1)).astype(np.int32)

    def of_all(params: Params, ends: Any, heatmap: Any, own: Any, key: Any) -> Any:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(own)))
        ranks = jax.vmap(pixel_ranks)(heatmap, keys)

        def of_image(piece: Any) -> Any:
            first, last, rank, one = piece

            def of_chunk(numbers: Any) -> Any:
                is_changed = rank[None] < numbers[:, None, None]
                mixed = jnp.where(is_changed[..., None], last[None], first[None])
                return own_score(asked, params, mixed, one)

            return by_chunks(of_chunk, (jnp.asarray(changed),), chunk_size)

        return jax.lax.map(of_image, (*ends, ranks, own))

    scores = evaluate(of_all, params, ends, heatmap, indices(asked, len(images)), key)
    shares = jnp.asarray(changed / number, scores.dtype)
    return Curve(shares, scores, jnp.trapezoid(scores, shares[None], axis=1))


def pixel_ranks(heatmap: Any, key: Any) -> Any:
    """The place of each pixel in the order of a heatmap (height, width), 0 for the hottest.

    Equal pixels come in an order that the key draws.

    >>> pixel_ranks(jnp.array([[1.0, 3.0], [2.0, 0.0]]), jax.random.key(0)).tolist()
    [[2, 0], [1, 3]]
    """
    flat = heatmap.ravel()
    order = jnp.lexsort((jax.random.uniform(key, flat.shape), -flat))
    return jnp.argsort(order).astype(jnp.int32).reshape(heatmap.shape)
