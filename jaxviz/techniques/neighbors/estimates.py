"""Estimates of the products of many vectors with many others, and the largest error of each.

The float32 products of a CPU, products of vectors rounded to bfloat16 where the processor
multiplies those faster, and the products of other devices all have the same form, so that one
search can use any of them.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ... import devices

_BFLOAT16_ROUNDING = 2.0**-8  # the largest relative error of rounding to bfloat16
BFLOAT16_ERROR = 1.5 * _BFLOAT16_ROUNDING
"""What `in_bfloat16` may be off by, about: few vectors lose as much as their numbers may."""

_PER_TERM = 2.0**-23  # of the error of a sum of float32 products: twice what one rounding adds


class Estimate(NamedTuple):
    """How to estimate products, and how far they may be off.

    `products(rows)` is (rows, queries), and may be overwritten by the next call. Each number is
    off by at most `error` times the product of the two vectors' lengths. The error has room for
    the roundings of squared lengths and of a few sums that come after.
    """

    products: Callable[[np.ndarray], np.ndarray]
    error: float


def in_float32(queries: np.ndarray) -> Estimate:
    """Products of float32 vectors with (queries, dim), by NumPy."""
    space = np.empty(0, np.float32)

    def products(rows: np.ndarray) -> np.ndarray:
        nonlocal space
        shape = len(rows), len(queries)
        if space.size < math.prod(shape):
            space = np.empty(math.prod(shape), np.float32)
        return np.matmul(rows, queries.T, out=space[: math.prod(shape)].reshape(shape))

    return Estimate(products, _summation_error(queries))


def in_bfloat16(queries: np.ndarray) -> Estimate:
    """Products of vectors rounded to bfloat16, summed in float32."""
    columns, nearest = _rounded(queries)
    lost = queries - np.asarray(nearest)
    squares = np.vecdot(queries, queries)
    share = np.sqrt(np.vecdot(lost, lost) / np.where(squares > 0, squares, 1))

    def products(rows: np.ndarray) -> np.ndarray:
        return np.asarray(_bfloat16_products(rows, columns))

    rounding = _BFLOAT16_ROUNDING + (1 + _BFLOAT16_ROUNDING) * float(share.max())
    return Estimate(products, rounding + _summation_error(queries))


def on_devices(queries: np.ndarray) -> Estimate:
    """Products of float32 vectors, each device multiplying an equal share of the rows."""
    number, replicated, share = devices.number(), devices.replicate(queries), 0

    def products(rows: np.ndarray) -> np.ndarray:
        nonlocal share  # as large as ever before, so that a smaller last piece compiles nothing
        share = max(share, -(-len(rows) // number))
        padded = np.pad(rows, [(0, number * share - len(rows)), (0, 0)])
        made = _products_on_each()(padded.reshape(number, share, -1), replicated)
        return np.concatenate(devices.fetch(made))[: len(rows)]

    return Estimate(products, 2 * _summation_error(queries))


@functools.cache
def _products_on_each() -> Any:
    return devices.on_each(lambda rows, queries: jnp.matmul(rows, queries.T, precision="highest"))


# Without the compiler options of `compiled`, which choose a slower product of bfloat16 matrices.
@jax.jit
def _bfloat16_products(rows: Any, rounded: Any) -> Any:
    return jnp.matmul(rows.astype(jnp.bfloat16), rounded, preferred_element_type=jnp.float32)


@jax.jit
def _rounded(queries: Any) -> Any:
    """The queries as columns of bfloat16, and rounded alike."""
    rounded = jax.lax.reduce_precision(queries, exponent_bits=8, mantissa_bits=7)
    return rounded.T.astype(jnp.bfloat16), rounded


def _summation_error(queries: np.ndarray) -> float:
    return (queries.shape[1] + 16) * _PER_TERM
