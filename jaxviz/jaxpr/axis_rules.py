"""How each primitive moves the axes of its operands, and which primitives mix the images."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from .axis import (
    BATCH,
    CHANNEL,
    COLUMN,
    OTHER,
    ROW,
    Axes,
    Axis,
    Factor,
    axis_of,
    has_batch,
    label_of,
    mixed,
)  # fmt: skip
from .primitives import ELEMENTWISE
from .tape import Step

# A rule: (step, axes of the operands, None for those without images) -> axes of each output; None
# where it cannot tell.
Rule = Callable[[Step, Sequence[Axes | None]], Sequence[Sequence[Axis]] | None]
RULES: dict[str, Rule] = {}


def _elementwise(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]]:
    """Operands whose images lie along different axes make a value with both: it is refused."""
    rank = len(step.output_avals[0].shape)
    given = [operand for operand in operands if operand is not None and len(operand) == rank]
    merged = []
    for own in zip(*given, strict=True):
        batches = [axis for axis in own if has_batch(axis)]
        if len({tuple(map(_of_batch, axis)) for axis in batches}) > 1:
            raise mixed(step)
        merged.append(max(batches or own, key=len))
    return [merged for _ in step.outputs]


def _of_batch(factor: Factor) -> tuple[bool, int]:
    return factor.label == BATCH, factor.size


def _transpose(step: Step, operands: Sequence[Axes | None]) -> list[Axes]:
    axes = operands[0] or ()
    return [tuple(axes[axis] for axis in step.params["permutation"])]


def _broadcast(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]]:
    axes, shape = operands[0] or (), step.output_avals[0].shape
    result = [axis_of(OTHER, size) for size in shape]
    for axis, target in enumerate(step.params["broadcast_dimensions"]):
        size = step.input_avals[0].shape[axis]
        if size == shape[target] or has_batch(axes[axis]):
            result[target] = axes[axis]
    return [result]


def _squeeze(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]]:
    return [_without(operands[0] or (), _ints(step.params["dimensions"]))]


def _reshape(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]] | None:
    """Deal the factors out again, splitting those that are in the way."""
    if step.params.get("dimensions") is not None or 0 in step.output_avals[0].shape:
        return None
    factors = [factor for axis in operands[0] or () for factor in axis]
    result: list[Axis] = []
    for size in step.output_avals[0].shape:
        axis: list[Factor] = []
        left = size
        while factors and (left > 1 or (size == 1 and not axis and factors[0].size == 1)):
            first = factors.pop(0)
            if left % first.size == 0:
                axis.append(first)
                left //= first.size
            elif first.size % left == 0 and first.label != BATCH:
                axis.append(Factor(first.label, left))
                factors.insert(0, Factor(first.label, first.size // left))
                left = 1
            elif has_batch((first, *axis, *factors)):
                return None
            else:  # no common grid
                axis.append(Factor(OTHER, left))
                left = 1
        result.append(tuple(axis))
    if factors and result:  # a batch of one image, behind the last axis
        result[-1] += tuple(factors)
    return [result]


def _along(*names: str) -> Rule:
    """A rule for what works along some axes, named by parameters, and keeps the others."""

    def rule(step: Step, operands: Sequence[Axes | None]) -> list[Axes]:
        axes = operands[0] or ()
        for name in names:
            given = step.params[name]
            for axis in given if isinstance(given, tuple | list) else (given,):
                if has_batch(axes[axis]) and step.input_avals[0].shape[axis] > 1:
                    raise mixed(step)
        return [axes for _ in step.outputs]

    return rule


def _reduce(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]]:
    axes, reduced = operands[0] or (), _ints(step.params["axes"])
    if any(has_batch(axes[axis]) and axes[axis] != (Factor(BATCH, 1),) for axis in reduced):
        raise mixed(step)
    return [_without(axes, reduced) for _ in step.outputs]


def _ints(axes: Sequence[Any]) -> list[int]:
    return [int(axis) for axis in axes]


def _without(axes: Axes, dropped: Sequence[int]) -> list[Axis]:
    """The other axes; a batch of one image goes along with the first of them."""
    kept = [axis for i, axis in enumerate(axes) if i not in dropped]
    lost = [axes[i] for i in dropped if has_batch(axes[i])]
    return [lost[0] + kept[0], *kept[1:]] if lost and kept else kept


def _window(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]] | None:
    axes, windows = operands[0] or (), step.params["window_dimensions"]
    return _moved(step, axes, [size > 1 for size in windows])


def _moved(step: Step, axes: Axes, moves: Sequence[bool]) -> list[list[Axis]] | None:
    """The axes of the output where some are slid over, padded or cut, and the others kept."""
    result = []
    shape = step.output_avals[0].shape
    for axis, moving, size in zip(axes, moves, shape, strict=True):
        before = math.prod(factor.size for factor in axis)
        if has_batch(axis) and (moving or size != before):
            if len(axis) > 1:
                return None
            raise mixed(step)
        result.append(axis if size == before else axis_of(label_of(axis), size))
    return [result]


def _pad(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]] | None:
    if operands[0] is None:
        return None
    return _moved(step, operands[0], [any(part) for part in step.params["padding_config"]])


def _slice(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]] | None:
    strides = step.params["strides"] or [1] * len(operands[0] or ())
    return _moved(step, operands[0] or (), [stride > 1 for stride in strides])


def _dynamic_slice(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]] | None:
    if operands[0] is None or any(operand is not None for operand in operands[1:]):
        return None
    return _moved(step, operands[0], [False] * len(operands[0]))


def _top_k(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]] | None:
    axes = operands[0] or ()
    along = step.params.get("axis", -1) % len(axes)
    found = _moved(step, axes, [axis == along for axis in range(len(axes))])
    return found and found * 2


def _concatenate(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]] | None:
    joined = step.params["dimension"]
    given = [operand for operand in operands if operand is not None]
    if any(has_batch(one[joined]) for one in given):
        return None
    first = list(given[0])
    for others in given[1:]:
        first = [max(pair, key=len) for pair in zip(first, others, strict=True)]
    labels = {label_of(one[joined]) for one in given}
    label = labels.pop() if len(labels) == 1 else OTHER
    first[joined] = axis_of(label, step.output_avals[0].shape[joined])
    return [first]


def _convolution(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]] | None:
    numbers, shape = step.params["dimension_numbers"], step.output_avals[0].shape
    images, kernel = operands
    if kernel is not None or images is None or step.params["batch_group_count"] != 1:
        return None
    spec, out = numbers.lhs_spec, numbers.out_spec
    if any(has_batch(images[axis]) for axis in spec[1:]):
        return None
    result: list[Axis] = [()] * len(shape)
    result[out[0]] = images[spec[0]]
    result[out[1]] = axis_of(CHANNEL, shape[out[1]])
    names = (ROW, COLUMN) if len(out) == 4 else [label_of(images[axis]) for axis in spec[2:]]
    for label, axis in zip(names, out[2:], strict=True):
        result[axis] = axis_of(label, shape[axis])
    return [result]


def _dot(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]]:
    contracted, batched = step.params["dimension_numbers"]
    result: list[Axis] = []
    known = [
        operand or tuple(axis_of(OTHER, size) for size in aval.shape)
        for operand, aval in zip(operands, step.input_avals, strict=True)
    ]
    for axes, over in zip(known, contracted, strict=True):
        if any(has_batch(axes[axis]) for axis in over):
            raise mixed(step)
    for left, right in zip(*batched, strict=True):
        one, other = known[0][left], known[1][right]
        if None not in operands and has_batch(one) != has_batch(other):
            raise mixed(step)
        result.append(one if has_batch(one) else other)
    for side, axes in enumerate(known):
        for i, axis in enumerate(axes):
            if i not in contracted[side] and i not in batched[side]:
                free = axis_of(CHANNEL, step.input_avals[side].shape[i])
                result.append(free if operands[side] is None else axis)
    return [result]


def _gather(step: Step, operands: Sequence[Axes | None]) -> list[list[Axis]] | None:
    """Gathers with indices that all images share, that keep the batch whole."""
    axes, numbers = operands[0], step.params["dimension_numbers"]
    if axes is None or operands[1] is not None or numbers.operand_batching_dims:
        return None
    shape, out = step.input_avals[0].shape, step.output_avals[0].shape
    kept = [axis for axis in range(len(shape)) if axis not in numbers.collapsed_slice_dims]
    result = [axis_of(OTHER, size) for size in out]
    for axis, target in zip(kept, numbers.offset_dims, strict=True):
        if step.params["slice_sizes"][axis] == shape[axis]:
            result[target] = axes[axis]
    if not any(map(has_batch, result)):
        return None
    return [result]


RULES.update(dict.fromkeys([*ELEMENTWISE, "add_any", "pvary", "real"], _elementwise))
RULES.update(
    transpose=_transpose, broadcast_in_dim=_broadcast, squeeze=_squeeze, reshape=_reshape,
    pad=_pad, slice=_slice, dynamic_slice=_dynamic_slice, concatenate=_concatenate,
    conv_general_dilated=_convolution, dot_general=_dot, gather=_gather,
    top_k=_top_k,
    rev=_along("dimensions"), sort=_along("dimension"), cumsum=_along("axis"),
    cumprod=_along("axis"), cummax=_along("axis"), cummin=_along("axis"),
    cumlogsumexp=_along("axis"),
)  # fmt: skip
RULES.update(
    dict.fromkeys(
        [
            "reduce_sum",
            "reduce_max",
            "reduce_min",
            "reduce_prod",
            "reduce_and",
            "reduce_or",
            "reduce_xor",
            "argmax",
            "argmin",
        ],
        _reduce,
    )
)
RULES.update(
    dict.fromkeys(
        ["reduce_window", "reduce_window_sum", "reduce_window_max", "reduce_window_min"], _window
    )
)
