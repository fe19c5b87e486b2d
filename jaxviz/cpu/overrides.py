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
from .convolution import correlation_by_points, group_by_group
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
    images, kernel = operands
    given, numbers = step.params, step.params["dimension_numbers"]
    is_plain = (
        len(kernel.shape) == 4
        and numbers.lhs_spec == numbers.out_spec == (0, 3, 1, 2)
        and numbers.rhs_spec == (3, 2, 0, 1)
        and {*given["window_strides"], *given["lhs_dilation"], *given["rhs_dilation"]} == {1}
        and given["batch_group_count"] == 1
        and images.dtype == kernel.dtype == step.output_avals[0].dtype
        and images.dtype in (jnp.float32, jnp.float64)
        and kernel.shape[0] == kernel.shape[1]
    )
    if not is_plain:
        return None
    groups, taps = given["feature_group_count"], kernel.shape[0]
    channels = kernel.shape[2], kernel.shape[3] // groups
    places = step.output_avals[0].shape[:3]
    if not policy.fewer_products_pay(
        taps, places, channels, kernel_is_ready=kernel_is_ready, seldom=seldom
    ):
        return None
    margins = [(0, 0, 0), *((*margin, 0) for margin in given["padding"]), (0, 0, 0)]
    padded = lax.pad(images, jnp.zeros((), images.dtype), margins)

    def correlation(images: Array, kernel: Array, _: int) -> Array:
        return correlation_by_points(images, kernel, given["precision"])

    # The barrier keeps XLA from evaluating the outputs again for each of their uses.
    return [lax.optimization_barrier(group_by_group(padded, kernel, groups, correlation))]


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
