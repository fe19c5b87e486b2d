"""Reductions over axes and contractions: the axes that are reduced are read whole."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from ..cpu.rounding import rounded, rounded_product
from ..jaxpr.tape import Step
from .changes import Magnitudes, magnitudes, rounded_increment
from .outside import SUM, Along, reduced, running
from .reading import Value
from .rules import RULES, Increment, Rule, Windows, bind_one
from .windows import Box, Reading, Table, Window


def _reduce_windows(step: Step) -> Windows:
    axes = step.params["axes"]
    return [[Window(axis) for axis in range(len(step.input_avals[0].shape)) if axis not in axes]]


def _sum_prepare(step: Step, operands: Sequence[Any]) -> list[Along]:
    return running(jnp.asarray(operands[0]), [int(axis) for axis in step.params["axes"]], SUM)


def _sum_increment(
    step: Step,
    operands: Sequence[Value],
    clean: Any,
    box: Box,
    chunk: Array,
    prepared: Sequence[Along],
) -> Increment | None:
    """The sum of the contents and of what lies outside the box."""
    (value,), axes = operands, step.params["axes"]
    assert value.box is not None
    kept = np.delete(value.box.starts, axes, axis=1)
    sizes = tuple(size for axis, size in enumerate(value.box.sizes) if axis not in axes)
    shape = step.input_avals[0].shape
    if all(value.box.sizes[axis] == shape[axis] for axis in axes):
        return None
    if not Box(kept, sizes).same_as(box):
        return None
    sums = partial(reduced, value.contents, value.box, prepared, SUM, chunk)
    return Increment(lambda: sums().astype(value.contents.dtype))


def _dot_windows(step: Step) -> Windows:
    (left_sum, right_sum), (left_batch, right_batch) = step.params["dimension_numbers"]
    left, right = (len(aval.shape) for aval in step.input_avals)
    both = [(Window(i), Window(j)) for i, j in zip(left_batch, right_batch, strict=True)]
    only_left = [Window(i) for i in range(left) if i not in (*left_sum, *left_batch)]
    only_right = [Window(i) for i in range(right) if i not in (*right_sum, *right_batch)]
    windows: list[list[Reading | None]] = [
        [*(window for window, _ in both), *only_left, *[None] * len(only_right)],
        [*(window for _, window in both), *[None] * len(only_left), *only_right],
    ]
    if step.reads:
        windows[step.reads.operand][step.reads.out] = Table.of(step.reads)
    return windows


def _dot_terms(step: Step) -> int:
    """Of a map and a matrix alone, not one that resizes."""
    (contracted, _), (batch, _) = step.params["dimension_numbers"]
    map_shape, matrix_shape = (aval.shape for aval in step.input_avals)
    is_matrix = len(contracted) == 1 and not batch and len(matrix_shape) == 2 <= len(map_shape)
    return map_shape[contracted[0]] if is_matrix and step.reads is None else 0


class _Rounded(NamedTuple):
    """The matrix, rounded, and the magnitudes of the map."""

    matrix: Array
    magnitudes: Magnitudes


def _dot_prepare(step: Step, operands: Sequence[Any]) -> _Rounded | None:
    if not step.rounded:
        return None
    clean, matrix = map(jnp.asarray, operands)
    (contracted, _), _ = step.params["dimension_numbers"]
    return _Rounded(rounded(matrix), magnitudes(clean, contracted[0]))


def _dot_increment(
    step: Step,
    operands: Sequence[Value],
    clean: Any,
    box: Box,
    chunk: Array,
    prepared: _Rounded | None,
) -> Increment | None:
    """Clean output plus the change times the rounded matrix."""
    if prepared is None or operands[0].box is None or operands[1].box is not None:
        return None
    numbers, seen = step.params["dimension_numbers"], _dot_windows(step)

    def multiply(sizes: Sequence[int], change: Array, matrix: Array) -> Array:
        return rounded_product(change, matrix, numbers)

    pair = [operands[0], Value(prepared.matrix)]
    return rounded_increment(step, seen, pair, clean, box, chunk, multiply, prepared.magnitudes)


def _dot_multiply_adds(step: Step, sizes: Sequence[int], into: Sequence[int] | None) -> int:
    (contracted, _), _ = step.params["dimension_numbers"]
    extents: list[int] = [step.input_avals[0].shape[axis] for axis in contracted]
    sizes = list(sizes)
    if step.reads:
        sizes[step.reads.out] = len(step.reads.low)
    return math.prod(sizes) * math.prod(extents)


for _name in ("max", "min", "prod", "and", "or", "xor"):
    RULES[f"reduce_{_name}"] = Rule(_reduce_windows, bind_one)
RULES["reduce_sum"] = Rule(
    _reduce_windows, bind_one, prepare=_sum_prepare, increment=_sum_increment
)
RULES["argmax"] = RULES["argmin"] = Rule(_reduce_windows, bind_one)
RULES["dot_general"] = Rule(
    _dot_windows,
    bind_one,
    prepare=_dot_prepare,
    increment=_dot_increment,
    multiply_adds=_dot_multiply_adds,
    terms=_dot_terms,
)
