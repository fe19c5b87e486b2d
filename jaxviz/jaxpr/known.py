"""Steps whose other operand is known ahead: what each number of their result reads.

A resized map is its rows and columns multiplied by a matrix, or picked by indices, that do not
depend on the network's weights. Most of such a matrix is zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from .recording import Recording
from .tape import Constant, Reads, Slot, Step, Tape, read_slot, run

_MOST_NUMBERS = 1 << 20  # of a known operand
_WORTH = 0.9  # the most that is read, as a share of everything, for it to be worth knowing


def with_reads(recording: Recording) -> Recording:
    """The same with `reads` on the steps of whose operands one is known."""
    tape, constants = recording.tape, recording.constants
    depends = set(tape.inputs[len(constants) :])
    for step in tape.steps:
        if depends.intersection(slot for slot in step.inputs if isinstance(slot, int)):
            depends.update(step.outputs)
    others = [_other_operand(step, depends) for step in tape.steps]
    wanted = [slot for slot in dict.fromkeys(others) if slot is not None]
    if not wanted:
        return recording
    values = _values(tape, dict(zip(tape.inputs, constants, strict=False)), wanted)
    steps = tuple(
        replace(step, reads=_reads(step, slot, values[slot]))
        if slot is not None and slot in values
        else step
        for step, slot in zip(tape.steps, others, strict=True)
    )
    return recording._replace(tape=replace(tape, steps=steps))


def _other_operand(step: Step, depends: set[int]) -> Slot | None:
    """The operand of a product or of picking that does not depend on what varies."""
    if step.name == "gather":
        operands = step.inputs[1:2] if step.inputs[0] in depends else ()
    elif step.name == "dot_general":
        operands = step.inputs if depends.intersection(step.inputs) else ()
    else:
        return None
    others = [slot for slot in operands if slot not in depends]
    return others[0] if others else None


def _values(tape: Tape, constants: Mapping[int, Any], wanted: Sequence[Slot]) -> dict[Slot, Any]:
    """Those of the wanted slots that are known and small.

    They are arrays closed over, or made of nothing but literals and whole numbers closed over.
    """
    concrete = {
        slot: value
        for slot, value in constants.items()
        if not isinstance(value, jax.core.Tracer) and np.size(value) <= _MOST_NUMBERS
    }
    values: dict[Slot, Any] = {
        slot: np.asarray(concrete[slot])
        for slot in wanted
        if isinstance(slot, int) and slot in concrete
    }
    values |= {slot: slot.value for slot in wanted if isinstance(slot, Constant)}
    given = {
        slot: value
        for slot, value in concrete.items()
        if np.issubdtype(tape.avals[slot].dtype, np.integer)
    }
    known, steps = set(given), []
    for step in tape.steps:
        small = all(np.prod(aval.shape, dtype=int) <= _MOST_NUMBERS for aval in step.output_avals)
        if small and all(isinstance(slot, Constant) or slot in known for slot in step.inputs):
            known.update(step.outputs)
            steps.append(step)
    rest = [slot for slot in wanted if slot in known and slot not in values]
    if rest:
        live, needed = set(rest), []
        for step in reversed(steps):
            if live.intersection(step.outputs):
                needed.append(step)
                live.update(slot for slot in step.inputs if isinstance(slot, int))
        inputs = [slot for slot in given if slot in live]
        part = Tape(tuple(inputs), tuple(rest), tuple(reversed(needed)), tape.avals)
        arrays = [Constant(given[slot], tape.avals[slot]) for slot in inputs]
        values |= zip(rest, _evaluated(part, tuple(arrays)), strict=True)
    return values


@lru_cache(maxsize=64)
def _evaluated(tape: Tape, arguments: tuple[Constant, ...]) -> list[np.ndarray]:
    with jax.ensure_compile_time_eval():

        def outputs(*arrays: Any) -> list[Any]:
            values = run(tape, arrays)
            return [read_slot(values, slot) for slot in tape.outputs]

        return [np.asarray(one) for one in jax.jit(outputs)(*(one.value for one in arguments))]


def _reads(step: Step, slot: Slot, known: np.ndarray) -> Reads | None:
    if step.name == "gather":
        found = _picked(step, known)
    else:
        found = _multiplied(step, 1 - step.inputs.index(slot), known)
    if found is None:
        return None
    extent = step.input_avals[found.operand].shape[found.axis]
    read = sum(high - low for low, high in zip(found.low, found.high, strict=True))
    return found if read <= _WORTH * extent * len(found.low) else None


def _picked(step: Step, indices: np.ndarray) -> Reads | None:
    """Whole slices, by one index each along one axis."""
    numbers, (operand, *_) = step.params["dimension_numbers"], step.input_avals
    axes = numbers.start_index_map
    if indices.ndim != 2 or len(axes) != 1 or numbers.collapsed_slice_dims != axes:
        return None
    sizes = [1 if axis == axes[0] else size for axis, size in enumerate(operand.shape)]
    if numbers.operand_batching_dims or list(step.params["slice_sizes"]) != sizes:
        return None
    rank = len(step.output_avals[0].shape)
    (out,) = set(range(rank)) - set(numbers.offset_dims)
    at = np.clip(indices[:, 0], 0, operand.shape[axes[0]] - 1).tolist()
    return Reads(0, axes[0], out, tuple(at), tuple(one + 1 for one in at))


def _multiplied(step: Step, operand: int, matrix: np.ndarray) -> Reads | None:
    """A matrix that one axis of the operand is multiplied by."""
    sums, batch = step.params["dimension_numbers"]
    if matrix.ndim != 2 or not matrix.size or batch[0] or len(sums[0]) != 1:
        return None
    out = 0 if operand else len(step.output_avals[0].shape) - 1
    weights = np.moveaxis(matrix, sums[1 - operand][0], 1) != 0
    some = weights.any(axis=1)
    low = np.where(some, weights.argmax(axis=1), 0)
    high = np.where(some, weights.shape[1] - weights[:, ::-1].argmax(axis=1), 0)
    return Reads(operand, sums[operand][0], out, tuple(low.tolist()), tuple(high.tolist()))
