"""Convolutions in fewer products: pixels and kernel at a few points, and back (Toom-Cook).

`m` neighboring outputs of a kernel of `r` taps need m * r products a channel pair, or m + r - 1 if
both are first evaluated at so many points, as coefficients of polynomials are. Lavin & Gray,
"Fast algorithms for convolutional neural networks", arXiv:1509.09308, section 4.1; on the points,
Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution",
arXiv:1803.10986.
"""

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

Matrix = list[list[Fraction]]


class Scheme(NamedTuple):
    """Outputs (m) from pixels (m + r - 1) and taps (r), all at points.

    outputs @ ((taps @ kernel) * (pixels @ image)).
    """

    outputs: Matrix
    taps: Matrix
    pixels: Matrix


@functools.cache
def scheme(m: int, r: int) -> Scheme:
    """The points are small fractions, which cost the least round-off, and infinity.

    >>> [[int(weight) for weight in row] for row in scheme(2, 3).pixels]
    [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    """
    number = m + r - 1
    points = [Fraction(p) for p in ("0", "1", "-1", "2", "-2", "1/2")][: number - 1]

    def powers(count: int) -> Matrix:
        finite = [[p**i for i in range(count)] for p in points]
        return [*finite, [Fraction(i == count - 1) for i in range(count)]]

    taps, pixels = powers(r), _transposed(_inverse(powers(number)))
    for i, row in enumerate(pixels):  # whole numbers here, and what that takes in the kernel
        scale = math.lcm(*(weight.denominator for weight in row))
        pixels[i] = [weight * scale for weight in row]
        taps[i] = [weight / scale for weight in taps[i]]
    return Scheme(_transposed(powers(m)), taps, pixels)


def _transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def _inverse(matrix: Matrix) -> Matrix:
    size = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = next(j for j in range(i, size) if rows[j][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(size):
            if j != i:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i], strict=True)]
    return [row[size:] for row in rows]


def kernel_at_points(kernel: Array) -> list[Any]:
    """kernel: (r, r, in, out), of 3 or 5 taps. What `correlate` takes for it."""
    size = kernel.shape[0]
    by_rows = _combined(_scheme_for(size).taps, list(kernel))
    if size == 5:
        return by_rows
    return [_combined(_scheme_for(size).taps, list(row)) for row in by_rows]


def correlate(x: Array, kernel: list[Any], size: int) -> Array:
    """x: (batch, height, width, in), already padded. Returns its correlation with the kernel.

    Kernels of 3 x 3 taps take 16 products for 4 outputs instead of 36. Kernels of 5 x 5 are at
    points by rows only, and take 7 for 3 instead of 15: more points would cost too much round-off.
    The barriers keep XLA from evaluating sums again for each of their uses.
    """
    by = _scheme_for(size)
    height, width = (extent - size + 1 for extent in x.shape[1:3])
    rows = lax.optimization_barrier(_combined(by.pixels, _strided(x, by, height, axis=1)))
    if size == 5:
        products = [_row_correlation(row, taps) for row, taps in zip(rows, kernel, strict=True)]
        outputs = _combined(by.outputs, lax.optimization_barrier(products))
        return _interleaved(outputs, height, axis=1)
    at = [_combined(by.pixels, _strided(row, by, width, axis=2)) for row in rows]
    grid = [
        [jnp.matmul(pixels, taps) for pixels, taps in zip(*pair, strict=True)]
        for pair in zip(at, kernel, strict=True)
    ]
    grid = lax.optimization_barrier(grid)
    by_rows = [_combined(by.outputs, list(column)) for column in zip(*grid, strict=True)]
    outputs = [
        _interleaved(_combined(by.outputs, list(row)), width, axis=2)
        for row in lax.optimization_barrier(list(zip(*by_rows, strict=True)))
    ]
    return _interleaved(outputs, height, axis=1)


def growth(size: int) -> float:
    """How many numbers at points come from one pixel, and make one output."""
    by = _scheme_for(size)
    return (len(by.pixels) / len(by.outputs)) ** (1 if size == 5 else 2)


def _scheme_for(size: int) -> Scheme:
    return scheme({3: 2, 5: 3}[size], size)


def _strided(x: Array, by: Scheme, extent: int, *, axis: int) -> list[Array]:
    """The pixels of each tile, tile by tile: m + r - 1 arrays of every m-th row or column."""
    m, number = len(by.outputs), len(by.pixels)
    tiles = -(-extent // m)
    missing = tiles * m + number - m - x.shape[axis]
    x = jnp.pad(x, [(0, missing if i == axis else 0) for i in range(x.ndim)])
    last = (tiles - 1) * m + 1
    return [lax.slice_in_dim(x, i, i + last, m, axis=axis) for i in range(number)]


def _combined(matrix: Matrix, arrays: Sequence[Array]) -> list[Array]:
    """The product of matrix and arrays, without what is zero."""
    sums = []
    for row in matrix:
        terms = [
            array if weight == 1 else np.float32(weight) * array
            for weight, array in zip(row, arrays, strict=True)
            if weight
        ]
        sums.append(functools.reduce(jnp.add, terms))
    return sums


def _row_correlation(x: Array, taps: Array) -> Array:
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, taps[None], (1, 1), "VALID", dimension_numbers=dimensions)


def _interleaved(arrays: list[Array], extent: int, *, axis: int) -> Array:
    stacked = jnp.stack(arrays, axis=axis + 1)
    joined = stacked.reshape(*stacked.shape[:axis], -1, *stacked.shape[axis + 2 :])
    return lax.slice_in_dim(joined, 0, extent, axis=axis)
