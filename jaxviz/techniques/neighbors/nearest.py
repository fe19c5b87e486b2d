"""Nearest neighbors: for each vector, the vectors of a database that are closest to it.

Krizhevsky et al. 2012, section 6.1 and fig. 4 compare images by the Euclidean distance of their
last hidden layer. The same search over raw pixels is the comparison that shows why features matter:
pixels find pictures of like brightness and layout, features find like things.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Num

from ... import devices
from ..._checks import InputError, choice, count
from ..._typing import Array
from .search import search
from .traced import traced_search

METRICS = ("cosine", "euclidean")


class Neighbors(NamedTuple):
    """The k nearest rows of the database for each query, nearest first.

    `distances` (queries, k): Euclidean distance, or 1 - cosine similarity (0 to 2).
    `indices` (queries, k): rows of the database; of equal distances the smaller index is first.
    """

    distances: Any
    indices: Any


def nearest_neighbors(
    queries: Num[Array, "queries dim"],
    database: Num[Array, "database dim"],
    *,
    k: int,
    metric: str = "cosine",
    exclude_self: bool = False,
    own: Any = None,
) -> Neighbors:
    """Find the exact `k` nearest rows of `database` for each row of `queries`.

    Vectors of any type are taken as float32. Distances are measured between them by difference in
    float64 and rounded to float32, so they are right to round-off whatever offset or scale the
    vectors share. All pairs are estimated first, and those that the estimates' error bounds rule
    out are not measured. A NumPy database, such as a memory-mapped features.npy, is read piece by
    piece and never loaded whole.

    Under `jit`, `vmap` and `grad`, results are jax arrays made by one float32 program that measures
    by difference the `k` + 16 best by estimates about a common center. There, distances (for cosine
    those between vectors of unit length) are right to float32 round-off, neighbors whose estimates
    cannot be told apart may be missed if more than 16 compete, and numbers that are not finite or
    1e19 times smaller than the largest are not seen. The gradient of a distance of 0 is 0.

    Args:
        queries: vectors (queries, dim).
        database: vectors (database, dim).
        k: how many to return.
        metric: "cosine" (1 - cosine similarity; a zero vector is at distance 1 from all) or
            "euclidean".
        exclude_self: the queries are the database, and no row is its own neighbor.
        own: the row of the database that each query is, (queries,); it is not its own neighbor.

    Raises:
        InputError: the shapes do not fit, `k` is more than there are, or a vector holds what is
            not finite.

    >>> import numpy as np
    >>> points = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 3.0]], np.float32)
    >>> nearest_neighbors(points, points, k=1, exclude_self=True).indices.tolist()
    [[2], [0], [0]]
    >>> nearest_neighbors(points[2:], points, k=1, own=[2]).indices.tolist()
    [[0]]

    """
    shapes = np.shape(queries), np.shape(database)
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise InputError(f"neighbors: expected (queries, dim) and (database, dim), got {shapes}")
    if 0 in (*shapes[0], *shapes[1]):
        raise InputError(f"neighbors: expected vectors to compare, got shapes {shapes}")
    for vectors in (queries, database):
        kind = getattr(vectors, "dtype", None) or np.asarray(vectors).dtype
        if not any(jnp.issubdtype(kind, one) for one in (jnp.number, jnp.bool_)):
            raise InputError(f"neighbors: expected vectors of numbers, got {kind}")
    if exclude_self:
        if shapes[0] != shapes[1]:
            raise InputError(f"exclude_self: queries must be the database, got shapes {shapes}")
        own = np.arange(shapes[0][0])
    elif own is not None:
        own = _row_numbers(own, *shapes)
    count(k, "k", most=shapes[1][0] - (own is not None))
    choice(metric, "metric", METRICS)
    if any(isinstance(vectors, jax.core.Tracer) for vectors in (queries, database)):
        queries, database = devices.gathered((queries, database))
        return Neighbors(*traced_search(queries, database, k=k, metric=metric, own=own))
    given = (np.asanyarray(vectors) for vectors in (queries, database))
    # Concrete vectors are searched at once, also in a function that is traced.
    with devices.own_context(), jax.ensure_compile_time_eval():
        return Neighbors(*search(*given, k=k, metric=metric, own=own))


def _row_numbers(own: Any, queries: tuple[int, ...], database: tuple[int, ...]) -> np.ndarray:
    rows = np.asarray(own)
    whole = rows.shape == queries[:1] and np.issubdtype(rows.dtype, np.integer)
    if not whole or rows.min() < 0 or rows.max() >= database[0]:
        expected = f"{queries[0]} rows of the database from 0 to {database[0] - 1}"
        raise InputError(f"own: expected {expected}, got {own!r}")
    return rows


def label_agreement(
    indices: Int[Array, "queries k"], query_labels: Any, database_labels: Any
) -> Any:
    """The share of all neighbors that carry their query's label, from 0 to 1.

    Labels may be numbers or strings; `indices` are those of `nearest_neighbors`. The answer is a
    float; under `jit`, where labels must be numbers, an array of one number.

    Raises:
        InputError: not one label for each query and each row, or an index that is no row.

    >>> label_agreement(np.array([[1], [0], [0]]), ["cat", "cat", "dog"], ["cat", "cat", "dog"])
    0.6666666666666666
    """
    given = (indices, query_labels, database_labels)
    traced = any(isinstance(values, jax.core.Tracer) for values in given)
    array: Any = jnp.asarray if traced else np.asarray
    rows, wanted, offered = map(array, given)
    if rows.ndim != 2 or wanted.shape != rows.shape[:1] or offered.ndim != 1:
        raise InputError(
            f"labels: expected one for each of {rows.shape[0]} queries and each row of the "
            f"database, got shapes {wanted.shape} and {offered.shape}"
        )
    if not jnp.issubdtype(rows.dtype, jnp.integer):
        raise InputError(f"indices: expected whole numbers, got {rows.dtype}")
    if traced:
        return (offered[rows] == wanted[:, None]).mean()
    if rows.size and not 0 <= rows.min() <= rows.max() < len(offered):
        raise InputError(
            f"indices: expected rows of the database from 0 to {len(offered) - 1}, got "
            f"{rows.min()} to {rows.max()}"
        )
    return float((offered[rows] == wanted[:, None]).mean())
