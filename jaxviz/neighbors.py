"""Nearest neighbors: which pictures does a representation take for alike?

Krizhevsky et al. 2012, section 6.1 and fig. 4 compare images by the Euclidean distance of their
last hidden layer. The same search over raw pixels is the comparison that shows why features matter:
pixels find pictures of like brightness and layout, features find like things.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ._checks import InputError, choice, count
from ._compilation import compiled
from ._typing import Array

METRICS = ("cosine", "euclidean")


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

    Args:
        queries: float vectors (queries, dim).
        database: float vectors (database, dim).
        k: how many to return.
        metric: "cosine" (1 - cosine similarity; a zero vector is at distance 1 from all) or
            "euclidean".
        exclude_self: the queries are the database, and no row is its own neighbor.

    Raises:
        InputError: the shapes do not fit, or `k` is more than there are.

    >>> import numpy as np
    >>> points = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 3.0]], np.float32)
    >>> nearest_neighbors(points, points, k=1, exclude_self=True).indices.tolist()
    [[2], [0], [0]]

    """
    shapes = jnp.shape(queries), jnp.shape(database)
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise InputError(f"neighbors: expected (queries, dim) and (database, dim), got {shapes}")
    if exclude_self and shapes[0] != shapes[1]:
        raise InputError(f"exclude_self: queries must be the database, got shapes {shapes}")
    count(k, "k", most=shapes[1][0] - exclude_self)
    choice(metric, "metric", METRICS)
    return Neighbors(*_search(queries, database, k=k, metric=metric, exclude_self=exclude_self))


def _search_plain(queries: Any, database: Any, *, k: int, metric: str, exclude_self: bool) -> Any:
    if metric == "cosine":
        queries, database = _unit(queries), _unit(database)
    products = jnp.matmul(queries, database.T, precision="highest")
    if metric == "cosine":
        distances = 1 - products
    else:
        squares = (queries**2).sum(1)[:, None] + (database**2).sum(1)[None] - 2 * products
        distances = jnp.sqrt(jnp.maximum(squares, 0))
    if exclude_self:
        distances = jnp.where(jnp.eye(len(distances), dtype=bool), jnp.inf, distances)
    negated, indices = jax.lax.top_k(-distances, k)
    return -negated, indices


def _unit(vectors: Any) -> Any:
    length = jnp.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / jnp.where(length == 0, 1, length)


_search = compiled(_search_plain, static_argnames=("k", "metric", "exclude_self"))


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
