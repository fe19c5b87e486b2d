"""Primitives that move elements: padding, slicing, joining, reordering and reshaping axes."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from .._typing import Array
from ..jaxpr.tape import Step
from .rules import RULES, Rule, Windows, bind_one
from .windows import Value, Window


def _pad_windows(step: Step) -> Windows | str:
    config = step.params["padding_config"]
    if any(interior for _, _, interior in config):
        return "padding between elements"
    return [[Window(axis, padding=low) for axis, (low, _, _) in enumerate(config)], None]


def _pad_fill(step: Step, operands: Sequence[Value]) -> Any:
    return operands[1].clean


def _first(step: Step, sizes: Sequence[int], part: Array, *rest: Array) -> Array:
    return part


def _slice_windows(step: Step) -> Windows:
    starts = step.params["start_indices"]
    strides = step.params["strides"] or [1] * len(starts)
    return [
        [
            Window(axis, stride=stride, padding=-start)
            for axis, (start, stride) in enumerate(zip(starts, strides, strict=True))
        ]
    ]


def _slice(step: Step, sizes: Sequence[int], part: Array) -> Array:
    return lax.slice(part, [0] * part.ndim, part.shape, step.params["strides"])


def _transpose_windows(step: Step) -> Windows:
    return [[Window(axis) for axis in step.params["permutation"]]]


def _concatenate_windows(step: Step) -> Windows:
    joined = step.params["dimension"]
    rank = len(step.output_avals[0].shape)
    return [[None if axis == joined else Window(axis) for axis in range(rank)]] * len(step.inputs)


def _concatenate(step: Step, sizes: Sequence[int], *parts: Array) -> Array:
    return lax.concatenate(parts, step.params["dimension"])


def _broadcast_windows(step: Step) -> Windows:
    (operand, *_), (output,) = step.input_avals, step.output_avals
    windows: list[Window | None] = [None] * len(output.shape)
    for axis, target in enumerate(step.params["broadcast_dimensions"]):
        if operand.shape[axis] == output.shape[target]:
            windows[target] = Window(axis)
    return [windows, *[None] * (len(step.inputs) - 1)]


def _broadcast(step: Step, sizes: Sequence[int], part: Array, *rest: Array) -> Array:
    return lax.broadcast_in_dim(part, sizes, step.params["broadcast_dimensions"])


def _reshape_windows(step: Step) -> Windows | str:
    """Axes that are kept, and axes (a * b) that become (a, b): then a is windowed, b is whole."""
    source, target = step.input_avals[0].shape, step.output_avals[0].shape
    if step.params.get("dimensions") is not None:
        return "reshape that reorders axes"
    windows: list[Window | None] = [None] * len(target)
    if 0 in source:
        return [windows]
    sources = [axis for axis, extent in enumerate(source) if extent != 1]
    targets = [axis for axis, extent in enumerate(target) if extent != 1]
    while sources:
        first = sources.pop(0)
        start = targets.pop(0)
        left, right, kept = source[first], target[start], True
        while left != right:
            if left < right:
                left *= source[sources.pop(0)]
                kept = False
            else:
                right *= target[targets.pop(0)]
        if kept:
            block = source[first] // target[start]
            windows[start] = Window(first, block, block)
    return [windows, *[None] * (len(step.inputs) - 1)]


def _squeeze_windows(step: Step) -> Windows:
    dropped = step.params["dimensions"]
    return [[Window(axis) for axis in range(len(step.input_avals[0].shape)) if axis not in dropped]]


def _reshape(step: Step, sizes: Sequence[int], part: Array, *rest: Array) -> Array:
    return jnp.reshape(part, sizes)


RULES["pad"] = Rule(_pad_windows, _first, fill=_pad_fill)
RULES["slice"] = Rule(_slice_windows, _slice)
RULES["transpose"] = Rule(_transpose_windows, bind_one)
RULES["concatenate"] = Rule(_concatenate_windows, _concatenate)
RULES["broadcast_in_dim"] = Rule(_broadcast_windows, _broadcast)
RULES["reshape"] = Rule(_reshape_windows, _reshape)
RULES["squeeze"] = Rule(_squeeze_windows, _reshape)
