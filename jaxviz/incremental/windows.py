"""Boxes on feature maps: how far a change reaches, and what of a map is read for a box.

Ranges are host NumPy, one row a position: they are exact and known when a function is traced.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..jaxpr.tape import Reads

# An empty range: the identity of `union`.
NOWHERE = 1 << 30


class Window(NamedTuple):
    """Output index i of an axis reads input indices j of `axis` at places j * spacing.

    It reads those at places i * stride - padding + [0, size). Of stride and spacing one is 1.
    """

    axis: int
    size: int = 1
    stride: int = 1
    padding: int = 0
    spacing: int = 1

    def reached(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The range of output indices, as far as the axis goes on, that read any of [low, high)."""
        first = low * self.spacing + self.padding - self.size + 1
        last = (high - 1) * self.spacing + self.padding
        return -(-first // self.stride), last // self.stride + 1

    def read(self, starts: np.ndarray, size: int, extent: int) -> tuple[np.ndarray, int]:
        """The range of input indices that a range of output indices reads; see `covering`."""
        first = starts // self.spacing * self.stride - self.padding // self.spacing
        last = (size - 1) * self.stride + self.size - 1 - self.padding
        count = last // self.spacing + self.padding // self.spacing + 1
        return first, max(int(count), 1)

    def covering(self, starts: np.ndarray, size: int, extent: int) -> tuple[np.ndarray, int]:
        """The range of output indices, around one that is wanted, that can be evaluated.

        Behind spaced inputs it begins at the same place among them at every position.
        """
        behind = starts % self.spacing
        return starts - behind, size + int(behind.max(initial=0))


class Table(NamedTuple):
    """Output index i of an axis reads input indices low[i] <= j < high[i] of `axis`.

    Any part of it is evaluated as a part of the whole axis.
    """

    axis: int
    low: tuple[int, ...]
    high: tuple[int, ...]

    @classmethod
    def of(cls, reads: Reads) -> "Table":
        """What a step's tape says."""
        return cls(reads.axis, reads.low, reads.high)

    def reached(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of a `Window`."""
        reads = (np.array(self.low) < high[:, None]) & (np.array(self.high) > low[:, None])
        count = reads.sum(axis=1, initial=0)
        first = reads.argmax(axis=1)
        last = reads.shape[1] - reads[:, ::-1].argmax(axis=1)
        return first, np.where(count > 0, last, first)

    def read(self, starts: np.ndarray, size: int, extent: int) -> tuple[np.ndarray, int]:
        """As of a `Window`."""
        return np.zeros_like(starts), extent

    def covering(self, starts: np.ndarray, size: int, extent: int) -> tuple[np.ndarray, int]:
        """As of a `Window`."""
        return np.zeros_like(starts), extent


Reading = Window | Table


class Region(NamedTuple):
    """Where a value may differ: at `low <= index < high`, each (positions, rank)."""

    low: np.ndarray
    high: np.ndarray

    def rows(self, index: np.ndarray) -> "Region":
        return Region(self.low[index], self.high[index])

    @property
    def is_empty(self) -> bool:
        return self.low.shape[1] > 0 and bool((self.low >= self.high).any(axis=1).all())


class Box(NamedTuple):
    """One box of a static size a position; `starts` is (positions, rank)."""

    starts: np.ndarray
    sizes: tuple[int, ...]

    def same_as(self, other: "Box") -> bool:
        return self.sizes == other.sizes and np.array_equal(self.starts, other.starts)


def whole(shape: Sequence[int], count: int) -> Box:
    return Box(np.zeros((count, len(shape)), int), tuple(shape))


def reach(windows: Sequence[Reading | None], region: Region, shape: Sequence[int]) -> Region:
    """The output indices that read any of `region`; an axis without a window is all reached."""
    low = np.zeros((len(region.low), len(shape)), int)
    high = np.broadcast_to(np.array(shape, int), low.shape).copy()
    for axis, window in enumerate(windows):
        if window is not None:
            at = region.low[:, window.axis], region.high[:, window.axis]
            first, last = window.reached(*at)
            low[:, axis] = np.clip(first, 0, None)
            high[:, axis] = np.clip(last, None, shape[axis])
    empty = (low >= high).any(axis=1) | (region.low >= region.high).any(axis=1)
    low[empty], high[empty] = NOWHERE, -NOWHERE
    return Region(low, high)


def union(regions: Sequence[Region]) -> Region:
    low = np.min([region.low for region in regions], axis=0)
    return Region(low, np.max([region.high for region in regions], axis=0))


def bounding_box(region: Region, shape: Sequence[int]) -> Box:
    """The smallest static box that covers every position's region and stays on the map."""
    extent = np.array(shape, int)
    sizes = (region.high - region.low).max(axis=0)
    return Box(np.clip(region.low, 0, extent - sizes), tuple(int(size) for size in sizes))


def covering(windows: Iterable[Sequence[Reading | None]], box: Box, shape: Sequence[int]) -> Box:
    """The box of the output, around one that is wanted, that the operands' windows can make."""
    starts, sizes = box.starts.copy(), list(box.sizes)
    for each in windows:
        for axis, window in enumerate(each):
            if window is not None:
                found = window.covering(starts[:, axis], sizes[axis], shape[axis])
                starts[:, axis], sizes[axis] = found
    return Box(starts, tuple(sizes))


def needed(windows: Sequence[Reading | None], box: Box, shape: Sequence[int]) -> Box:
    """What an operand of `shape` must supply for `box` of the output; it may overhang the map."""
    starts = np.zeros((len(box.starts), len(shape)), int)
    sizes = list(shape)
    for axis, window in enumerate(windows):
        if window is not None:
            along = window.axis
            found = window.read(box.starts[:, axis], box.sizes[axis], shape[along])
            starts[:, along], sizes[along] = found
    return Box(starts, tuple(sizes))
