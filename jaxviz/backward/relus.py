"""Where a tape has ReLUs: steps that give max(x, 0), however that is written."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from ..jaxpr.tape import Constant, Slot, Step, Tape

WRITTEN_AS = ("max", "clamp", "select_n", "mul")
_REPEATS = (
    "broadcast_in_dim", "convert_element_type", "copy", "pcast", "pvary", "reshape", "squeeze",
    "transpose",
)  # fmt: skip
_MIRRORED = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}


def relus(tape: Tape, constants: Sequence[Any] = ()) -> dict[int, int]:
    """The ReLUs of a tape: {slot of the result: which operand is x}.

    constants: the values of the tape's first inputs, as far as they are known. Found are `max(x,
    0)`, `clamp(0, x, most)`, `where(x > 0, x, 0)`, also with `~(x > 0)` or `0 * x`, and `x * (x >
    0)`.

    >>> from ..jaxpr.recording import record
    >>> tape = record(lambda x: jax.nn.relu(x) + jax.numpy.where(x < 0, 0, x), np.ones(3)).tape
    >>> len(relus(tape))
    2
    """
    zeros = {
        slot
        for slot, value in zip(tape.inputs, constants, strict=False)
        if not isinstance(value, jax.core.Tracer) and not np.any(np.asarray(value))
    }
    made: dict[Slot, Step] = {}
    found = {}
    for step in tape.steps:
        made.update(dict.fromkeys(step.outputs, step))
        is_zero = [_is_zero(slot, zeros) for slot in step.inputs]
        if (step.name in _REPEATS and is_zero[0]) or (step.name == "mul" and any(is_zero)):
            zeros.add(step.outputs[0])
        place = _operand(step, zeros, made)
        if place is not None:
            found[step.outputs[0]] = place
    return found


def _is_zero(slot: Slot, zeros: Iterable[int]) -> bool:
    return not slot.value.any() if isinstance(slot, Constant) else slot in zeros


def _operand(step: Step, zeros: Iterable[int], made: dict[Slot, Step]) -> int | None:
    """Which operand of a step is the x of a ReLU; None if it is none."""
    inputs = step.inputs
    if step.name == "max":
        zero = [_is_zero(slot, zeros) for slot in inputs]
        return zero.index(False) if sum(zero) == 1 else None
    if step.name == "clamp":
        return 1 if _is_zero(inputs[0], zeros) else None
    if step.name == "select_n" and len(inputs) == 3:
        positive = _where_positive(inputs[0], zeros, made)
        if positive is None:
            return None
        x, is_true = positive
        place = 2 if is_true else 1
        return place if inputs[place] == x and _is_zero(inputs[3 - place], zeros) else None
    if step.name == "mul":
        for place in (0, 1):
            mask = made.get(inputs[1 - place])
            if mask is None or mask.name != "convert_element_type":
                continue
            if _where_positive(mask.inputs[0], zeros, made) == (inputs[place], True):
                return place
    return None


def _where_positive(
    slot: Slot, zeros: Iterable[int], made: dict[Slot, Step]
) -> tuple[Slot, bool] | None:
    """The x of a comparison with zero, and whether it is true where x is positive, or false."""
    step = made.get(slot)
    if step is not None and step.name == "not":
        inner = _where_positive(step.inputs[0], zeros, made)
        return inner and (inner[0], not inner[1])
    if step is None or step.name not in _MIRRORED:
        return None
    first, second = step.inputs
    if _is_zero(second, zeros):
        return first, step.name in ("gt", "ge")
    if _is_zero(first, zeros):
        return second, _MIRRORED[step.name] in ("gt", "ge")
    return None
