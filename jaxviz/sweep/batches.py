"""Top patches over batches of images that the caller has prepared."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import devices
from .._checks import InputError, count, image_batch
from .._contract import layer_names
from .._typing import Apply, Array, Params
from ..techniques.patches import TopPatches
from .engine import Evaluation, numbered
from .patches import KeepBest, patches_task


@devices.own_context()
def top_patches(
    apply: Apply,
    params: Params,
    batches: Iterable[Array],  # each like Images; the last one may be smaller
    *,
    layers: str | Sequence[str],
    k: int = 9,
    largest: bool = True,
    unique_images: bool = True,
    rank_by: str = "maximum",
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
        rank_by: "maximum" ranks images by the largest activation of a map, "mean" by its mean over
            all places (its sum gives the same order); the place is that of the largest.

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
    keep = KeepBest(count(k, "k"), largest, unique_images, rank_by)
    names = layer_names(layers)
    evaluation = None
    for images, indices in _stacked(batches):
        if evaluation is None:
            one = jax.ShapeDtypeStruct(images.shape[1:], images.dtype)
            task = patches_task(keep, apply, params, one, prepare=lambda x: x, layers=names)
            evaluation = Evaluation(task, params)
        evaluation.add(images, indices)
    if evaluation is None:
        raise InputError("batches: expected at least one, got none")
    return keep.results(names, evaluation.state())


def _stacked(batches: Iterable[Array]) -> Iterator[tuple[Any, np.ndarray]]:
    """One batch for each device, with the numbers of its images; all of one shape and type."""
    first = None
    begin, number = 0, devices.number()
    if not isinstance(batches, Iterable):
        raise InputError(f"batches: expected some of images, got {type(batches).__name__}")
    waiting = iter(batches)
    while group := list(itertools.islice(waiting, number)):
        padded, indices = [], []
        for batch in group:
            image_batch(batch, "batches")
            first = batch if first is None else first
            size, *shape = first.shape
            if list(batch.shape[1:]) != shape or len(batch) > size:
                expected = f"at most {size} images of shape {tuple(shape)}"
                raise InputError(f"batches: expected {expected}, got {batch.shape}")
            end = begin + len(batch)
            indices.append(numbered((size,), begin, end))
            padded.append(_padded(batch, size))
            begin = end
        for _ in range(number - len(group)):
            indices.append(numbered((size,), begin, begin))
            padded.append(padded[-1])
        yield devices.spread(padded), np.stack(indices)


def _padded(batch: Array, size: int) -> Array:
    if len(batch) == size:
        return batch
    pad = np.pad if isinstance(batch, np.ndarray) else jnp.pad
    return pad(batch, [(0, size - len(batch)), (0, 0), (0, 0), (0, 0)])
