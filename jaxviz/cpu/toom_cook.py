"""Convolutions that take fewer products than one for each output and tap (Toom-Cook, Winograd).

The numbers of a line of pixels, and those of a kernel, can be taken for the coefficients of two
polynomials. Convolving the lines multiplies the polynomials. A polynomial of degree d is known by
its values at d + 1 points, and values are multiplied one by one. So `m` pixels and `r` taps need
only m + r - 1 products, one a point, where the plain way takes m * r:

    evaluate both at the points, multiply, and find the coefficients of the product.

All three are small matrices, here with 0 and simple fractions in them: `scheme` makes them. Read
from right to left, with every matrix transposed, the same scheme makes `m` neighboring outputs of a
correlation (what networks call a convolution) from m + r - 1 pixels. In two dimensions it is
applied to rows and then to columns.

Lavin & Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308, section 4.1; on
the choice of points, Barabasz et al., "Error analysis and improving the accuracy of Winograd
convolution", arXiv:1803.10986.
"""

import functools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .tiles import side_by_side

Matrix = list[list[Fraction]]


class Scheme(NamedTuple):
    """The matrices for `m` outputs from m + r - 1 pixels and r taps.

    The outputs of a correlation are outputs @ ((taps @ kernel) * (pixels @ line)), and the
    convolution of m pixels is pixels.T @ ((taps @ kernel) * (outputs.T @ line)).
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
    for i, row in enumerate(pixels):  # whole numbers for the pixels; the kernel is divided instead
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


_OUTPUTS = {3: 2, 5: 3}  # of a tile, by taps; more points would cost too much round-off


def growth(r: int) -> float:
    """How many numbers at points there are for one pixel or output of an axis."""
    return (_OUTPUTS[r] + r - 1) / _OUTPUTS[r]


def num_products(pixels: int, r: int) -> int:
    """Of a line of pixels convolved with r taps."""
    m = _OUTPUTS[r]
    return (m + r - 1) * -(-pixels // m)


def kernel_at_points(kernel: Array, axes: int) -> Array:
    """The first `axes` axes of a kernel evaluated at points.

    By one product with a small matrix: XLA takes ten times as long for sums of slices.
    """
    schemes = [scheme(_OUTPUTS[r], r) for r in kernel.shape[:axes]]
    factors = [np.array(by.taps, float) for by in schemes]
    matrix = functools.reduce(np.kron, factors).astype(kernel.dtype)
    values = jnp.matmul(matrix, kernel.reshape(matrix.shape[1], -1), precision="highest")
    return values.reshape(*map(len, factors), *kernel.shape[axes:])


Multiply = Callable[[Array, Any], Array]  # pixels at a point, kernel at the point -> products


def correlate(x: Array, kernel: Any, taps: Sequence[int], multiply: Multiply) -> Array:
    """Correlate the axes of `x` from axis 1 on, as many as there are `taps`, without padding.

    kernel: as `kernel_at_points` makes it. The barriers keep XLA from evaluating sums again for
    each of their uses.
    """
    barrier = lax.optimization_barrier
    schemes = [scheme(_OUTPUTS[r], r) for r in taps]
    axes = [_Axis(by.pixels, by.outputs, len(by.outputs)) for by in schemes]
    extents = [extent - r + 1 for extent, r in zip(x.shape[1:], taps, strict=False)]

    def products(x: Array, kernel: Any, depth: int) -> Any:
        if depth == len(axes):
            return multiply(x, kernel)
        tiles = _tiles(x, axes[depth], extents[depth], depth + 1)
        at = barrier(_combined(axes[depth].to_points, tiles))
        return [products(*pair, depth + 1) for pair in zip(at, kernel, strict=True)]

    def outputs(values: Any, depth: int) -> Any:
        if depth == len(axes):
            return values
        inner = [outputs(value, depth + 1) for value in values]
        return _combined(axes[depth].from_points, inner)

    def joined(values: Any, depth: int) -> Array:
        if depth == len(axes):
            return values
        inner = [joined(value, depth + 1) for value in values]
        return side_by_side(inner, axes[depth].step, extents[depth], depth + 1)

    return joined(barrier(outputs(barrier(products(x, kernel, 0)), 0)), 0)


def convolve(x: Array, kernel: Array, taps: Sequence[int], multiply: Multiply) -> Array:
    """Convolve the axes of `x` from axis 1 on; each grows by its number of taps less one.

    kernel: as `stacked_at_points` makes it. All points are multiplied at once, which compiles
    quickly: `multiply` takes (points, rows, in) and the kernel.
    """
    schemes = [scheme(_OUTPUTS[r], r) for r in taps]
    axes = [
        _Axis(_transposed(by.outputs), _transposed(by.pixels), len(by.outputs)) for by in schemes
    ]
    extents = [extent + r - 1 for extent, r in zip(x.shape[1:], taps, strict=False)]
    for i, axis in enumerate(axes):
        # Points come first; each axis that is done has put one before it.
        tiles = _tiles(x, axis, extents[i], 1 + 2 * i)
        x = jnp.stack(_combined(axis.to_points, tiles))
    product = multiply(x.reshape(len(kernel), -1, x.shape[-1]), kernel)
    product = product.reshape(*x.shape[:-1], -1)
    for i, axis in reversed(list(enumerate(axes))):
        values = _combined(axis.from_points, list(product))
        product = side_by_side(values, axis.step, extents[i], 1 + 2 * i)
    return product


def stacked_at_points(kernel: Array, axes: int) -> Array:
    """The same in one axis, the points of the last axis first, before what is left."""
    order = [*reversed(range(axes)), *range(axes, kernel.ndim)]
    return kernel_at_points(kernel, axes).transpose(order).reshape(-1, *kernel.shape[axes:])


class _Axis(NamedTuple):
    """Tiles that begin every `step` pixels: the matrix to their values at points, and back."""

    to_points: Matrix
    from_points: Matrix
    step: int


def _tiles(x: Array, axis: _Axis, extent: int, number: int) -> list[Array]:
    """The first pixels of all tiles, the second ones, and so on."""
    size = len(axis.to_points[0])
    results = len(axis.from_points)
    tiles = -(-(extent - (results - axis.step)) // axis.step)
    padding = [(0, 0, 0)] * x.ndim
    padding[number] = (0, (tiles - 1) * axis.step + size - x.shape[number], 0)
    x = lax.pad(x, jnp.zeros((), x.dtype), padding)
    last = (tiles - 1) * axis.step + 1
    return [lax.slice_in_dim(x, i, i + last, axis.step, axis=number) for i in range(size)]


def _combined(matrix: Matrix, values: Sequence[Any]) -> list[Any]:
    """The product of a matrix and a column of arrays, or of equally nested lists of arrays."""

    def weighted(row: list[Fraction], *arrays: Array) -> Array:
        terms = [
            array if weight == 1 else jnp.asarray(float(weight), array.dtype) * array
            for weight, array in zip(row, arrays, strict=True)
            if weight
        ]
        return functools.reduce(jnp.add, terms)

    return [jax.tree.map(functools.partial(weighted, row), *values) for row in matrix]
