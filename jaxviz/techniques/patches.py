"""Maximally activating patches: the places in many images that excite each channel most.

Girshick et al. 2014 (R-CNN), section 3.1 and fig. 3; Zeiler & Fergus 2014, fig. 2; Yosinski et al.
2015, section 2. One maximum is kept for each image and channel, so that a row shows k images,
unless all positions are asked for. Images may also be ranked by the mean of each map, which favors
what fills the image, and be kept for each label apart.

The state of the search is a monoid: `empty_state`, `update`, `merge`. Merging is associative and
commutative and ties go to the smaller image index, row, then column, so the answer depends neither
on the batches nor on their order.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from .._checks import InputError
from .._typing import Array

RANKINGS = ("maximum", "mean")
NO_IMAGE = np.int32(2**31 - 1)  # sorts after every image


class TopPatches(NamedTuple):
    """The strongest activations of each channel, strongest first; all arrays (channels, k).

    Where labels are kept apart, all arrays are (labels, channels, k). `values` are the activations,
    or the means of the maps where images are ranked by these; `images` the indices of the images in
    the order they came; `rows` and `cols` the places in the layer's map, 0 for a layer without
    space. Where the layer has one or three axes of places, `rows` counts them in order and `cols`
    is 0. Where there were fewer than k, `images` is -1 and `values` -inf (inf where the smallest
    were asked for). NaN is never among the strongest.
    """

    values: Any
    images: Any
    rows: Any
    cols: Any


def num_channels(shape: Sequence[int]) -> int:
    """How many channels a layer of this shape, (batch, ...), has: one for each image is one."""
    return shape[-1] if len(shape) > 1 else 1


def empty_state(
    channels: int, k: int, dtype: Any = jnp.float32, *, labels: int | None = None
) -> TopPatches:
    """The neutral element of `merge` for activations of this type; float32 is the least kept."""
    shape = (channels, k) if labels is None else (labels, channels, k)
    zeros = jnp.zeros(shape, jnp.int32)
    worst = jnp.full(shape, -jnp.inf, jnp.promote_types(dtype, jnp.float32))
    return TopPatches(worst, jnp.full_like(zeros, NO_IMAGE), zeros, zeros)


def merge(a: TopPatches, b: TopPatches) -> TopPatches:
    """The k best of two states; associative and commutative, with ties settled by place."""
    k = a.values.shape[-1]
    values, *places = (jnp.concatenate(pair, axis=-1) for pair in zip(a, b, strict=True))
    negated, *places = jax.lax.sort((-values, *places), dimension=-1, num_keys=4)
    return TopPatches(*(field[..., :k] for field in (-negated, *places)))


def update(
    state: TopPatches,
    activations: Any,
    indices: Any,
    *,
    largest: bool,
    unique_images: bool,
    rank_by: str = "maximum",
    labels: Any = None,
) -> TopPatches:
    """Take in a layer's activations of a batch.

    `indices` (batch,) int32 number its images, `NO_IMAGE` where none is; `labels` (batch,) int32
    number their labels, where a state has labels.
    """
    kept = activations.astype(state.values.dtype)
    kept = kept[:, None] if kept.ndim == 1 else kept
    kept = kept if largest else -kept
    kept = jnp.where(jnp.isnan(kept), -jnp.inf, kept)
    k = None if unique_images else state.values.shape[-1]
    if labels is None:
        return merge(state, _best(kept, indices, k=k, rank_by=rank_by))

    def take(state: TopPatches, image: tuple[Any, Any, Any]) -> tuple[TopPatches, None]:
        values, index, label = image
        best = _best(values[None], index[None], k=k, rank_by=rank_by)
        merged = merge(TopPatches(*(field[label] for field in state)), best)
        pairs = zip(state, merged, strict=True)
        return TopPatches(*(field.at[label].set(new) for field, new in pairs)), None

    return jax.lax.scan(take, state, (kept, indices, labels))[0]


def _best(activations: Any, indices: Any, *, k: int | None, rank_by: str) -> TopPatches:
    """The best place of each image or, given `k`, the k best of the batch, for each channel."""
    width = activations.shape[2] if activations.ndim == 4 else 1
    maps = activations.reshape(len(indices), -1, width, activations.shape[-1])
    if k is None:
        values, places = _strongest(maps)
        if rank_by == "mean":
            means = maps.mean(axis=(1, 2)).T
            values = jnp.where(jnp.isnan(means), -jnp.inf, _without_signed_zeros(means))
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
