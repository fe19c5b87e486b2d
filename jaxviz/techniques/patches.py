"""Maximally activating patches: run many images, keep the places that excite each channel most.

Girshick et al. 2014 (R-CNN), section 3.1 and fig. 3; Zeiler & Fergus 2014, fig. 2; Yosinski et al.
2015, section 2. One maximum is kept for each image and channel, so that a row shows k images,
unless all positions are asked for.

The state of the search is a monoid: `empty_state`, `update`, `merge`. Merging is associative and
commutative and ties go to the smaller image index, row, then column, so the answer depends neither
on the batches nor on their order.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from .._checks import InputError, count, image_batch, known_layers
from .._typing import Apply, Array, Params
from ..cpu.compilation import compiled

NO_IMAGE = np.int32(2**31 - 1)  # sorts after every image


class TopPatches(NamedTuple):
    """The strongest activations of each channel, strongest first; all arrays (channels, k).

    `values` are the activations; `images` the indices of the images in the order they came;
    `rows` and `cols` the places in the layer's map (0 for a layer without space). Where there were
    fewer than k, `images` is -1 and `values` -inf (inf where the smallest were asked for).
    """

    values: Any
    images: Any
    rows: Any
    cols: Any


def top_patches(
    apply: Apply,
    params: Params,
    batches: Iterable[Array],  # each like Images; the last one may be smaller
    *,
    layers: str | Sequence[str],
    k: int = 9,
    largest: bool = True,
    unique_images: bool = True,
) -> dict[str, TopPatches]:
    """Find where each channel of the asked layers is excited most, over all batches.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        batches: normalized float images (batch, height, width, channel), any number of times; a
            smaller last batch is padded. Images are numbered in the order they come.
        layers: exact names.
        k: how many patches to keep for each channel.
        largest: look for the largest activations; else the smallest.
        unique_images: keep one place an image and channel; else any number.

    Returns:
        {layer: TopPatches} with arrays (channels, k).

    Raises:
        InputError: no batches, an unknown layer, or batches that differ in image shape.

    >>> same = lambda params, images: {"same": images}
    >>> batch = np.arange(8, dtype=np.float32).reshape(2, 2, 2, 1)
    >>> top = top_patches(same, None, [batch], layers="same", k=2)["same"]
    >>> top.values.tolist(), top.images.tolist(), top.rows.tolist(), top.cols.tolist()
    ([[7.0, 3.0]], [[1, 0]], [[1, 1]], [[1, 1]])

    """
    k = count(k, "k")
    states: dict[str, TopPatches] | None = None
    names: tuple[str, ...] = ()
    size, shape, seen = 0, tuple[int, ...](), 0
    for batch in batches:
        image_batch(batch, "batches")
        if states is None:
            names = known_layers(apply, params, batch, layers)
            size, shape = batch.shape[0], batch.shape[1:]
            states = empty_states(apply, params, batch, layers=names, k=k)
        if batch.shape[1:] != shape or batch.shape[0] > size:
            raise InputError(
                f"batches: expected at most {size} images of shape {shape}, got {batch.shape}"
            )
        number = batch.shape[0]
        padded = jnp.pad(batch, [(0, size - number), (0, 0), (0, 0), (0, 0)])
        indices = np.full(size, NO_IMAGE, np.int32)
        indices[:number] = np.arange(seen, seen + number)
        states = update(
            states, params, padded, indices,
            apply=apply, layers=names, largest=largest, unique_images=unique_images,
        )  # fmt: skip
        seen += number
    if states is None:
        raise InputError("batches: expected at least one, got none")
    return {name: result(states[name], largest=largest) for name in names}


def empty_states(
    apply: Apply, params: Params, images: Any, *, layers: tuple[str, ...], k: int
) -> dict[str, TopPatches]:
    """The states before any image was seen; `images` may be their shape and type alone."""
    shapes = jax.eval_shape(lambda p, x: {n: apply(p, x)[n] for n in layers}, params, images)
    return {name: empty_state(value.shape[-1], k) for name, value in shapes.items()}


def empty_state(channels: int, k: int) -> TopPatches:
    """The neutral element of `merge`."""
    zeros = jnp.zeros((channels, k), jnp.int32)
    return TopPatches(jnp.full((channels, k), -jnp.inf), zeros + NO_IMAGE, zeros, zeros)


def merge(a: TopPatches, b: TopPatches) -> TopPatches:
    """The k best of two states; associative and commutative, with ties settled by place."""
    k = a.values.shape[1]
    values, *places = (jnp.concatenate(pair, axis=1) for pair in zip(a, b, strict=True))
    negated, *places = jax.lax.sort((-values, *places), dimension=1, num_keys=4)
    return TopPatches(*(field[:, :k] for field in (-negated, *places)))


def _update(
    states: dict[str, TopPatches],
    params: Params,
    images: Any,
    indices: Any,
    *,
    apply: Apply,
    layers: tuple[str, ...],
    largest: bool = True,
    unique_images: bool = True,
) -> dict[str, TopPatches]:
    """Take in a batch; `indices` (batch,) int32 number its images, `NO_IMAGE` where none is."""
    outputs = apply(params, images)
    return {
        name: merge(
            states[name],
            _best(
                outputs[name] if largest else -outputs[name],
                indices,
                k=states[name].values.shape[1] if not unique_images else None,
            ),
        )
        for name in layers
    }


update = compiled(_update, static_argnames=("apply", "layers", "largest", "unique_images"))


def _best(activations: Any, indices: Any, *, k: int | None) -> TopPatches:
    """The best place of each image or, given `k`, the k best of the batch, for each channel."""
    width = activations.shape[2] if activations.ndim == 4 else 1
    maps = activations.reshape(len(indices), -1, width, activations.shape[-1]).astype(jnp.float32)
    if k is None:
        values, places = _strongest(maps)
        images = jnp.broadcast_to(indices, values.shape)
    else:
        flat = _without_signed_zeros(maps.reshape(len(indices), -1, maps.shape[-1]))
        positions = flat.shape[1]
        masked = jnp.where((indices == NO_IMAGE)[:, None, None], -jnp.inf, flat)
        pool = jnp.moveaxis(masked, 2, 0).reshape(flat.shape[2], -1)
        values, found = jax.lax.top_k(pool, min(k, pool.shape[1]))  # of equals, the first
        images, places = indices[found // positions], found % positions
    places = places.astype(jnp.int32)
    real = images != NO_IMAGE
    return TopPatches(
        jnp.where(real, values, -jnp.inf),
        images,
        jnp.where(real, places // width, 0),
        jnp.where(real, places % width, 0),
    )


def _strongest(maps: Any) -> tuple[Any, Any]:
    """Each map's maximum and, of equals, the first place: both (channels, batch).

    The strongest row comes first, then its strongest place; the barriers keep XLA from joining the
    two steps into one reduction, which takes twice as long on a CPU.
    """
    barrier = jax.lax.optimization_barrier
    of_rows = barrier(maps.max(axis=2))
    row = barrier(_first_maximum(of_rows))
    line = barrier(jnp.take_along_axis(maps, row[:, None, None], axis=1)[:, 0])
    values = _without_signed_zeros(of_rows.max(axis=1))
    return values.T, (row * maps.shape[2] + _first_maximum(line)).T


def _first_maximum(values: Any) -> Any:
    """Like `argmax` along axis 1 of (batch, places, channels), but vectorized by XLA on a CPU."""
    places = jnp.arange(values.shape[1], dtype=jnp.int32)[:, None]
    less = values < values.max(axis=1, keepdims=True)
    return jnp.where(less, values.shape[1], places).min(axis=1)


def _without_signed_zeros(values: Any) -> Any:
    """-0 and 0 are equal to a selection, not to a sort."""
    return jnp.where(values == 0, 0, values)


def result(state: TopPatches, *, largest: bool = True) -> TopPatches:
    """What a final state says, with its values' own signs and -1 where there was no image."""
    missing = state.images == NO_IMAGE
    values = state.values if largest else -state.values
    return state._replace(values=values, images=jnp.where(missing, -1, state.images))


def crop(
    pixels: UInt8[Array, "height width 3"], box: tuple[int, int, int, int], *, fill: int = 0
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Cut a half-open (top, left, bottom, right) box; what lies outside the picture is `fill`.

    >>> crop(np.full((2, 2, 3), 9, np.uint8), (-1, 0, 1, 2))[:, :, 0].tolist()
    [[0, 0], [9, 9]]
    """
    top, left, bottom, right = box
    if bottom <= top or right <= left:
        raise InputError(f"box: expected top < bottom and left < right, got {box}")
    patch = np.full((bottom - top, right - left, 3), fill, np.uint8)
    height, width = pixels.shape[:2]
    rows = slice(max(top, 0), max(min(bottom, height), 0))
    cols = slice(max(left, 0), max(min(right, width), 0))
    inside = np.asarray(pixels)[rows, cols]
    row, col = rows.start - top, cols.start - left
    patch[row : row + inside.shape[0], col : col + inside.shape[1]] = inside
    return patch
