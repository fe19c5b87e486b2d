"""Sensitivity-n: does the sum of a heatmap over hidden cells say how far the score drops?"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ... import devices
from ..._asked import chunk_of, indices, problem
from ..._checks import InputError, count, finite, image_fill, is_key, pair
from ..._typing import Apply, Images, Params, Score
from ...cpu.compilation import evaluate
from .curves import own_score


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
    if not is_key(key):
        raise InputError(f"key: expected a random key, such as jax.random.key(0), got {key!r}")
    if jnp.shape(heatmap) != images.shape[:3]:
        raise InputError(f"heatmap: expected {images.shape[:3]}, got {jnp.shape(heatmap)}")
    finite(heatmap, "heatmap")
    asked = problem(apply, params, images, score)
    if asked.own is None and asked.shape:
        raise InputError(f"score: expected one number an image, got {asked.shape}")
    height, width = images.shape[1:3]
    down, right = pair(window, "window")
    cols = -(-width // right)
    cells = np.arange(height)[:, None] // down * cols + np.arange(width)[None] // right
    total = int(cells.max()) + 1
    amounts = [count(one, "sizes", most=total) for one in sizes]
    numbers = np.repeat(amounts, count(num_sets, "num_sets"))
    filling = jnp.broadcast_to(image_fill(fill, images.shape[1:], images.dtype), images.shape[1:])
    params, images, heatmap = devices.gathered((params, images, jnp.asarray(heatmap)))
    size = chunk_of(chunk_size, len(numbers))
    chunks = -(-len(numbers) // size)
    order = np.arange(chunks * size).reshape(chunks, size) % len(numbers)

    def of_all(params: Params, images: Any, heatmap: Any, own: Any, filling: Any, key: Any) -> Any:
        def of_image(piece: Any) -> Any:
            image, heat, one, place = piece
            base = own_score(asked, params, image[None], one)[0]

            def of_set(number: Any, size: Any) -> tuple[Any, Any]:
                drawn = jax.random.fold_in(jax.random.fold_in(key, place), number)
                rank = jnp.argsort(jax.random.permutation(drawn, total))
                is_hidden = (rank < size)[cells]
                return jnp.where(is_hidden[..., None], filling, image), (heat * is_hidden).sum()

            def of_chunk(piece: Any) -> tuple[Any, Any]:
                hidden, sums = jax.vmap(of_set)(*piece)
                return base - own_score(asked, params, hidden, one), sums

            drops, sums = jax.lax.map(of_chunk, (jnp.asarray(order), jnp.asarray(numbers[order])))
            whole = (one.reshape(-1)[: len(numbers)] for one in (drops, sums))
            return tuple(one.reshape(len(amounts), -1) for one in whole)

        return jax.lax.map(of_image, (images, heatmap, own, jnp.arange(len(images))))

    drops, sums = evaluate(
        of_all, params, images, heatmap, indices(asked, len(images)), filling, key
    )
    return Sensitivity(jnp.asarray(amounts), _correlation(drops, sums))


def _correlation(one: Any, other: Any) -> Any:
    one, other = (x - x.mean(axis=-1, keepdims=True) for x in (one, other))
    norms = jnp.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    found = (one * other).sum(axis=-1) / jnp.where(norms > 0, norms, 1)
    return jnp.where(norms > 0, found, jnp.nan)
