"""Nearest neighbors: which pictures does a representation take for alike?

Krizhevsky et al. 2012, section 6.1 and fig. 4 compare images by the Euclidean distance of their
last hidden layer. The same search over raw pixels is the comparison that shows why features matter:
pixels find pictures of like brightness and layout, features find like things.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ... import devices
from ..._checks import InputError, choice, count
from ..._prefetch import prefetch
from ..._typing import Array
from ...cpu.compilation import inside_a_trace
from . import estimates, host_search

METRICS = ("cosine", "euclidean")
_PIECE_BYTES = 2**26  # of the database, on each device at a time
_QUERIES = 2048  # looked up together
_MANY = 2**36  # numbers to multiply: enough for a trial of what is faster
_NO_ROW = np.int32(2**31 - 1)  # sorts after every row


class Neighbors(NamedTuple):
    """The k nearest rows of the database for each query, nearest first.

    `distances` (queries, k): Euclidean distance, or 1 - cosine similarity (0 to 2).
    `indices` (queries, k): rows of the database; of equal distances the smaller index is first.
    """

    distances: Any
    indices: Any


def nearest_neighbors(
    queries: Float[Array, "queries dim"],
    database: Float[Array, "database dim"],
    *,
    k: int,
    metric: str = "cosine",
    exclude_self: bool = False,
) -> Neighbors:
    """Find the exact `k` nearest rows of `database` for each row of `queries`.

    A NumPy database, such as a memory-mapped features.npy, is searched piece by piece and never
    loaded whole, on all devices. On CPUs all distances are first estimated, in half precision where
    a trial shows that to be faster, and the pairs that the estimates' error bounds cannot rule out
    are measured in full: the answer is the same, and right to round-off.

    Args:
        queries: float vectors (queries, dim).
        database: float vectors (database, dim).
        k: how many to return.
        metric: "cosine" (1 - cosine similarity; a zero vector is at distance 1 from all) or
            "euclidean".
        exclude_self: the queries are the database, and no row is its own neighbor.

    Raises:
        InputError: the shapes do not fit, `k` is more than there are, or a query searched in a
            NumPy database holds what is not finite.

    >>> import numpy as np
    >>> points = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 3.0]], np.float32)
    >>> nearest_neighbors(points, points, k=1, exclude_self=True).indices.tolist()
    [[2], [0], [0]]

    """
    shapes = jnp.shape(queries), jnp.shape(database)
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise InputError(f"neighbors: expected (queries, dim) and (database, dim), got {shapes}")
    if 0 in (*shapes[0], *shapes[1]):
        raise InputError(f"neighbors: expected vectors to compare, got shapes {shapes}")
    if exclude_self and shapes[0] != shapes[1]:
        raise InputError(f"exclude_self: queries must be the database, got shapes {shapes}")
    count(k, "k", most=shapes[1][0] - exclude_self)
    choice(metric, "metric", METRICS)
    options: Any = {"k": k, "metric": metric, "exclude_self": exclude_self}
    on_host = isinstance(queries, np.ndarray) and isinstance(database, np.ndarray)
    if on_host and database.nbytes > _PIECE_BYTES:
        in_pieces = _search_on_host if jax.default_backend() == "cpu" else _search_pieces
        return in_pieces(queries, database, **options)  # type: ignore[arg-type]
    return Neighbors(*_search(queries, database, **options))


def _search_plain(queries: Any, database: Any, *, k: int, metric: str, exclude_self: bool) -> Any:
    squares = (queries**2).sum(1), (database**2).sum(1)
    distances = _distances(queries, database, *squares, metric=metric)
    if exclude_self:
        distances = jnp.where(jnp.eye(len(distances), dtype=bool), jnp.inf, distances)
    negated, indices = jax.lax.top_k(-distances, k)
    return -negated, indices


# Without the compiler options of `compiled`, which make products of matrices slower.
_search = jax.jit(_search_plain, static_argnames=("k", "metric", "exclude_self"))


def _distances(queries: Any, database: Any, q_squares: Any, d_squares: Any, *, metric: str) -> Any:
    """All distances, (queries, database), from the vectors and their squared lengths."""
    products = jnp.matmul(queries, database.T, precision="highest")
    if metric == "cosine":
        a, b = (jnp.sqrt(jnp.where(one == 0, 1, one)) for one in (q_squares, d_squares))
        return jnp.maximum(1 - products / a[:, None] / b, 0)  # round-off goes below zero
    return jnp.sqrt(jnp.maximum(q_squares[:, None] + d_squares - 2 * products, 0))


def _rows(queries: int, dim: int) -> int:
    """How many rows of the database make a piece: neither they nor their distances take much."""
    return max(1, _PIECE_BYTES // (4 * max(queries, dim)))


def _search_on_host(
    queries: np.ndarray, database: np.ndarray, *, k: int, metric: str, exclude_self: bool
) -> Neighbors:
    block, dim = min(len(queries), _QUERIES), queries.shape[1]
    rough = (
        len(queries) * database.size > _MANY
        and not inside_a_trace()
        and estimates.halves_are_faster(block, dim)
    )
    rows = _rows(block, dim) // (4 if rough else 1)  # halves gain more from caches
    found = []
    for begin in range(0, len(queries), block):
        asked = np.asarray(queries[begin : begin + block], np.float32)
        own = begin if exclude_self else None
        search = host_search.Search(asked, database, k=k, metric=metric, own=own, rough=rough)
        for piece in host_search.pieces(database, max(1, rows)):
            search.look_at(piece)
        found.append(search.nearest())
    return Neighbors(*(np.concatenate(fields) for fields in zip(*found, strict=True)))


def _search_pieces(
    queries: np.ndarray, database: np.ndarray, *, k: int, metric: str, exclude_self: bool
) -> Neighbors:
    """Search groups of one piece a device, the next read while one is searched."""
    dim, number = database.shape[1], devices.number()
    block = min(len(queries), _QUERIES)
    rows = min(_rows(block, dim), -(-len(database) // number))

    def read(first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pieces = np.asarray(database[first : first + number * rows], np.float32)
        missing = number * rows - len(pieces)
        if missing:
            pieces = np.pad(pieces, [(0, missing), (0, 0)])
        squares = _squares(pieces).reshape(number, rows)
        firsts = first + rows * np.arange(number, dtype=np.int32)
        return pieces.reshape(number, rows, dim), squares, firsts

    program = _step_on_each(k, metric, exclude_self)
    found = []
    start = Neighbors(
        np.full((block, k), np.inf, np.float32), np.full((block, k), _NO_ROW, np.int32)
    )
    for begin in range(0, len(queries), block):
        mine = np.zeros((block, dim), np.float32)
        some = queries[begin : begin + block]
        mine[: len(some)] = some
        asked = devices.replicate((mine, _squares(mine), np.int32(begin), np.int32(len(database))))
        best = devices.spread([start] * number)
        for pieces in prefetch(read, range(0, len(database), number * rows), depth=2):
            earlier, best = best, program(best, *asked, *pieces)
            jax.block_until_ready(earlier)
        merged = functools.reduce(_merge, devices.fetch(best))
        found.append([np.asarray(field)[: len(some)] for field in merged])
    return Neighbors(*(np.concatenate(fields) for fields in zip(*found, strict=True)))


@functools.lru_cache(maxsize=8)
def _step_on_each(k: int, metric: str, exclude_self: bool) -> Any:
    def step(
        best: Neighbors, queries: Any, q_squares: Any, first_query: Any, total: Any,
        piece: Any, d_squares: Any, first: Any,
    ) -> Neighbors:  # fmt: skip
        index = first + jnp.arange(len(piece), dtype=jnp.int32)
        left_out = (index >= total)[None]
        if exclude_self:
            own = first_query + jnp.arange(len(queries), dtype=jnp.int32)
            left_out |= index == own[:, None]
        distances = _distances(queries, piece, q_squares, d_squares, metric=metric)
        distances = jnp.where(left_out, jnp.inf, distances)
        negated, places = jax.lax.top_k(-distances, min(k, len(piece)))
        return _merge(best, Neighbors(-negated, index[places]))

    return devices.on_each(step)


def _squares(vectors: np.ndarray) -> np.ndarray:
    """Squared lengths, on the host: beside a product of matrices XLA takes ten times as long."""
    return np.einsum("ij,ij->i", vectors, vectors)


def _merge(a: Neighbors, b: Neighbors) -> Neighbors:
    """The k nearest of two results; of equal distances the smaller index is first."""
    k = a.distances.shape[1]
    pairs = (jnp.concatenate(pair, axis=1) for pair in zip(a, b, strict=True))
    return Neighbors(*(field[:, :k] for field in jax.lax.sort(tuple(pairs), num_keys=2)))


def label_agreement(
    indices: Int[Array, "queries k"], query_labels: Any, database_labels: Any
) -> float:
    """The share of all neighbors that carry their query's label, from 0 to 1.

    Labels may be numbers or strings; `indices` are those of `nearest_neighbors`.

    >>> label_agreement(np.array([[1], [0], [0]]), ["cat", "cat", "dog"], ["cat", "cat", "dog"])
    0.6666666666666666
    """
    rows = np.asarray(indices)
    wanted, offered = np.asarray(query_labels), np.asarray(database_labels)
    if rows.ndim != 2 or wanted.shape != rows.shape[:1] or offered.ndim != 1:
        raise InputError(
            f"labels: expected one for each of {rows.shape[0]} queries and each row of the "
            f"database, got shapes {wanted.shape} and {offered.shape}"
        )
    return float((offered[rows] == wanted[:, None]).mean())
