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
) -> tuple[list[Array], Array | None]:
    """The contents of the boxes that a step's outputs change in, for a chunk of positions.

    And, where changes are rounded, of which positions that is accurate, (chunk,).

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
        return map_positions(step.bind, parts), None
    rule, box = RULES[step.name], outlines[0]

    def by_reading() -> Array:
        fill, shape = rule.fill(step, operands), step.output_avals[0].shape
        evaluate = partial(rule.evaluate, step)
        return read_windows(windows, operands, box, shape, chunk, evaluate, fill)

    increment = rule.increment(step, operands, clean[0], box, chunk, prepared)
    if increment is None:
        return [by_reading()], None
    if step.rounded or increment.are_accurate is None:
        return [increment.boxes()], increment.are_accurate
    return [lax.cond(increment.are_accurate.all(), increment.boxes, by_reading)], None
