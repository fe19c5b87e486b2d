"""Exact nearest neighbors of concrete vectors: estimate all distances, measure the few that matter.

The database is read in pieces. Each estimate comes with a bound of its error. Only pairs of a query
and a row that the bounds cannot rule out are kept, and those are measured by difference in float64.
So an estimate may be rough without changing the answer.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..._prefetch import prefetch
from ...cpu.policy import on_cpu
from ...cpu.processor import multiplies_bfloat16
from . import estimates
from .frame import FLOOR, Frame, Placed, as_float32

_PIECE_BYTES = 2**26  # of the database at a time, where it must be copied
_VIEWED_BYTES = 2**28  # where it is read in place: the fewer pieces, the less the threads wait
_PRODUCT_BYTES = 2**24  # of the estimates of a piece
_QUERIES = 2048  # looked up together
_BFLOAT16_TERMS = 2**35  # in all products, from which compiling for bfloat16 is worth while
_ROWS_A_PAIR = 150  # estimated in bfloat16 save as much time as a doubtful pair costs
_SAMPLE = 32  # queries and rows by which that is told
_KEPT = 4  # times k: the pairs kept for each query before what cannot be near is dropped
_MOST_KEPT = 32  # times k: so many that cannot be dropped are measured
_CACHED = 2**15  # estimates that stay in a core's cache
_GROUP = 8  # rows of which the nearest stands for all, and groups for each of the k
_SLACK = 1 + 1e-6  # more than rounding a distance to float32 can change its square


class Piece(NamedTuple):
    """Rows of the database from `first` on, placed in the frame."""

    first: int
    placed: Placed


class Pairs(NamedTuple):
    """Pairs of a query and a row, whose squared distance is at least `least`, at most `most`."""

    query: np.ndarray
    row: np.ndarray
    least: np.ndarray
    most: np.ndarray

    def select(self, chosen: np.ndarray) -> "Pairs":
        """Some of the pairs, by their places or by a mask."""
        return Pairs(*(field[chosen] for field in self))


class Levels(NamedTuple):
    """How products become bounds of squared distances in the frame.

    `adjust(products, per_row)` and `per_query` make the least; `row_width` and `query_width` more
    make the largest.
    """

    adjust: np.ufunc
    per_row: np.ndarray
    per_query: np.ndarray
    row_width: np.ndarray
    query_width: np.ndarray


def search(
    queries: np.ndarray, database: np.ndarray, *, k: int, metric: str, own: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Distances and rows of the `k` nearest, (queries, k) each.

    `own` are the rows of the database that the queries are, and that they shall not find.
    """
    cosine = metric == "cosine"
    block = min(len(queries), _QUERIES)
    large = on_cpu() and len(queries) * database.size > _BFLOAT16_TERMS and multiplies_bfloat16()
    rough = large and _few_are_doubtful(queries, database, k=k, cosine=cosine)
    found = []
    for first in range(0, len(queries), block):
        some = slice(first, first + block)
        asked = as_float32(queries[some])
        part = Search(
            asked, first, database, k=k, cosine=cosine,
            own=None if own is None else own[some], rough=rough,
        )  # fmt: skip
        for piece in part.pieces():
            part.look_at(piece)
        found.append(part.nearest())
    distances, indices = (np.concatenate(fields) for fields in zip(*found, strict=True))
    return distances, indices


