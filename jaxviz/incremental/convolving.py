"""Convolutions of parts of a map, with all that lies around them read already."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from jax import Array, lax

from ..cpu.convolution import depthwise, group_by_group, is_by_shifts
from ..jaxpr.tape import Step
from .rules import Windows
from .windows import Window


def convolution_windows(step: Step) -> Windows | str:
    params = step.params
    if any(
        spacing != 1 and stride != 1
        for spacing, stride in zip(params["lhs_dilation"], params["window_strides"], strict=True)
    ):
        return "dilated input and a stride"
    if params["batch_group_count"] != 1:
        return "groups over the batch"
    numbers = params["dimension_numbers"]
    kernel = step.input_avals[1].shape
    windows: list[Window | None] = [None] * len(numbers.out_spec)
    windows[numbers.out_spec[0]] = Window(numbers.lhs_spec[0])
    for i, (stride, (low, _), dilation, spacing) in enumerate(
        zip(
            params["window_strides"],
            params["padding"],
            params["rhs_dilation"],
            params["lhs_dilation"],
            strict=True,
        )
    ):
        size = (kernel[numbers.rhs_spec[2 + i]] - 1) * dilation + 1
        window = Window(numbers.lhs_spec[2 + i], size, stride, low, spacing)
        windows[numbers.out_spec[2 + i]] = window
    return [windows, None]


def image_channels_last(step: Step, image: Array) -> Array:
    batch, feature, *space = step.params["dimension_numbers"].lhs_spec
    return image.transpose(batch, *space, feature)


def kernel_channels_last(step: Step, kernel: Array) -> Array:
    out, into, *taps = step.params["dimension_numbers"].rhs_spec
    return kernel.transpose(*taps, into, out)


def from_channels_last(step: Step, result: Array) -> Array:
    batch, feature, *space = step.params["dimension_numbers"].out_spec
    return result.transpose(np.argsort([batch, *space, feature]))


def convolved(step: Step, sizes: Sequence[int], part: Array, kernel: Array) -> Array:
    """Channels last, whatever the network's layout: others are very slow in loops on a CPU."""
    image, kernel = image_channels_last(step, part), kernel_channels_last(step, kernel)
    groups = step.params["feature_group_count"]
    if is_by_shifts(image, kernel, groups) and not is_spaced(step):
        strides, dilation = step.params["window_strides"], step.params["rhs_dilation"]
        result = depthwise(image, kernel, strides, dilation)
    else:
        result = group_by_group(image, kernel, groups, partial(_convolve, step, sizes))
    return from_channels_last(step, result)


def is_spaced(step: Step) -> bool:
    """Whether it is a transposed convolution: zeros lie between the numbers of its input."""
    return any(spacing != 1 for spacing in step.params["lhs_dilation"])


def _margins(step: Step, sizes: Sequence[int], image: Array) -> list[tuple[int, int]]:
    """The zeros around a part of a map (batch, *space, channel) for an output box of `sizes`."""
    margins, params = [], step.params
    numbers, kernel = params["dimension_numbers"], step.input_avals[1].shape
    for i, (spacing, dilation, stride, (low, _)) in enumerate(
        zip(
            params["lhs_dilation"],
            params["rhs_dilation"],
            params["window_strides"],
            params["padding"],
            strict=True,
        )
    ):
        before = low % spacing
        reach = (kernel[numbers.rhs_spec[2 + i]] - 1) * dilation
        last = (sizes[numbers.out_spec[2 + i]] - 1) * stride + reach
        margins.append((before, last - before - (image.shape[1 + i] - 1) * spacing))
    return margins


def _convolve(step: Step, sizes: Sequence[int], image: Array, kernel: Array, groups: int) -> Array:
    rank = image.ndim - 2
    space = "DHW"[3 - rank :] if rank <= 3 else "".join(map(chr, range(97, 97 + rank)))
    return lax.conv_general_dilated(
        image,
        kernel,
        step.params["window_strides"],
        _margins(step, sizes, image) if is_spaced(step) else [(0, 0)] * rank,
        lhs_dilation=step.params["lhs_dilation"],
        rhs_dilation=step.params["rhs_dilation"],
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        feature_group_count=groups,
        precision=step.params["precision"],
        preferred_element_type=step.params["preferred_element_type"],
    )
