"""Products of what changes alone: a product is linear, so its output is the clean one and theirs.

They may be of bfloat16, where the caller allows it and the processor gains. Rounding then costs a
share of the change (2^-9 of each number, less in a sum), not a share of all there is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..cpu import policy
from ..cpu.rounding import rounded
from ..jaxpr.tape import Aval, Step, Tape
from .outside import MAX, Along, everything, running, with_outside
from .reading import Value, cut_each, read_windows
from .rules import RULES, Increment, Windows
from .windows import Box

# Times the largest number that is left; if a box hides larger ones, a change would be inaccurate.
_MOST_HIDDEN = 4
_MOST_ROUNDED = 8  # where only some of what is left is known
_SAMPLES = 4  # at most, of an axis of a box
_SAMPLED_CHANNELS = 128


def allowing_bfloat16(tape: Tape) -> Tape:
    """The same with `rounded` on the steps whose changes are multiplied as bfloat16.

    Steps of which the network asks for a precision are left alone.
    """
    return replace(
        tape, steps=tuple(replace(step, rounded=_is_rounded(step)) for step in tape.steps)
    )


def _is_rounded(step: Step) -> bool:
    rule = RULES.get(step.name)
    terms = rule.terms(step) if rule else 0
    if not terms or not {None, lax.Precision.DEFAULT}.issuperset(_precisions(step)):
        return False
    avals = (*step.input_avals, *step.output_avals)
    numbers = math.prod(step.input_avals[1].shape)
    return all(map(_is_float32, avals)) and policy.bfloat16_pays(terms, numbers)


def _precisions(step: Step) -> Sequence[Any]:
    found = step.params["precision"]
    return found if isinstance(found, tuple) else [found]


def _is_float32(aval: Aval) -> bool:
    return bool(aval.dtype == jnp.float32)


class Magnitudes(NamedTuple):
    """The largest magnitudes of a clean map along one axis, and of what lies outside of boxes."""

    axis: int
    outside: list[Along]


def magnitudes(clean: Array, axis: int) -> Magnitudes:
    """Of a map with two axes at least."""
    largest = jnp.abs(clean).max(axis)
    return Magnitudes(axis, running(largest, range(largest.ndim), MAX))


def are_accurate(value: Value, known: Magnitudes, chunk: Array) -> Array:
    """Of which positions a clean output and the product of the change are accurate, (chunk,).

    Their error is a share of the largest number there was, also where a box hides it; so that must
    not be much larger than the largest number there is.
    """
    outside = _largest_outside(value, known, chunk)
    are_clear = everything(known.outside) <= _MOST_HIDDEN * outside

    def after_a_look() -> Array:
        assert value.box is not None
        hidden = _largest(cut_each(value.clean, value.box, chunk))
        largest = jnp.maximum(outside, _largest(value.contents))
        return hidden <= _MOST_HIDDEN * largest

    return lax.cond(are_clear.all(), lambda: are_clear, after_a_look)


def are_small(value: Value, change: Array, known: Magnitudes, chunk: Array) -> Array:
    """Of which positions changes can be rounded, (chunk,); else their error might be all there is.

    That a box hides the largest number is assumed, and of its contents a sample is read: to read
    all takes as long as the product of few channels.
    """
    assert value.box is not None
    most = [_SAMPLES] * len(value.box.sizes)
    most[known.axis] = _SAMPLED_CHANNELS
    every = [
        slice(None, None, max(1, -(-size // number)))
        for size, number in zip(value.box.sizes, most, strict=True)
    ]
    before = cut_each(value.clean, value.box, chunk)
    sample = before[:, *every] + change[:, *every]
    left = jnp.maximum(_largest_outside(value, known, chunk), _largest(sample))
    return everything(known.outside) <= _MOST_ROUNDED * left


def change_of(value: Value, chunk: Array) -> Array:
    """What the contents of the boxes are more than the clean map, (chunk, *box.sizes)."""
    assert value.box is not None
    change: Array = value.contents - cut_each(value.clean, value.box, chunk)
    return change


def _largest_outside(value: Value, known: Magnitudes, chunk: Array) -> Array:
    assert value.box is not None
    starts, sizes = np.delete(value.box.starts, known.axis, axis=1), list(value.box.sizes)
    del sizes[known.axis]
    nothing = jnp.zeros(len(chunk), known.outside[0].after.dtype)
    return with_outside(nothing, Box(starts, tuple(sizes)), known.outside, MAX, chunk)


def _largest(numbers: Array) -> Array:
    """The largest magnitude of each box, (chunk,).

    The last axis comes last and alone; XLA would join both, which takes some ten times as long.
    """
    lines = jnp.abs(numbers).max(tuple(range(1, numbers.ndim - 1)))
    return lax.optimization_barrier(lines).max(-1)


def rounded_increment(
    step: Step,
    windows: Windows,
    operands: Sequence[Value],
    clean: Array,
    box: Box,
    chunk: Array,
    multiply: Callable[..., Array],
    known: Magnitudes,
) -> Increment:
    """The clean output and `multiply(sizes, change, kernel)`, for the first operand's change.

    The kernel is the second operand, which is clean, in bfloat16.
    """
    value, kernel = operands
    change = rounded(change_of(value, chunk))

    def boxes() -> Array:
        nothing = jnp.zeros(jnp.shape(value.clean), change.dtype)
        changes = [Value(nothing, change, value.box), kernel]
        shape = step.output_avals[0].shape
        product = read_windows(windows, changes, box, shape, chunk, multiply)
        return cut_each(clean, box, chunk) + product

    return Increment(boxes, are_small(value, change, known, chunk))
