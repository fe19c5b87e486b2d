"""Convolutions and pooling."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .rules import RULES, Rule, Windows
from .tape import Step
from .windows import Box, Value, Window, cut, place

_MOST_SPLIT_GROUPS = 8


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
    name = step.name.removeprefix("reduce_window_")
    computation = {"max": lax.max, "min": lax.min, "sum": lax.add}[name]
    params = step.params
    return lax.reduce_window(
        part,
        np.asarray(_POOL_FILLS[step.name](step, ()), part.dtype),
        computation,
        params["window_dimensions"],
        params["window_strides"],
        [(0, 0)] * part.ndim,
        window_dilation=params["window_dilation"],
    )


_POOL_FILLS: dict[str, Any] = {
    "reduce_window_max": lambda step, operands: _limit(step.output_avals[0].dtype, -1),
    "reduce_window_min": lambda step, operands: _limit(step.output_avals[0].dtype, 1),
    "reduce_window_sum": lambda step, operands: 0,
}


def _convolution_windows(step: Step) -> Windows | str:
    params = step.params
    if any(dilation != 1 for dilation in params["lhs_dilation"]):
        return "dilated input (a transposed convolution)"
    if params["batch_group_count"] != 1:
        return "groups over the batch"
    numbers = params["dimension_numbers"]
    kernel = step.input_avals[1].shape
    windows: list[Window | None] = [None] * len(numbers.out_spec)
    windows[numbers.out_spec[0]] = Window(numbers.lhs_spec[0])
    for i, (stride, (low, _), dilation) in enumerate(
        zip(params["window_strides"], params["padding"], params["rhs_dilation"], strict=True)
    ):
        size = (kernel[numbers.rhs_spec[2 + i]] - 1) * dilation + 1
        windows[numbers.out_spec[2 + i]] = Window(numbers.lhs_spec[2 + i], size, stride, low)
    return [windows, None]


def _channels_last(step: Step, image: Array, kernel: Array) -> tuple[Array, Array]:
    numbers = step.params["dimension_numbers"]
    batch, feature, *space = numbers.lhs_spec
    out, into, *taps = numbers.rhs_spec
    return image.transpose(batch, *space, feature), kernel.transpose(*taps, into, out)


def _convolve(image: Array, kernel: Array, groups: int, step: Step) -> Array:
    rank = image.ndim - 2
    space = "DHW"[-rank:] if rank <= 3 else "".join(map(chr, range(97, 97 + rank)))
    return lax.conv_general_dilated(
        image,
        kernel,
        step.params["window_strides"],
        [(0, 0)] * rank,
        rhs_dilation=step.params["rhs_dilation"],
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        feature_group_count=groups,
        precision=step.params["precision"],
        preferred_element_type=step.params["preferred_element_type"],
    )


def _from_channels_last(step: Step, result: Array) -> Array:
    batch, feature, *space = step.params["dimension_numbers"].out_spec
    return result.transpose(np.argsort([batch, *space, feature]))


def _convolution(step: Step, sizes: Sequence[int], part: Array, kernel: Array) -> Array:
    image, kernel = _channels_last(step, part, kernel)
    groups = step.params["feature_group_count"]
    if 1 < groups <= _MOST_SPLIT_GROUPS and jax.default_backend() == "cpu":
        pairs = zip(
            jnp.split(image, groups, axis=-1), jnp.split(kernel, groups, axis=-1), strict=True
        )
        result = jnp.concatenate([_convolve(*pair, 1, step) for pair in pairs], axis=-1)
    else:
        result = _convolve(image, kernel, groups, step)
    return _from_channels_last(step, result)


def _convolution_increment(
    step: Step, operands: Sequence[Value], clean: Any, box: Box, chunk: Array
) -> Array | None:
    """Clean output plus the change spread by the kernel.

    An input box of w pixels changes w + k - 1 outputs an axis, and reading outputs would multiply
    w + k - 1 times, mostly by zero change; one matrix product of the w input pixels with all taps
    of the kernel, and sums of shifted pieces, multiply w times.
    """
    value, kernel = operands
    params, numbers = step.params, step.params["dimension_numbers"]
    assert value.box is not None
    into = [value.box.sizes[axis] for axis in numbers.lhs_spec[2:]]
    out = [box.sizes[axis] for axis in numbers.out_spec[2:]]
    if (
        jax.default_backend() != "cpu"
        or params["feature_group_count"] != 1
        or any(stride != 1 for stride in params["window_strides"])
        or step.input_avals[0].shape[numbers.lhs_spec[1]] < 16
        or math.prod(into) * 5 > math.prod(out) * 4
    ):
        return None
    before, _ = cut(value.clean, value.box, chunk)
    change, taps = (
        jax.vmap(lambda image: _channels_last(step, image, kernel.clean))(value.contents - before)[
            0
        ],
        _channels_last(step, value.clean, kernel.clean)[1],
    )
    extents = taps.shape[:-2]
    rank = len(extents)
    product = jnp.tensordot(
        change,
        jnp.moveaxis(taps, -2, 0),
        axes=1,
        precision=params["precision"],
        preferred_element_type=params["preferred_element_type"],
    )
    frame: Any = 0
    for tap in itertools.product(*map(range, extents)):
        margins = [(0, 0, 0), (0, 0, 0)]
        for position, extent, dilation in zip(tap, extents, params["rhs_dilation"], strict=True):
            margins.append(((extent - 1 - position) * dilation, position * dilation, 0))
        piece = product[(slice(None),) * (rank + 2) + tap]
        frame = frame + lax.pad(piece, jnp.zeros((), piece.dtype), [*margins, (0, 0, 0)])
    frame = jax.vmap(lambda row: _from_channels_last(step, row))(frame)
    starts = np.zeros_like(box.starts)
    starts[:, numbers.out_spec[0]] = value.box.starts[:, numbers.lhs_spec[0]]
    for i, ((low, _), extent, dilation) in enumerate(
        zip(params["padding"], extents, params["rhs_dilation"], strict=True)
    ):
        first = value.box.starts[:, numbers.lhs_spec[2 + i]] + low - (extent - 1) * dilation
        starts[:, numbers.out_spec[2 + i]] = first
    moved, _ = place(frame, starts - box.starts, box.sizes, chunk)
    return cut(clean, box, chunk)[0] + moved


def _convolution_multiply_adds(step: Step, sizes: Sequence[int]) -> int:
    kernel = step.input_avals[1].shape
    return (
        math.prod(sizes) * math.prod(kernel) // kernel[step.params["dimension_numbers"].rhs_spec[0]]
    )


RULES["conv_general_dilated"] = Rule(
    _convolution_windows,
    _convolution,
    increment=_convolution_increment,
    multiply_adds=_convolution_multiply_adds,
)
RULES.update({name: Rule(_pool_windows, _pool, fill=fill) for name, fill in _POOL_FILLS.items()})
