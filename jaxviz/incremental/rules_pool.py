"""Pooling."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..cpu import policy
from ..cpu.pooling import pool_by_slices
from ..jaxpr.tape import Step
from .rules import RULES, Rule, Windows
from .windows import Window


def _pool_windows(step: Step) -> Windows | str:
    params = step.params
    if any(dilation != 1 for dilation in params["base_dilation"]):
        return "dilated input"
    return [
        [
            Window(axis, (size - 1) * dilation + 1, stride, low)
            for axis, (size, dilation, stride, (low, _)) in enumerate(
                zip(
                    params["window_dimensions"],
                    params["window_dilation"],
                    params["window_strides"],
                    params["padding"],
                    strict=True,
                )
            )
        ]
    ]


def _limit(dtype: Any, sign: int) -> Any:
    if jnp.issubdtype(dtype, jnp.inexact):
        return sign * jnp.inf
    info = jnp.iinfo(dtype)
    return info.max if sign > 0 else info.min


def _pool(step: Step, sizes: Sequence[int], part: Array) -> Array:
    computation = {"max": lax.max, "min": lax.min, "sum": lax.add}[step.name.rsplit("_", 1)[1]]
    params = step.params
    window, strides = params["window_dimensions"], params["window_strides"]
    if policy.pools_by_slices(window):
        dilation = params["window_dilation"]
        return pool_by_slices(part, computation, window, strides, dilation, barriers=False)
    fill = np.asarray(_POOL_FILLS[step.name](step, ()), part.dtype)
    result: Array = lax.reduce_window(
        part, fill, computation, window, strides, [(0, 0)] * part.ndim,
        window_dilation=params["window_dilation"],
    )  # fmt: skip
    return result


_POOL_FILLS: dict[str, Any] = {
    "reduce_window_max": lambda step, operands: _limit(step.output_avals[0].dtype, -1),
    "reduce_window_min": lambda step, operands: _limit(step.output_avals[0].dtype, 1),
    "reduce_window_sum": lambda step, operands: 0,
}

RULES.update({name: Rule(_pool_windows, _pool, fill=fill) for name, fill in _POOL_FILLS.items()})
