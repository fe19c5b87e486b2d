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
from .pooling import pool_by_slices


def overrides(*, kernels_are_ready: bool, seldom: bool) -> Mapping[str, Meaning]:
    """The table.

    kernels_are_ready: whether what depends on the kernel alone is done before, and once. seldom:
    whether few calls share what compiling takes.
    """
    convolution = functools.partial(_convolution, kernel_is_ready=kernels_are_ready, seldom=seldom)
    return {"conv_general_dilated": convolution, "reduce_window_max": _max_pool}


def _convolution(
    step: Step, operands: Sequence[Any], *, kernel_is_ready: bool, seldom: bool
) -> list[Array] | None:
    """Of images with their channels last; in the way that pays, if any does."""
    images, kernel = operands
    given, numbers = step.params, step.params["dimension_numbers"]
    rank = len(kernel.shape)
    lhs, rhs = (0, rank - 1, *range(1, rank - 1)), (rank - 1, rank - 2, *range(rank - 2))
    is_plain = (
        numbers.lhs_spec == numbers.out_spec == lhs
        and numbers.rhs_spec == rhs
        and {*given["lhs_dilation"]} == {1}
        and given["batch_group_count"] == 1
        and images.dtype == kernel.dtype == step.output_avals[0].dtype
        and images.dtype in (jnp.float32, jnp.float64)
    )
    if not is_plain:
        return None
    groups = given["feature_group_count"]
    margins = [(0, 0, 0), *((*margin, 0) for margin in given["padding"]), (0, 0, 0)]
    if is_by_shifts(images, kernel, groups):
        padded = lax.optimization_barrier(lax.pad(images, jnp.zeros((), images.dtype), margins))
        strides, dilation = given["window_strides"], given["rhs_dilation"]
        result = depthwise(padded, kernel, strides, dilation)
    elif _is_by_points(step, kernel, kernel_is_ready=kernel_is_ready, seldom=seldom):
        padded = lax.pad(images, jnp.zeros((), images.dtype), margins)
        result = group_by_group(padded, kernel, groups, functools.partial(_correlate, given))
    elif policy.parts_of_groups(groups, kernel.shape[-2]) > 1:
        result = group_by_group(images, kernel, groups, functools.partial(_convolve, given))
    else:
        return None
    # The barrier keeps XLA from evaluating the outputs again for each of their uses.
    return [lax.optimization_barrier(result)]


def _correlate(given: Mapping[str, Any], images: Array, kernel: Array, _: int) -> Array:
    return correlation_by_points(images, kernel, given["precision"])


def _convolve(given: Mapping[str, Any], images: Array, kernel: Array, groups: int) -> Array:
    return lax.conv_general_dilated_p.bind(
        images, kernel, **{**given, "feature_group_count": groups}
    )


def _is_by_points(step: Step, kernel: Any, *, kernel_is_ready: bool, seldom: bool) -> bool:
    given, (*taps, into, out) = step.params, kernel.shape
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
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    margins = [(*margin, 0) for margin in given["padding"]]
    padded = lax.pad(x, jnp.asarray(lowest, x.dtype), margins)
    window, strides = given["window_dimensions"], given["window_strides"]
    dilation = given["window_dilation"]
    return [pool_by_slices(padded, jnp.maximum, window, strides, dilation, barriers=True)]
