"""Evaluate one step of a tape for many positions: by its rule, or whole where it has none."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from jax import Array, lax

from ..jaxpr.tape import Step
from .reading import Value, map_positions, read, read_windows
from .rules import RULES
from .windows import Box, whole


def evaluate_step(
    step: Step,
    windows: Any,
    operands: Sequence[Value],
    clean: Sequence[Any],
    outlines: Sequence[Box],
    chunk: Array,
    prepared: Any,
) -> list[Array]:
    """The contents of the boxes that a step's outputs change in, for a chunk of positions.

    windows: what of each operand the boxes read, or a text where the step is evaluated whole.
    operands: their values; clean: those of the outputs; outlines: the boxes of these.
    prepared: what the rule made of clean operands once for all positions.
    """
    count = len(outlines[0].starts)
    if isinstance(windows, str):
        parts = [
            (operand.clean, False)
            if operand.box is None
            else read(operand, whole(operand.clean.shape, count), chunk)
            for operand in operands
        ]
        results: list[Array] = map_positions(step.bind, parts)
        return results
    rule, box = RULES[step.name], outlines[0]

    def by_reading() -> Array:
        fill, shape = rule.fill(step, operands), step.output_avals[0].shape
        evaluate = partial(rule.evaluate, step)
        return read_windows(windows, operands, box, shape, chunk, evaluate, fill)

    increment = rule.increment(step, operands, clean[0], box, chunk, prepared)
    if increment is None:
        return [by_reading()]
    if increment.is_accurate is None:
        return [increment.boxes()]
    return [lax.cond(increment.is_accurate, increment.boxes, by_reading)]
