"""Elementwise primitives of any arity: an output element reads its own place in each operand."""

from ..jaxpr.primitives import ELEMENTWISE
from ..jaxpr.tape import Step
from .rules import RULES, Rule, Windows, bind_one
from .windows import Window


def _windows(step: Step) -> Windows:
    (output,) = step.output_avals
    return [
        [
            Window(axis) if aval.shape and aval.shape[axis] == extent else None
            for axis, extent in enumerate(output.shape)
        ]
        for aval in step.input_avals
    ]


RULES.update({name: Rule(_windows, bind_one) for name in ELEMENTWISE})
