"""Exact nearest neighbors on a CPU: estimate all distances roughly, measure the few that matter.

The database is read in pieces. Each estimate comes with a bound of its error, and only pairs of a
query and a row that the bounds cannot rule out are kept and, at last, measured. So an estimate may
be rough without changing the answer.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..._checks import InputError
from ..._prefetch import prefetch
from . import estimates

_ENOUGH = 32  # times k: so many pairs for each query are kept before they are thinned out
_TOGETHER = 256  # pairs measured at a time
_ROWS = 32  # whose estimates stay in a core's cache
_SLACK = np.float32(1 + 1e-6)  # for the few roundings that come after an estimate


class Piece(NamedTuple):
    """Rows of the database from `first` on, and their squared lengths."""

    first: int
    rows: np.ndarray
    squares: np.ndarray


class Pairs(NamedTuple):
    """Pairs of a query and a row, whose distance is at least `least` and at most `most`."""

    query: np.ndarray
    row: np.ndarray
    least: np.ndarray
    most: np.ndarray

    def those(self, chosen: np.ndarray) -> "Pairs":
        """The chosen ones, by their places or by a mask."""
        return Pairs(*(field[chosen] for field in self))


class _Scale(NamedTuple):
    """How products become levels, and levels distances.

    `adjust(products, theirs)` are levels, which order the rows as the distances at least do. A
    level and `mine` make the least squared distance, or the least cosine distance; the `spread` of
    the row and the `width` of the query more make the largest.
    """

    adjust: np.ufunc
    theirs: np.ndarray
    spread: np.ndarray
    mine: np.ndarray
    width: np.ndarray


def pieces(database: np.ndarray, rows: int) -> Iterator[Piece]:
    """Read the database piece by piece, the next one while one is searched."""

    def read(first: int) -> Piece:
        part = np.asarray(database[first : first + rows], np.float32)
        return Piece(first, part, np.vecdot(part, part))

    return prefetch(read, range(0, len(database), rows), depth=2)


class Search:
    """The search of some queries, (queries, dim), to which all pieces of a database are shown.

    With `own`, query 0 is that row of the database, query 1 the next, and none finds itself.
    `rough` estimates are faster, but may be too rough: then they are given up on the way.
    """

    def __init__(
        self,
        queries: np.ndarray,
        database: np.ndarray,
        *,
        k: int,
        metric: str,
        own: int | None = None,
        rough: bool = False,
    ):
        self.database, self.k, self.own, self.rough = database, k, own, rough
        self.cosine = metric == "cosine"
        self.squares = np.vecdot(queries, queries)
        if not np.isfinite(self.squares).all():
            raise InputError("queries: expected finite numbers, got others or too large ones")
        self.queries = queries / _lengths(self.squares)[:, None] if self.cosine else queries
        self.scaled = -self.queries if self.cosine else -2 * queries
        self.estimate = (estimates.halves if rough else estimates.singles)(self.scaled)
        self.bounds = np.full(len(queries), np.inf, np.float32)  # of the k-th nearest's distance
        self.found: list[Pairs] = []

    def look_at(self, piece: Piece) -> None:
        """Take up the rows of a piece."""
        self.found.append(self._near(piece))
        if sum(len(pairs.query) for pairs in self.found) > self._enough():
            self._thin_out()

    def nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """Distances and rows of the k nearest, (queries, k); of equals the smaller row is first."""
        self._thin_out()
        (pairs,) = self.found
        pairs = self._k_best(pairs)
        shape = len(self.queries), self.k
        if len(pairs.query) < math.prod(shape):  # what is not finite is near to nothing
            raise InputError(f"database: expected {self.k} finite rows or more, got fewer")
        return pairs.most.reshape(shape), pairs.row.astype(np.int32).reshape(shape)

    def _enough(self) -> int:
        return _ENOUGH * self.k * len(self.queries)

    @np.errstate(invalid="ignore")  # rows that are not finite
    def _near(self, piece: Piece) -> Pairs:
        """The pairs whose distance may be within the bounds."""
        products, scale = self.estimate.products(piece.rows), self._scale(piece)
        if np.isinf(self.bounds).any() and len(piece.rows) > self.k:
            last = self.k - (self.own is None)  # one more where a row may be the query itself
            highest = scale.adjust(products, scale.theirs) + scale.spread[:, None]
            highest = np.partition(np.ascontiguousarray(highest.T), last, axis=1)[:, last]
            self.bounds = self._distances(highest + scale.mine + scale.width)
        limits = (self.bounds if self.cosine else self.bounds**2) * _SLACK - scale.mine
        places, levels = [], []
        for first in range(0, len(products), _ROWS):
            block = slice(first, first + _ROWS)
            adjusted = scale.adjust(products[block], scale.theirs[block])
            near = np.flatnonzero(adjusted <= limits)
            places.append(near + first * len(limits))
            levels.append(adjusted.ravel()[near])
        row, query = np.divmod(np.concatenate(places), len(limits))
        least = np.concatenate(levels) + scale.mine[query]
        most = least + scale.spread[row] + scale.width[query]
        row += piece.first
        pairs = Pairs(query, row, self._distances(least), self._distances(most))
        return pairs if self.own is None else pairs.those(row != query + self.own)

    def _scale(self, piece: Piece) -> _Scale:
        """From |q - x|^2 = |q|^2 - 2 q x + |x|^2, or from the cosine.

        The product of two lengths, which an estimate's error is a share of, is at most half the
        sum of their squares.
        """
        error = np.float32(self.estimate.error)
        theirs, spread = (1 - error) * piece.squares, 2 * error * piece.squares
        mine, width = (1 - error) * self.squares, 2 * error * self.squares
        if not self.cosine:
            return _Scale(np.add, theirs[:, None], spread, mine, width)
        theirs, spread = np.reciprocal(_lengths(piece.squares)), np.zeros_like(spread)
        mine, width = np.full_like(mine, 1 - error), np.full_like(width, 2 * error)
        return _Scale(np.multiply, theirs[:, None], spread, mine, width)

    def _distances(self, values: np.ndarray) -> np.ndarray:
        values = np.maximum(values, 0) + np.float32(0)  # and no -0
        return values if self.cosine else np.sqrt(values)

    def _thin_out(self) -> None:
        """Measure the k best of each query, and drop what cannot be among them."""
        pairs = Pairs(*(np.concatenate(field) for field in zip(*self.found, strict=True)))
        pairs, ranks = _ranked(pairs, np.argsort(pairs.query << 32 | pairs.most.view(np.int32)))
        best = ranks < self.k
        if best.sum() == self.k * len(self.queries):
            pairs = self._measured(pairs, best)
            self.bounds = pairs.most[best].reshape(-1, self.k).max(axis=1)
            pairs = pairs.those(pairs.least <= self.bounds[pairs.query] * _SLACK)
        if len(pairs.query) > self._enough() // 2:
            pairs = self._k_best(pairs)
            if self.rough:
                self.rough, self.estimate = False, estimates.singles(self.scaled)
        self.found = [pairs]

    def _k_best(self, pairs: Pairs) -> Pairs:
        pairs = self._measured(pairs, np.ones(len(pairs.query), bool))
        pairs, ranks = _ranked(pairs, np.lexsort((pairs.row, pairs.most, pairs.query)))
        return pairs.those(ranks < self.k)

    def _measured(self, pairs: Pairs, chosen: np.ndarray) -> Pairs:
        """The same pairs with the distances of the chosen ones."""
        places = np.flatnonzero(chosen & (pairs.least < pairs.most))

        def measure(first: int) -> np.ndarray:
            some = places[first : first + _TOGETHER]
            query = pairs.query[some]
            rows = np.asarray(self.database[pairs.row[some]], np.float32)
            if not self.cosine:
                rows -= self.queries[query]
                return np.sqrt(np.vecdot(rows, rows))
            squares = np.vecdot(rows, rows)
            rows /= _lengths(squares)[:, None]
            rows -= self.queries[query]
            zero = (squares == 0) | (self.squares[query] == 0)
            return np.where(zero, np.float32(1), np.vecdot(rows, rows) / 2)

        distances = [*prefetch(measure, range(0, len(places), _TOGETHER))]
        least, most = pairs.least.copy(), pairs.most.copy()
        if distances:
            least[places] = most[places] = np.concatenate(distances)
        return pairs._replace(least=least, most=most)


def _ranked(pairs: Pairs, order: np.ndarray) -> tuple[Pairs, np.ndarray]:
    """The pairs in an order by queries, and the place of each among those of its query."""
    pairs = pairs.those(order)
    return pairs, np.arange(len(order)) - np.searchsorted(pairs.query, pairs.query)


def _lengths(squares: np.ndarray) -> np.ndarray:
    return np.sqrt(np.where(squares == 0, np.float32(1), squares))
