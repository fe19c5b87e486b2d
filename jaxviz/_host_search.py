"""Exact nearest neighbors in NumPy, for CPUs: its products of matrices are faster there than XLA's.

The database is read in pieces, and of the distances to a piece only those are looked at that beat
the k-th best so far. So the search costs little more than the products themselves.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ._ahead import ahead

NONE = np.int32(2**31 - 1)  # sorts after every row
_SLACK = 16 * np.finfo(np.float32).eps
_MANY = 4  # times k: so many are first cut down by what the first rows of the piece tell
_ROWS = 32


class Piece(NamedTuple):
    """Rows of the database from `first` on, and their squared lengths."""

    first: int
    rows: np.ndarray
    squares: np.ndarray


class Found(NamedTuple):
    """The k nearest so far, sorted: (queries, k) each."""

    distances: np.ndarray
    indices: np.ndarray


def pieces(database: np.ndarray, rows: int) -> Iterator[Piece]:
    """Read the database piece by piece, the next one while one is searched."""

    def read(first: int) -> Piece:
        part = np.asarray(database[first : first + rows], np.float32)
        return Piece(first, part, np.vecdot(part, part))

    return ahead(read, range(0, len(database), rows), depth=2)


class Search:
    """The search of some queries, (queries, dim), to which pieces are shown in order.

    A level orders the rows as their distance from a query does, but leaves out what is the same
    for all rows: the squared distance less the query's square, or minus the cosine.
    """

    def __init__(self, queries: np.ndarray, *, k: int, metric: str):
        self.k, self.cosine = k, metric == "cosine"
        self.squares = np.vecdot(queries, queries)[:, None]
        self.scaled = -queries / _lengths(self.squares) if self.cosine else -2 * queries
        shape = len(queries), k
        self.found = Found(np.full(shape, np.inf, np.float32), np.full(shape, NONE))
        self.waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.space = np.empty(0, np.float32)

    def look_at(self, piece: Piece, own: int | None = None) -> None:
        """Take up the rows of a piece; `own` is the row of the database that is query 0 itself."""
        levels = self._products(piece.rows)
        if own is not None:
            start, stop = piece.first - own, piece.first + len(piece.rows) - own
            mine = np.arange(max(start, 0), min(stop, len(levels)))
            levels[mine, mine - start] = np.inf
        most = self._level(self.found.distances[:, -1:])
        adjust, theirs = (
            (np.multiply, 1 / _lengths(piece.squares)) if self.cosine else (np.add, piece.squares)
        )
        parts = []
        for first in range(0, len(levels), _ROWS):  # few enough to stay in a core's cache
            part = levels[first : first + _ROWS]
            adjust(part, theirs, out=part)
            nearer = np.flatnonzero(part < most[first : first + _ROWS])
            parts.append(first * levels.shape[1] + nearer)
        near = np.concatenate(parts)
        if len(near) > _MANY * self.found.indices.size:
            some = levels[:, : max(self.k, levels.shape[1] // 8)]  # any k rows bound the k nearest
            last = min(self.k, some.shape[1]) - 1
            best = self._distances(np.partition(some, last, axis=1)[:, last, None], self.squares)
            near = np.flatnonzero(levels < np.minimum(most, self._level(best)))
        query, row = np.divmod(near, levels.shape[1])
        distances = self._distances(levels.ravel()[near], self.squares[query, 0])
        self.waiting.append((query, distances, (piece.first + row).astype(np.int32)))
        if sum(len(query) for query, _, _ in self.waiting) >= self.found.indices.size:
            self.nearest()

    def nearest(self) -> Found:
        """The nearest of all that was shown; of equal distances the smaller index is first."""
        number = len(self.squares)
        so_far = (np.repeat(np.arange(number), self.k), *(each.ravel() for each in self.found))
        query, distances, indices = map(np.concatenate, zip(so_far, *self.waiting, strict=True))
        order = np.lexsort((indices, distances, query))
        starts = np.searchsorted(query[order], np.arange(number))
        kept = order[starts[:, None] + np.arange(self.k)]
        self.found, self.waiting = Found(distances[kept], indices[kept]), []
        return self.found

    def _products(self, rows: np.ndarray) -> np.ndarray:
        shape = len(self.scaled), len(rows)
        if self.space.size < math.prod(shape):
            self.space = np.empty(math.prod(shape), np.float32)
        levels = self.space[: math.prod(shape)].reshape(shape)
        return np.matmul(self.scaled, rows.T, out=levels)

    def _distances(self, levels: np.ndarray, squares: np.ndarray) -> np.ndarray:
        if self.cosine:
            return np.maximum(1 + levels, 0)  # round-off goes below zero
        return np.sqrt(np.maximum(levels + squares, 0))

    def _level(self, distances: np.ndarray) -> np.ndarray:
        """A level below which lies every row that is at most so far, whatever round-off did."""
        if self.cosine:
            return distances - (1 - _SLACK)
        return distances**2 * (1 + _SLACK) - self.squares * (1 - _SLACK)


def _lengths(squares: np.ndarray) -> np.ndarray:
    return np.sqrt(np.where(squares == 0, np.float32(1), squares))
