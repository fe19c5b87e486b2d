"""Nearest neighbors as one jax program, for `jit`, `vmap` and `grad`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_SPARE = 16  # candidates more than asked for, whose estimates may be in the wrong order
_TOGETHER = 8  # queries whose candidates are measured at a time
_FARTHEST = np.finfo(np.float32).max  # as an estimate: the scaled numbers are at most 1
_LARGEST_EXPONENT = 100  # of a scale that float32 can undo


def traced_search(
    queries: Any, database: Any, *, k: int, metric: str, own: np.ndarray | None
) -> tuple[Any, Any]:
    """Distances and rows of the `k` nearest, (queries, k) each; distances can be differentiated."""
    cosine = metric == "cosine"
    queries, database = (jnp.asarray(given, jnp.float32) for given in (queries, database))
    scale = _power_of_two(queries, database)
    queries, database = queries / scale, database / scale
    used = (_units(queries), _units(database)) if cosine else (queries, database)
    levels = _estimates(*map(jax.lax.stop_gradient, used))
    if own is not None:
        levels = levels.at[jnp.arange(len(queries)), own].set(_FARTHEST)
    _, candidates = jax.lax.top_k(-levels, min(k + _SPARE, len(database)))

    def measure(pair: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        query, rows, this = pair
        differences = used[1][rows] - query[None]
        squared = _sum_of_squares(differences)
        if cosine:
            zero = ~(database[rows].any(axis=1) & query.any())
            distances = jnp.where(zero, 1, squared / 2)
        else:
            equal = squared == 0
            distances = jnp.where(equal, 0, jnp.sqrt(jnp.where(equal, 1, squared))) * scale
        order = jnp.lexsort((rows, distances, rows == this))[:k]
        return distances[order], rows[order]

    these = jnp.full(len(queries), -1) if own is None else jnp.asarray(own)
    batch = min(_TOGETHER, len(queries))
    return jax.lax.map(measure, (used[0], candidates, these), batch_size=batch)


def _power_of_two(*arrays: Any) -> Any:
    """A power of two near the largest number, by which nothing is rounded."""
    largest = jnp.maximum(*(jnp.abs(jax.lax.stop_gradient(array)).max() for array in arrays))
    exponent = jnp.clip(jnp.frexp(largest)[1], -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
    return jnp.ldexp(jnp.float32(1), exponent)


def _units(vectors: Any) -> Any:
    """The vectors with unit length, each scaled first; zeros stay zeros."""
    largest = jax.lax.stop_gradient(jnp.abs(vectors).max(axis=1, keepdims=True))
    vectors = vectors / jnp.where(largest == 0, 1, largest)
    squares = _sum_of_squares(vectors)[:, None]
    return vectors / jnp.sqrt(jnp.where(squares == 0, 1, squares))


def _estimates(queries: Any, database: Any) -> Any:
    """Levels (queries, database) that order the rows as their distances to a query do."""
    center = database.mean(axis=0, keepdims=True)
    queries, database = queries - center, database - center
    products = jnp.matmul(queries, database.T, precision="highest")
    return _sum_of_squares(database)[None] - 2 * products


def _sum_of_squares(vectors: Any) -> Any:
    """Over the last axis, by products of matrices: these round less than one long sum."""
    return jnp.einsum("...i,...i->...", vectors, vectors, precision="highest")
