"""Primitives that move elements: padding, slicing, joining, reordering and reshaping axes."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from .._typing import Array
from ..jaxpr.tape import Step
from .reading import Value
from .rules import RULES, Rule, Windows, bind_one
from .windows import Reading, Table, Window


def _pad_windows(step: Step) -> Windows:
    config = step.params["padding_config"]
    windows = [
        Window(axis, padding=low, spacing=interior + 1)
        for axis, (low, _, interior) in enumerate(config)
    ]
    return [windows, None]


def _pad_fill(step: Step, operands: Sequence[Value]) -> Any:
    return operands[1].clean


def _pad(step: Step, sizes: Sequence[int], part: Array, fill: Array) -> Array:
    """The part has its margins already."""
    config = []
    for size, extent, (low, _, interior) in zip(
        sizes, part.shape, step.params["padding_config"], strict=True
    ):
        before = low % (interior + 1)
        config.append((before, size - before - (extent - 1) * (interior + 1) - 1, interior))
    return lax.pad(part, fill, config)


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
    """The windows of axes that are kept, split or merged.

    Where (a * b) becomes (a, b), a is windowed and b is whole. Where two axes (a, b) become one,
    each index of it reads one of a, and b whole.
    """
    source, target = step.input_avals[0].shape, step.output_avals[0].shape
    if step.params.get("dimensions") is not None:
        return "reshape that reorders axes"
    windows: list[Reading | None] = [None] * len(target)
    if 0 in source:
        return [windows]
    sources = [axis for axis, extent in enumerate(source) if extent != 1]
    targets = [axis for axis, extent in enumerate(target) if extent != 1]
    while sources:
        first = sources.pop(0)
        start = targets.pop(0)
        left, right, kept, merged = source[first], target[start], True, [first]
        while left != right:
            if left < right:
                merged.append(sources.pop(0))
                left *= source[merged[-1]]
                kept = False
            else:
                right *= target[targets.pop(0)]
        if kept:
            block = source[first] // target[start]
            windows[start] = Window(first, block, block)
        elif len(merged) == 2 and left == target[start]:
            rows = [i // source[merged[1]] for i in range(left)]
            windows[start] = Table(first, tuple(rows), tuple(row + 1 for row in rows))
    return [windows, *[None] * (len(step.inputs) - 1)]


def _gather_windows(step: Step) -> Windows | str:
    if step.reads is None:
        return "it picks by indices that are not known ahead"
    rank = len(step.output_avals[0].shape)
    kept = [axis for axis in range(rank) if axis != step.reads.axis]
    windows: list[Reading | None] = [Window(axis) for axis in kept]
    windows.insert(step.reads.out, Table.of(step.reads))
    return [windows, None]


def _gather(step: Step, sizes: Sequence[int], part: Array, indices: Array) -> Array:
    axis = step.params["dimension_numbers"].start_index_map[0]
    slices = [1 if i == axis else size for i, size in enumerate(part.shape)]
    return lax.gather(
        part, indices, step.params["dimension_numbers"], slices, mode=step.params["mode"],
        fill_value=step.params["fill_value"],
    )  # fmt: skip


def _reverse_windows(step: Step) -> Windows:
    windows: list[Reading | None] = []
    for axis, extent in enumerate(step.input_avals[0].shape):
        at = range(extent - 1, -1, -1)
        turned = axis in step.params["dimensions"]
        after = tuple(i + 1 for i in at)
        windows.append(Table(axis, tuple(at), after) if turned else Window(axis))
    return [windows]


def _squeeze_windows(step: Step) -> Windows:
    dropped = step.params["dimensions"]
    return [[Window(axis) for axis in range(len(step.input_avals[0].shape)) if axis not in dropped]]


def _reshape(step: Step, sizes: Sequence[int], part: Array, *rest: Array) -> Array:
    return jnp.reshape(part, sizes)


RULES["pad"] = Rule(_pad_windows, _pad, fill=_pad_fill)
RULES["slice"] = Rule(_slice_windows, _slice)
RULES["transpose"] = Rule(_transpose_windows, bind_one)
RULES["concatenate"] = Rule(_concatenate_windows, _concatenate)
RULES["broadcast_in_dim"] = Rule(_broadcast_windows, _broadcast)
RULES["reshape"] = Rule(_reshape_windows, _reshape)
RULES["squeeze"] = Rule(_squeeze_windows, _reshape)
RULES["rev"] = Rule(_reverse_windows, bind_one)
RULES["gather"] = Rule(_gather_windows, _gather)
