"""Convolutions of images with zeros between their pixels, which strided ones have as gradients.

Pixels of the result that lie `dilation` apart read the same taps of the kernel. So the kernel is
cut into as many phases, one convolution of the image without zeros gives all of them as channels,
and these are laid out as pixels.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax


class _Axis(NamedTuple):
    """Of each phase the first tap, and the pixel that it reads; how many taps all have."""

    first: list[int]
    reads: list[int]
    taps: int


def _axis(taps: int, dilation: int, padding: int) -> _Axis:
    first = [(padding - phase) % dilation for phase in range(dilation)]
    reads = [(phase + tap - padding) // dilation for phase, tap in enumerate(first)]
    lengths = [-(-(taps - tap) // dilation) for tap in first]
    ends = [start + length for start, length in zip(reads, lengths, strict=True)]
    return _Axis(first, reads, max(ends) - min(reads))


def convolve_by_phases(
    images: Array,
    kernel: Array,
    dilation: Sequence[int],
    padding: Sequence[tuple[int, int]],
    convolve: Callable[[Array, Array, Sequence[tuple[int, int]]], Array],
) -> Array:
    """The convolution of images (batch, *places, channels) dilated by `dilation`, then padded.

    kernel: (*taps, channels in, channels out). convolve: (images, kernel, padding) -> the plain
    convolution, of stride 1.

    >>> def convolve(images, kernel, padding):
    ...     return lax.conv_general_dilated(
    ...         images, kernel, [1], padding, dimension_numbers=("NWC", "WIO", "NWC"))
    >>> images, kernel = jnp.array([[[1.0], [2.0]]]), jnp.array([[[1.0]], [[10.0]]])
    >>> convolve_by_phases(images, kernel, [2], [(1, 0)], convolve)[0, :, 0].tolist()
    [10.0, 1.0, 20.0]
    """
    places, taps = images.shape[1:-1], kernel.shape[:-2]
    into, out = kernel.shape[-2:]
    sizes = [
        (place - 1) * step + 1 + low + high - tap + 1
        for place, step, (low, high), tap in zip(places, dilation, padding, taps, strict=True)
    ]
    axes = [
        _axis(tap, step, low) for tap, step, (low, _) in zip(taps, dilation, padding, strict=True)
    ]
    # One axis of the kernel after the other: taps -> (phase, taps of the phase).
    for place, (axis, step) in enumerate(zip(axes, dilation, strict=True)):
        phases = []
        for tap, read in zip(axis.first, axis.reads, strict=True):
            part = lax.slice_in_dim(kernel, tap, kernel.shape[2 * place], step, axis=2 * place)
            before = read - min(axis.reads)
            margins = [(0, 0)] * kernel.ndim
            margins[2 * place] = (before, axis.taps - before - part.shape[2 * place])
            phases.append(jnp.pad(part, margins))
        kernel = jnp.stack(phases, axis=2 * place)
    rank = len(taps)
    order = [*range(1, 2 * rank, 2), 2 * rank, *range(0, 2 * rank, 2), 2 * rank + 1]
    kernel = kernel.transpose(order).reshape(*(axis.taps for axis in axes), into, -1)
    counts = [-(-size // step) for size, step in zip(sizes, dilation, strict=True)]
    margins = [
        (-min(axis.reads), count + axis.taps - 1 + min(axis.reads) - place)
        for axis, count, place in zip(axes, counts, places, strict=True)
    ]
    found = convolve(images, kernel, margins).reshape(len(images), *counts, *dilation, out)
    order = [0, *(axis for i in range(rank) for axis in (1 + i, 1 + rank + i)), 1 + 2 * rank]
    whole = [count * step for count, step in zip(counts, dilation, strict=True)]
    found = found.transpose(order).reshape(len(images), *whole, out)
    return lax.slice(found, [0] * found.ndim, [len(images), *sizes, out])


def is_by_phases(taps: Sequence[int], dilation: Sequence[int]) -> bool:
    """Whether every phase has a tap."""
    return math.prod(dilation) > 1 and all(
        tap >= step for tap, step in zip(taps, dilation, strict=True)
    )
