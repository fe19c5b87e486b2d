"""The table of rules: what the walk knows about each primitive.

A rule says which part of each operand an output box reads (`windows`) and computes one position's
output box from these parts (`evaluate`). A primitive without a rule is evaluated whole.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jax import Array

from ..jaxpr.tape import Step
from .reading import Value
from .windows import Box, Reading

# For each operand: a window (or None: all of it) for each output axis. An operand that is None
# as a whole, such as a kernel, must be clean.
Windows = Sequence[Sequence[Reading | None] | None]


class Increment(NamedTuple):
    """The boxes of all positions, made of clean values and of a change.

    are_accurate: of which positions they are as accurate as whole passes, (chunk,).
    """

    boxes: Callable[[], Array]
    are_accurate: Array | None = None  # that is: of all


class Rule(NamedTuple):
    """How one primitive acts on boxes.

    windows: the windows of a step, or a line that says why the step must be evaluated whole.
    evaluate: (step, sizes of the output box, *parts of the operands) -> the output box, for one
        position; the parts reach over the map's edge where the step pads.
    fill: what the step reads outside of the map.
    prepare: (step, clean operands) -> what `increment` needs that is the same for all positions.
    increment: (step, operands, clean output, output box, chunk, what was prepared) -> the boxes
        without reading what did not change, or None where that would not pay.
    multiply_adds: (step, sizes of the output box, sizes of the first operand's box or None).
    scratch: numbers that the step holds meanwhile, besides its operands and its output.
    terms: how many numbers a product of the first operand and a kernel sums up for each of its
        places; 0 for steps that are none.
    """

    windows: Callable[[Step], Windows | str]
    evaluate: Callable[..., Any]
    fill: Callable[[Step, Sequence[Value]], Any] = lambda step, operands: 0
    prepare: Callable[[Step, Sequence[Any]], Any] = lambda step, operands: None
    increment: Callable[[Step, Sequence[Value], Any, Box, Array, Any], Increment | None] = (
        lambda step, operands, clean, box, chunk, prepared: None
    )
    multiply_adds: Callable[[Step, Sequence[int], Sequence[int] | None], int] = (
        lambda step, sizes, into: 0
    )
    scratch: Callable[[Step, Sequence[int]], int] = lambda step, sizes: 0
    terms: Callable[[Step], int] = lambda step: 0


RULES: dict[str, Rule] = {}


def bind_one(step: Step, sizes: Sequence[int], *parts: Any) -> Any:
    """Evaluation for steps whose parameters do not depend on the sizes of their operands."""
    return step.bind(*parts)[0]
