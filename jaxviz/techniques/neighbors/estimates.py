"""Products of many vectors with many others on a CPU, and how far they may be off.

Where the processor has instructions for bfloat16 and XLA uses them, products of such halves take a
third of the time of NumPy's products of float32 vectors. A trial tells.
"""

import functools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_ROUNDING_TO_HALF = 2.0**-8  # the largest relative error
_ADDING = 2.0**-23  # twice the error of one addition


class Estimate(NamedTuple):
    """How to estimate products, and how far they may be off.

    `products(rows)` is (rows, queries), and may be overwritten by the next call. Each number is
    off by at most `error` times the product of the two vectors' lengths.
    """

    products: Callable[[np.ndarray], np.ndarray]
    error: float


def singles(queries: np.ndarray) -> Estimate:
    """Products of float32 vectors with (queries, dim)."""
    space = np.empty(0, np.float32)

    def products(rows: np.ndarray) -> np.ndarray:
        nonlocal space
        shape = len(rows), len(queries)
        if space.size < math.prod(shape):
            space = np.empty(math.prod(shape), np.float32)
        return np.matmul(rows, queries.T, out=space[: math.prod(shape)].reshape(shape))

    return Estimate(products, _adding(queries))


def halves(queries: np.ndarray) -> Estimate:
    """Products of the vectors rounded to bfloat16, added up in float32."""
    rounded, lost, lengths = _rounded(queries)
    share = np.divide(lost, lengths, out=np.zeros(len(queries)), where=np.asarray(lengths) > 0)

    def products(rows: np.ndarray) -> np.ndarray:
        return np.asarray(_half_products(rows, rounded))

    error = _ROUNDING_TO_HALF + (1 + _ROUNDING_TO_HALF) * float(share.max()) + _adding(queries)
    return Estimate(products, error)


@jax.jit  # without the compiler options of `compiled`, which send these products elsewhere
def _half_products(rows: Any, rounded: Any) -> Any:
    return jnp.matmul(rows.astype(jnp.bfloat16), rounded, preferred_element_type=jnp.float32)


@jax.jit
def _rounded(queries: Any) -> Any:
    """The queries as columns of halves, the lengths of what that took from them, and their own."""
    rounded = jax.lax.reduce_precision(queries, exponent_bits=8, mantissa_bits=7)
    lengths = (jnp.linalg.norm(vectors, axis=1) for vectors in (queries - rounded, queries))
    return rounded.T.astype(jnp.bfloat16), *lengths


def _adding(queries: np.ndarray) -> float:
    return (queries.shape[1] + 16) * _ADDING


@functools.cache
def halves_are_faster(queries: int, dim: int) -> bool:
    """Whether products of halves take at most 3/4 of the time on this machine, by trial."""
    rng = np.random.default_rng(0)
    vectors, rows = (rng.random((number, dim), np.float32) for number in (queries, 1024))
    of_halves, of_singles = (_seconds(kind(vectors), rows) for kind in (halves, singles))
    return of_halves < 0.75 * of_singles


def _seconds(estimate: Estimate, rows: np.ndarray) -> float:
    times = []
    for _ in range(4):  # the first one compiles and touches the memory
        start = time.perf_counter()
        estimate.products(rows)
        times.append(time.perf_counter() - start)
    return min(times)