class Search:
    """The search of some queries, to which all pieces of a database are shown.

    The queries, float32 (queries, dim), are those from number `first` on. `rough` estimates are
    faster, but may leave too many pairs to measure: then finer ones take over.
    """

    def __init__(
        self, queries: np.ndarray, first: int, database: np.ndarray,
        *, k: int, cosine: bool, own: np.ndarray | None, rough: bool,
    ):  # fmt: skip
        self.database, self.k, self.own, self.rough = database, k, own, rough
        self.frame = Frame.fitting(queries, database, cosine=cosine)
        placed = self.frame.place(queries, "queries", first)
        scaled = np.float32(-2) * placed.vectors
        if placed.factors is not None:
            scaled *= placed.factors[:, None]
        self.scaled, self.squares = scaled, placed.squares
        self.exact = Frame(cosine, 1.0, None).exact(queries) if cosine else queries
        exact_products = estimates.in_float32 if on_cpu() else estimates.on_devices
        self.estimate = (estimates.in_bfloat16 if rough else exact_products)(scaled)
        self.bounds = np.full(len(queries), np.inf)  # of the squared distance to the k-th nearest
        self.found: list[Pairs] = []
        self.room = _KEPT * k * len(queries)  # pairs that are kept before some are dropped

    def pieces(self) -> Iterator[Piece]:
        """Read the database piece by piece, the next one while one is searched."""
        in_place = self.frame.is_plain and self.database.dtype == np.float32
        most = (_VIEWED_BYTES if in_place else _PIECE_BYTES) // self.database.shape[1]
        most = min(most, _PRODUCT_BYTES // len(self.scaled)) // 4
        rows = max(1, most // 4 if self.rough else most)  # bfloat16 likes caches

        def read(first: int) -> Piece:
            part = as_float32(self.database[first : first + rows])
            return Piece(first, self.frame.place(part, "database", first))

        starts = range(0, len(self.database), rows)
        return prefetch(read, starts, depth=2) if len(starts) > 1 else map(read, starts)

    def look_at(self, piece: Piece) -> None:
        """Take up the rows of a piece."""
        self.found.append(self._near(piece))
        if sum(len(pairs.query) for pairs in self.found) > self.room:
            self._thin_out()

    def nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """Distances and rows of the k nearest, (queries, k); of equals the smaller row is first."""
        pairs = self._k_best(_joined(self.found))
        shape = len(self.exact), self.k
        return self._rounded(pairs.most).reshape(shape), pairs.row.astype(np.int32).reshape(shape)

    def _near(self, piece: Piece) -> Pairs:
        """The pairs whose distance may be within the bounds."""
        products, levels = self.estimate.products(piece.placed.vectors), self._levels(piece.placed)
        if np.isinf(self.bounds).any() and len(products) > self.k:
            last = self.k - (self.own is None)  # one more where a row may be the query itself
            highest = levels.adjust(products, levels.per_row)
            highest += levels.row_width[:, None]
            highest = _least_of_groups(highest, last + 1).T
            highest = np.partition(np.ascontiguousarray(highest), last, axis=1)[:, last]
            self.bounds = self._squared(highest + levels.per_query + levels.query_width)
        limits = self.bounds * (_SLACK * self.frame.scale**2) - levels.per_query
        limits = np.nextafter(limits.astype(np.float32), np.float32(np.inf))
        places, least = [], []
        step = max(1, _CACHED // len(limits))
        for first in range(0, len(products), step):
            block = slice(first, first + step)
            adjusted = levels.adjust(products[block], levels.per_row[block])
            near = np.flatnonzero(adjusted <= limits)
            places.append(near + first * len(limits))
            least.append(adjusted.ravel()[near])
        row, query = np.divmod(np.concatenate(places), len(limits))
        low = np.concatenate(least) + levels.per_query[query]
        high = low + levels.row_width[row] + levels.query_width[query]
        row += piece.first
        pairs = Pairs(query, row, self._squared(low), self._squared(high))
        return pairs if self.own is None else pairs.select(row != self.own[query])

    def _levels(self, placed: Placed) -> Levels:
        """From |q - x|^2 = |q|^2 + |x|^2 - 2 q x.

        The product of two lengths, which an estimate's error is a share of, is at most half the
        sum of their squares.
        """
        error = np.float32(self.estimate.error)
        per_row, row_width = (1 - error) * placed.squares - FLOOR, 2 * error * placed.squares
        per_query, query_width = (1 - error) * self.squares, 2 * error * self.squares + 2 * FLOOR
        adjust: np.ufunc = np.add
        if placed.factors is not None:  # all squared lengths are 1
            adjust, per_query, per_row = np.multiply, per_query + per_row[0], placed.factors
        if placed.far is not None:
            row_width[placed.far] = np.inf
        return Levels(adjust, per_row[:, None], per_query, row_width, query_width)

    def _squared(self, levels: np.ndarray) -> np.ndarray:
        """Squared distances between the vectors as they are given, or of unit length for cosine."""
        return np.maximum(levels.astype(np.float64), 0) / self.frame.scale**2

    @np.errstate(over="ignore")
    def _rounded(self, squared: np.ndarray) -> np.ndarray:
        """Distances in float32."""
        return (squared / 2 if self.frame.cosine else np.sqrt(squared)).astype(np.float32)

    def _thin_out(self) -> None:
        """Drop what cannot be among the k nearest of each query; measure the rest if it is much."""
        pairs, _ = self._within_bounds(_joined(self.found))
        if len(pairs.query) > _MOST_KEPT * self.k * len(self.exact):
            pairs = self._k_best(pairs)
            if self.rough:
                self.rough, self.estimate = False, estimates.in_float32(self.scaled)
        self.found, self.room = [pairs], max(self.room, 2 * len(pairs.query))

    def _within_bounds(self, pairs: Pairs) -> tuple[Pairs, np.ndarray]:
        """The pairs by queries, and by their largest distances; and which are the k first."""
        pairs, ranks = _ranked(pairs, np.lexsort((pairs.most, pairs.query)))
        best = ranks < self.k
        if best.sum() < self.k * len(self.exact):
            return pairs, best
        self.bounds = pairs.most[best].reshape(-1, self.k).max(axis=1)
        near = pairs.least <= self.bounds[pairs.query] * _SLACK
        return pairs.select(near), best[near]

    def _k_best(self, pairs: Pairs) -> Pairs:
        """The k nearest of each query, measured; by measuring the k best, fewer others are left."""
        pairs, best = self._within_bounds(pairs)
        pairs, _ = self._within_bounds(self._measured(pairs, best))
        pairs = self._measured(pairs, np.ones(len(pairs.query), bool))
        order = np.lexsort((pairs.row, self._rounded(pairs.most), pairs.query))
        pairs, ranks = _ranked(pairs, order)
        return pairs.select(ranks < self.k)

    def _measured(self, pairs: Pairs, chosen: np.ndarray) -> Pairs:
        """The same pairs with the squared distances of the chosen ones, by difference."""
        some = np.flatnonzero(chosen & (pairs.least < pairs.most))
        least, most = pairs.least.copy(), pairs.most.copy()
        least[some] = most[some] = self.frame.squared_distances(
            self.exact, pairs.query[some], self.database, pairs.row[some]
        )
        return pairs._replace(least=least, most=most)


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is refused later
def _few_are_doubtful(queries: np.ndarray, database: np.ndarray, *, k: int, cosine: bool) -> bool:
    """Whether bfloat16 leaves so few pairs in doubt that measuring them costs less than it saves.

    It is told from a sample, as if the squared distances from a query were spread normally.
    """
    asked, rows = (
        as_float32(some[:: max(1, len(some) // _SAMPLE)][:_SAMPLE]) for some in (queries, database)
    )
    frame = Frame.fitting(asked, database, cosine=cosine)
    asked, rows = frame.exact(asked), frame.exact(rows)
    lengths = np.linalg.norm(asked, axis=1).mean() * np.linalg.norm(rows, axis=1).mean()
    spread = (np.vecdot(rows, rows) - 2 * asked @ rows.T).std(axis=1).mean()
    tail = math.sqrt(2 * math.log(max(2, len(database) / k)))  # where the k-th nearest is
    exponent = 4 * estimates.BFLOAT16_ERROR * lengths * tail
    if not exponent < 50 * spread:
        return False
    return bool(k * math.expm1(exponent / spread) * _ROWS_A_PAIR < len(database))


def _least_of_groups(values: np.ndarray, k: int) -> np.ndarray:
    """The least of each column in groups of rows; the k-th least of these bounds the k-th of all.

    It is nearly the same where there are many more groups than k, and found sooner.
    """
    number = len(values) // max(1, min(_GROUP, len(values) // (_GROUP * k)))
    whole = len(values) // number * number
    return values[:whole].reshape(-1, number, values.shape[1]).min(axis=0)


def _joined(found: list[Pairs]) -> Pairs:
    return Pairs(*(np.concatenate(field) for field in zip(*found, strict=True)))


def _ranked(pairs: Pairs, order: np.ndarray) -> tuple[Pairs, np.ndarray]:
    """The pairs in an order by queries, and the place of each among those of its query."""
    pairs = pairs.select(order)
    return pairs, np.arange(len(order)) - np.searchsorted(pairs.query, pairs.query)
