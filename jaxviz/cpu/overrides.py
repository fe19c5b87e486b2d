"""Other meanings of primitives, equal within round-off, that are faster on a CPU.

`run` of the tape takes the table. An entry declines with None where it would not pay.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from ..jaxpr.tape import Meaning, Step
from . import policy
from .convolution import correlation_by_points, depthwise, group_by_group, is_by_shifts
from .phases import convolve_by_phases, is_by_phases
from .pooling import pool_by_slices, unpool_by_slices


def overrides(*, kernels_are_ready: bool, seldom: bool) -> Mapping[str, Meaning]:
    """The table.

    kernels_are_ready: whether what depends on the kernel alone is done before, and once. seldom:
    whether few calls share what compiling takes.
    """
    convolution = functools.partial(_convolution, kernel_is_ready=kernels_are_ready, seldom=seldom)
    return {
        "conv_general_dilated": convolution,
        "dot_general": _product,
        "reduce_window_max": _max_pool,
        "select_and_scatter_add": _unpool,
    }


def _convolution(
    step: Step, operands: Sequence[Any], *, kernel_is_ready: bool, seldom: bool
) -> list[Array] | None:
    """Of images with their channels last; in the way that pays, if any does."""
    images, kernel = map(jnp.asarray, operands)  # a constant is none of JAX's arrays
    given, numbers = dict(step.params), step.params["dimension_numbers"]
    rank = len(kernel.shape)
    lhs, rhs = (0, rank - 1, *range(1, rank - 1)), (rank - 1, rank - 2, *range(rank - 2))
    is_plain = (
        numbers.lhs_spec == numbers.out_spec == lhs
        and given["batch_group_count"] == 1
        and images.dtype == kernel.dtype == step.output_avals[0].dtype
        and images.dtype in (jnp.float32, jnp.float64)
    )
    if not is_plain:
        return None
    # A gradient has its kernel in another order, for which XLA takes eight times as long in loops.
    is_ordered = numbers.rhs_spec == rhs
    if not is_ordered:
        kernel = lax.transpose(kernel, (*numbers.rhs_spec[2:], *numbers.rhs_spec[1::-1]))
        given["dimension_numbers"] = numbers._replace(rhs_spec=rhs)
    groups, between = given["feature_group_count"], given["lhs_dilation"]
    gaps = zip(given["padding"], between, strict=True)
    margins = [(0, 0, 0), *((*margin, gap - 1) for margin, gap in gaps), (0, 0, 0)]
    if is_by_shifts(images, kernel, groups):
        padded = lax.optimization_barrier(lax.pad(images, jnp.zeros((), images.dtype), margins))
        strides, dilation = given["window_strides"], given["rhs_dilation"]
        result = depthwise(padded, kernel, strides, dilation)
    elif {*between} != {1}:
        return _dilated(given, images, kernel)
    elif _is_by_points(step, given, kernel, kernel_is_ready=kernel_is_ready, seldom=seldom):
        padded = lax.pad(images, jnp.zeros((), images.dtype), margins)
        result = group_by_group(padded, kernel, groups, functools.partial(_correlate, given))
    elif policy.parts_of_groups(groups, kernel.shape[-2]) > 1:
        result = group_by_group(images, kernel, groups, functools.partial(_convolve, given))
    elif not is_ordered:
        result = _convolve(given, images, kernel, groups)
    else:
        return None
    # The barrier keeps XLA from evaluating the outputs again for each of their uses.
    return [lax.optimization_barrier(result)]


def _product(step: Step, operands: Sequence[Any]) -> list[Array] | None:
    """Of few rows with all rows of a matrix, as gradients of dense layers are: the matrix first."""
    rows, matrix = operands
    is_by_rows = step.params["dimension_numbers"] == (((1,), (1,)), ((), ()))
    if not is_by_rows or rows.ndim != 2 or matrix.ndim != 2:
        return None
    if not policy.matrix_first_pays(len(rows), len(matrix)):
        return None
    columns = lax.optimization_barrier(rows.T)
    given = {**step.params, "dimension_numbers": (((1,), (0,)), ((), ()))}
    return [lax.optimization_barrier(lax.dot_general_p.bind(matrix, columns, **given)).T]


def _correlate(given: Mapping[str, Any], images: Array, kernel: Array, _: int) -> Array:
    return correlation_by_points(images, kernel, given["precision"])


def _convolve(given: Mapping[str, Any], images: Array, kernel: Array, groups: int) -> Array:
    return lax.conv_general_dilated_p.bind(
        images, kernel, **{**given, "feature_group_count": groups}
    )


def _dilated(given: Mapping[str, Any], images: Array, kernel: Array) -> list[Array] | None:
    """Of images with zeros between their pixels."""
    dilation, groups = given["lhs_dilation"], given["feature_group_count"]
    once = {**given, "lhs_dilation": (1,) * len(dilation)}
    if {*given["window_strides"], *given["rhs_dilation"]} != {1}:
        return None
    if groups > 1 or not is_by_phases(kernel.shape[:-2], dilation):
        return None

    def convolve(images: Array, kernel: Array, padding: Sequence[tuple[int, int]]) -> Array:
        return _convolve({**once, "padding": tuple(padding)}, images, kernel, 1)

    found = convolve_by_phases(images, kernel, dilation, given["padding"], convolve)
    return [lax.optimization_barrier(found)]


def _is_by_points(
    step: Step, given: Mapping[str, Any], kernel: Any, *, kernel_is_ready: bool, seldom: bool
) -> bool:
    *taps, into, out = kernel.shape
    if len(taps) != 2 or taps[0] != taps[1]:
        return False
    if {*given["window_strides"], *given["rhs_dilation"]} != {1}:
        return False
    channels, places = (into, out // given["feature_group_count"]), step.output_avals[0].shape[:3]
    return policy.fewer_products_pay(
        taps[0], places, channels, kernel_is_ready=kernel_is_ready, seldom=seldom
    )


def _max_pool(step: Step, operands: Sequence[Any]) -> list[Array] | None:
    (x,), given = operands, step.params
    is_plain = {*given["base_dilation"]} == {1} and jnp.issubdtype(x.dtype, jnp.number)
    if not is_plain or not policy.pools_by_slices(given["window_dimensions"]):
        return None
    padded = _padded(x, given)
    window, strides = given["window_dimensions"], given["window_strides"]
    dilation = given["window_dilation"]
    return [pool_by_slices(padded, jnp.maximum, window, strides, dilation, barriers=True)]


def _padded(x: Array, given: Mapping[str, Any]) -> Array:
    """With the smallest number around it, which no maximum is."""
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    margins = [(*margin, 0) for margin in given["padding"]]
    return lax.pad(x, jnp.asarray(lowest, x.dtype), margins)


def _unpool(step: Step, operands: Sequence[Any]) -> list[Array] | None:
    """The gradient of a maximum, which goes to the first pixel that is as large."""
    (gradient, x), given = operands, step.params
    window, strides = given["window_dimensions"], given["window_strides"]
    is_plain = given["select_prim"].name == "ge" and jnp.issubdtype(x.dtype, jnp.floating)
    if not is_plain or not policy.pools_by_slices(window):
        return None
    found = unpool_by_slices(gradient, _padded(x, given), window, strides)
    low = [margin[0] for margin in given["padding"]]
    high = [start + length for start, length in zip(low, x.shape, strict=True)]
    return [lax.optimization_barrier(lax.slice(found, low, high))]
