"""Products of what changes alone: as bfloat16, where the caller allows it and the processor gains.

A product is linear, so its output is the clean output and the product of the change. Rounding then
costs a share of the change (2^-9 of each number, less in a sum), not a share of all there is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from ..cpu import policy
from ..cpu.rounding import rounded
from ..jaxpr.tape import Aval, Step, Tape
from .reading import Value, cut_each, read_windows
from .rules import RULES, Windows
from .windows import Box


def allowing_bfloat16(tape: Tape) -> Tape:
    """The same with `rounded` on the steps whose changes are multiplied as bfloat16."""
    return replace(
        tape, steps=tuple(replace(step, rounded=_is_rounded(step)) for step in tape.steps)
    )


def _is_rounded(step: Step) -> bool:
    rule = RULES.get(step.name)
    if rule is None or not all(
        _is_float32(aval) for aval in (*step.input_avals, *step.output_avals)
    ):
        return False
    terms = rule.terms(step)
    return terms > 0 and policy.bfloat16_pays(terms, math.prod(step.input_avals[1].shape))


def _is_float32(aval: Aval) -> bool:
    return bool(aval.dtype == jnp.float32)


def with_product(
    step: Step,
    windows: Windows,
    operands: Sequence[Value],
    clean: Array,
    box: Box,
    chunk: Array,
    multiply: Callable[..., Array],
) -> Array:
    """The clean output and `multiply(sizes, change, kernel)`, for the first operand's change.

    The kernel is the second operand, which is clean, in bfloat16.
    """
    value, kernel = operands
    assert value.box is not None
    change = rounded(value.contents - cut_each(value.clean, value.box, chunk))
    nothing = jnp.zeros(jnp.shape(value.clean), change.dtype)
    changes = [Value(nothing, change, value.box), kernel]
    shape = step.output_avals[0].shape
    return cut_each(clean, box, chunk) + read_windows(windows, changes, box, shape, chunk, multiply)
