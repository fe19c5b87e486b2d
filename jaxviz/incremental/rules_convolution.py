"""Convolutions: what changes in them is spread, or read for each output."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..cpu import policy
from ..cpu.rounding import rounded_product
from ..cpu.spreading import Kernel, num_products, prepare, spread, taps_of
from ..jaxpr.tape import Step
from .changes import (
    Magnitudes,
    are_accurate,
    are_small,
    change_of,
    magnitudes,
    rounded_increment,
)
from .convolving import (
    convolution_windows,
    convolved,
    from_channels_last,
    image_channels_last,
    is_spaced,
    kernel_channels_last,
)
from .reading import Value, cut_each, place
from .rules import RULES, Increment, Rule
from .windows import Box


class _Prepared(NamedTuple):
    """The kernel of each group, and the magnitudes of the map."""

    kernels: list[Kernel]
    magnitudes: Magnitudes


def _convolution_prepare(step: Step, operands: Sequence[Any]) -> _Prepared | None:
    groups = step.params["feature_group_count"]
    image, kernel = map(jnp.asarray, operands)
    if not kernel.size or not policy.groups_one_by_one(groups):
        return None
    parts = jnp.split(kernel_channels_last(step, kernel), groups, axis=-1)
    known = magnitudes(image, step.params["dimension_numbers"].lhs_spec[1])
    return _Prepared([prepare(step, part) for part in parts], known)


def _convolution_increment(
    step: Step,
    operands: Sequence[Value],
    clean: Any,
    box: Box,
    chunk: Array,
    prepared: _Prepared | None,
) -> Increment | None:
    """Clean output plus the change spread by the kernel.

    An input box of w pixels changes w + k - 1 outputs an axis. Reading for each output multiplies
    w + k - 1 times, by changes that are mostly zero; spreading each input multiplies w times.
    """
    value = operands[0]
    if value.box is None or prepared is None:
        return None
    if not _spreading_pays(step, value.box.sizes, box.sizes):
        return _by_rounded(step, value, clean, box, chunk, prepared)
    boxes = partial(_spread_boxes, step, value, clean, box, chunk, prepared.kernels)
    if not step.rounded:
        return Increment(boxes, are_accurate(value, prepared.magnitudes, chunk))
    change = change_of(value, chunk)
    return Increment(boxes, are_small(value, change, prepared.magnitudes, chunk))


def _by_rounded(
    step: Step, value: Value, clean: Any, box: Box, chunk: Array, prepared: _Prepared
) -> Increment | None:
    """Clean output plus the change times the rounded kernel, of one tap.

    Of more taps XLA's convolutions in bfloat16 take longer than in float32.
    """
    is_pointwise = math.prod(taps_of(step)) == step.params["feature_group_count"] == 1
    if not step.rounded or not is_pointwise or is_spaced(step):
        return None
    seen, pair = convolution_windows(step), [value, Value(prepared.kernels[0].taps)]
    assert not isinstance(seen, str)
    multiply = partial(_by_one_tap, step)
    return rounded_increment(step, seen, pair, clean, box, chunk, multiply, prepared.magnitudes)


def _by_one_tap(step: Step, sizes: Sequence[int], part: Array, matrix: Array) -> Array:
    """A convolution as a product of its channels and a matrix (in, out) alone."""
    steps = [slice(None, None, stride) for stride in step.params["window_strides"]]
    image, last = image_channels_last(step, part)[:, *steps], part.ndim - 1
    return from_channels_last(step, rounded_product(image, matrix, (((last,), (0,)), ((), ()))))


def _spread_boxes(
    step: Step,
    value: Value,
    clean: Any,
    box: Box,
    chunk: Array,
    kernels: Sequence[Kernel],
) -> Array:
    assert value.box is not None
    params, numbers = step.params, step.params["dimension_numbers"]
    change = jax.vmap(partial(image_channels_last, step))(change_of(value, chunk))
    parts = jnp.split(change, len(kernels), axis=-1)
    pieces = [spread(step, *pair) for pair in zip(parts, kernels, strict=True)]
    frame = jnp.concatenate(pieces, axis=-1)
    frame = jax.vmap(partial(from_channels_last, step))(frame)
    starts = np.zeros_like(box.starts)
    starts[:, numbers.out_spec[0]] = value.box.starts[:, numbers.lhs_spec[0]]
    for i, ((low, _), dilation) in enumerate(
        zip(params["padding"], params["rhs_dilation"], strict=True)
    ):
        margin = (step.input_avals[1].shape[numbers.rhs_spec[2 + i]] - 1) * dilation
        first = value.box.starts[:, numbers.lhs_spec[2 + i]] + low - margin
        starts[:, numbers.out_spec[2 + i]] = first
    moved, _ = place(frame, starts - box.starts, box.sizes, chunk)
    return cut_each(clean, box, chunk) + moved


def _spreading_pays(step: Step, into: Sequence[int], out: Sequence[int]) -> bool:
    params, numbers = step.params, step.params["dimension_numbers"]
    strides = (*params["window_strides"], *params["lhs_dilation"])
    if into[numbers.lhs_spec[1]] != step.input_avals[0].shape[numbers.lhs_spec[1]]:
        return False
    return all(stride == 1 for stride in strides) and policy.spreading_pays(
        kernel=math.prod(step.input_avals[1].shape),
        groups=params["feature_group_count"],
        pixels=math.prod(into[axis] for axis in numbers.lhs_spec[2:]),
        outputs=math.prod(out[axis] for axis in numbers.out_spec[2:]),
    )


def _convolution_multiply_adds(step: Step, sizes: Sequence[int], into: Sequence[int] | None) -> int:
    numbers, kernel = step.params["dimension_numbers"], step.input_avals[1].shape
    if into is None or not _spreading_pays(step, into, sizes):
        features: int = kernel[numbers.rhs_spec[0]]
        return math.prod(sizes) * (math.prod(kernel) // features)
    pairs = kernel[numbers.rhs_spec[0]] * kernel[numbers.rhs_spec[1]]
    extents = [into[axis] for axis in numbers.lhs_spec[2:]]
    return into[numbers.lhs_spec[0]] * num_products(step, extents) * pairs


def _convolution_scratch(step: Step, sizes: Sequence[int]) -> int:
    return math.prod(sizes) * math.prod(taps_of(step))


def _convolution_terms(step: Step) -> int:
    """The input channels of a group: what a product at each tap sums up."""
    into: int = step.input_avals[1].shape[step.params["dimension_numbers"].rhs_spec[1]]
    return into


RULES["conv_general_dilated"] = Rule(
    convolution_windows,
    convolved,
    prepare=_convolution_prepare,
    increment=_convolution_increment,
    multiply_adds=_convolution_multiply_adds,
    scratch=_convolution_scratch,
    terms=_convolution_terms,
)
