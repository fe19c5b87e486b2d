"""Sensitivity-n: does the sum of a heatmap over hidden cells say how far the score drops?"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ... import devices
from ..._asked import by_chunks, indices
from ..._checks import InputError, checked_heatmap, count, pair, whole_fill
from ..._statistics import correlation
from ..._typing import Apply, Images, Params, Score
from ...cpu.compilation import evaluate
from .judging import judged, own_score


class Sensitivity(NamedTuple):
    """Pearson's correlation of sums of the heatmap with drops of the score.

    `sizes` (k,) say how many cells were hidden at a time, `correlation` (batch, k) is NaN where
    either does not vary.
    """

    sizes: Any
    correlation: Any


def sensitivity_n(
    apply: Apply,
    params: Params,
    images: Images,
    heatmap: Any,
    *,
    score: Score,
    window: int | tuple[int, int],
    sizes: Sequence[int],
    fill: ArrayLike | Sequence[float],
    key: Any,
    num_sets: int = 100,
    chunk_size: int | None = None,
) -> Sensitivity:
    """How well a heatmap adds up (Ancona et al. 2018, section 4), over random sets of cells.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        images: normalized float images (batch, height, width, channel), all finite.
        heatmap: (batch, height, width), in units of the score.
        score: a function of the outputs that returns one number an image, or one with a class for
            each image.
        window: size of the cells into which the image is cut, one number or (rows, cols); the last
            ones may be smaller.
        sizes: how many cells are hidden at a time.
        fill: what replaces them, in normalized units.
        key: of the sets.
        num_sets: how many are drawn for each size.
        chunk_size: images at a time.

    Raises:
        InputError: any of these is not as above.

    >>> total = lambda params, images: {"total": images.sum(axis=(1, 2))}
    >>> images = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    >>> found = sensitivity_n(total, None, images, images[..., 0], window=1, sizes=[3], fill=0,
    ...                       score=lambda outputs: outputs["total"][:, 0], key=jax.random.key(0))
    >>> round(float(found.correlation[0, 0]), 4)
    1.0
    """
    asked = judged(apply, params, images, score, key)
    heatmap = checked_heatmap(heatmap, images.shape[:3])
    height, width = images.shape[1:3]
    down, right = pair(window, "window")
    cols = -(-width // right)
    cells = np.arange(height)[:, None] // down * cols + np.arange(width)[None] // right
    total = int(cells.max()) + 1
    if not isinstance(sizes, Sequence) or not len(sizes):
        raise InputError(f"sizes: expected some whole numbers, got {sizes!r}")
    amounts = [count(one, "sizes", most=total) for one in sizes]
    numbers = np.repeat(amounts, count(num_sets, "num_sets"))
    filling = whole_fill(fill, images.shape[1:], images.dtype)
    params, images, heatmap = devices.gathered((params, images, heatmap))
    sets = np.arange(len(numbers)), numbers

    def of_all(params: Params, images: Any, heatmap: Any, own: Any, filling: Any, key: Any) -> Any:
        def of_image(piece: Any) -> Any:
            image, heat, one, place = piece
            base = own_score(asked, params, image[None], one)[0]

            def of_set(number: Any, size: Any) -> tuple[Any, Any]:
                drawn = jax.random.fold_in(jax.random.fold_in(key, place), number)
                is_hidden = (jax.random.permutation(drawn, total) < size)[cells]
                return jnp.where(is_hidden[..., None], filling, image), (heat * is_hidden).sum()

            def of_chunk(*sets: Any) -> tuple[Any, Any]:
                hidden, sums = jax.vmap(of_set)(*sets)
                return base - own_score(asked, params, hidden, one), sums

            found = by_chunks(of_chunk, tuple(map(jnp.asarray, sets)), chunk_size)
            return tuple(one.reshape(len(amounts), -1) for one in found)

        return jax.lax.map(of_image, (images, heatmap, own, jnp.arange(len(images))))

    drops, sums = evaluate(
        of_all, params, images, heatmap, indices(asked, len(images)), filling, key
    )
    return Sensitivity(jnp.asarray(amounts), correlation(drops, sums))
