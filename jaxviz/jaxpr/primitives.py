"""Kinds of primitives that several walks through a tape treat alike, and what loops carry."""

from collections.abc import Mapping
from typing import Any

_ELEMENTWISE = (
    "abs acos acosh add and asin asinh atan atan2 atanh cbrt ceil clamp convert_element_type "
    "copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt "
    "integer_pow is_finite le lgamma log log1p logistic lt max min mul name ne neg nextafter "
    "not or population_count pow reduce_precision rem round rsqrt select_n shift_left "
    "shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient sub "
    "tan tanh xor"
)

# Of any arity: an output element reads its own place in each operand.
ELEMENTWISE = frozenset(_ELEMENTWISE.split())


def scan_counts(params: Mapping[str, Any]) -> tuple[int, int]:
    """How many operands of a `scan` are the same in every turn, and how many it carries on.

    >>> import jax
    >>> def total(x):
    ...     return jax.lax.scan(lambda carried, t: (carried + t + x, t), x, jax.numpy.ones(2))
    >>> loop = jax.make_jaxpr(total)(1.0)
    >>> scan_counts(loop.eqns[-1].params)
    (1, 1)
    """
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carried, _ = params["ft_in"].unpack()  # since jax 0.12
    return len(constants.vals), len(carried.vals)
