"""Elementwise primitives of any arity: an output element reads its own place in each operand."""

from ..jaxpr.tape import Step
from .rules import RULES, Rule, Windows, bind_one
from .windows import Window

_ELEMENTWISE = (
    "abs acos acosh add and asin asinh atan atan2 atanh cbrt ceil clamp convert_element_type "
    "copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt "
    "integer_pow is_finite le lgamma log log1p logistic lt max min mul name ne neg nextafter "
    "not or population_count pow reduce_precision rem round rsqrt select_n shift_left "
    "shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient sub tan "
    "tanh xor "
)


def _windows(step: Step) -> Windows:
    (output,) = step.output_avals
    return [
        [
            Window(axis) if aval.shape and aval.shape[axis] == extent else None
            for axis, extent in enumerate(output.shape)
        ]
        for aval in step.input_avals
    ]


RULES.update({name: Rule(_windows, bind_one) for name in _ELEMENTWISE.split()})
