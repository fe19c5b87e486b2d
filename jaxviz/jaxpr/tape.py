"""The list of primitive steps that a JAX function consists of, and the interpreter that runs it.

A tape holds no arrays: two functions of the same structure give equal tapes, so a tape can key a
compilation cache. `recording.record` makes one.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jax.extend import core


class Aval(NamedTuple):
    """Shape and type of one value."""

    shape: tuple[int, ...]
    dtype: Any


class Constant:
    """A literal of the jaxpr, compared by its bits (so that 0.0, -0.0 and 0 differ)."""

    def __init__(self, value: Any, aval: Any):
        self.value = np.asarray(value, aval.dtype)
        self.aval = Aval(self.value.shape, aval.dtype)
        self._key = (str(aval.dtype), self.value.shape, self.value.tobytes())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self._key == other._key


Slot = int | Constant


class Reads(NamedTuple):
    """Index i of axis `out` of the result reads indices [low[i], high[i]) of an operand's axis.

    operand: its number. axis: of it, of which nothing else is read.
    """

    operand: int
    axis: int
    out: int
    low: tuple[int, ...]
    high: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One primitive applied to the values in `inputs`, written to the slots `outputs`.

    scopes: the names that JAX's name stack gave it, the outermost first.
    calls: the equations of the inner calls that it was in, the outermost first.
    reads: what its numbers read along one axis, where an operand that is known says so.
    rounded: whether changes of its first operand may be multiplied as bfloat16.
    """

    name: str
    inputs: tuple[Slot, ...]
    outputs: tuple[int, ...]
    input_avals: tuple[Aval, ...]
    output_avals: tuple[Aval, ...]
    key: tuple[Any, ...]
    params: Mapping[str, Any] = field(compare=False, repr=False)
    jaxpr: core.Jaxpr = field(compare=False, repr=False)
    scopes: tuple[str, ...] = field(default=(), compare=False, repr=False)
    calls: tuple[Any, ...] = field(default=(), compare=False, repr=False)
    reads: Reads | None = None
    rounded: bool = False

    @property
    def place(self) -> str:
        """The operation and the line that called it, outside of JAX and its neural networks."""
        for equation in (*self.jaxpr.eqns, *reversed(self.calls)):
            traceback = equation.source_info.traceback
            for frame in traceback.frames if traceback else ():
                path = PurePath(frame.file_name)
                if not {"jax", "flax", "equinox", "jaxviz"} & set(path.parts[:-1]):
                    return f"{self.name} at {path.name}:{frame.line_num}"
        return self.name

    def bind(self, *operands: Any) -> list[Any]:
        """The step applied to arrays, whose sizes may differ from the recorded ones."""
        (equation,) = self.jaxpr.eqns
        values = {
            variable: value
            for variable, value in zip(equation.invars, operands, strict=True)
            if not isinstance(variable, core.Literal)
        }
        fun = core.jaxpr_as_fun(core.ClosedJaxpr(self.jaxpr, []))
        return list(fun(*(values[variable] for variable in self.jaxpr.invars)))


@dataclass(frozen=True)
class Tape:
    """Steps in order; slots `inputs` are filled by the caller, `outputs` are the result."""

    inputs: tuple[int, ...]
    outputs: tuple[Slot, ...]
    steps: tuple[Step, ...]
    avals: tuple[Aval, ...]

    @property
    def is_rounded(self) -> bool:
        """Whether any step is."""
        return any(step.rounded for step in self.steps)

    def aval(self, slot: Slot) -> Aval:
        return slot.aval if isinstance(slot, Constant) else self.avals[slot]


def read_slot(values: Mapping[int, Any], slot: Slot) -> Any:
    return slot.value if isinstance(slot, Constant) else values[slot]


# What a step means: (step, operands) -> its outputs, or None where the step keeps its own meaning.
Meaning = Callable[[Step, Sequence[Any]], Sequence[Any] | None]


def run(
    tape: Tape, arguments: Sequence[Any], overrides: Mapping[str, Meaning] = MappingProxyType({})
) -> dict[int, Any]:
    """The value of every slot, from the values of the tape's inputs.

    overrides: other meanings, by the name of the primitive.
    """

    def evaluate(step: Step, operands: Sequence[Any]) -> Sequence[Any]:
        override = overrides.get(step.name)
        results = override(step, operands) if override else None
        return step.bind(*operands) if results is None else results

    return run_steps(tape.steps, dict(zip(tape.inputs, arguments, strict=True)), evaluate)


def run_steps(
    steps: Iterable[Step],
    values: Mapping[int, Any],
    evaluate: Callable[[Step, Sequence[Any]], Sequence[Any]] = lambda step, x: step.bind(*x),
) -> dict[int, Any]:
    """`values`, by slot, and the outputs of the steps, each as `evaluate` makes them."""
    known = dict(values)
    for step in steps:
        results = evaluate(step, [read_slot(known, slot) for slot in step.inputs])
        known.update(zip(step.outputs, results, strict=True))
    return known


def split(tape: Tape, known: Iterable[int]) -> tuple[list[Step], list[Step], list[int]]:
    """The steps that depend on the slots `known` alone, the others, and what these read of those.

    Steps that only repeat their operand stay with the others, where they cost no memory.
    """
    given = set(known)
    first, rest = [], []
    for step in tape.steps:
        depends = any(isinstance(slot, int) and slot not in given for slot in step.inputs)
        if depends or step.name in ("broadcast_in_dim", "iota"):
            rest.append(step)
        else:
            first.append(step)
            given.update(step.outputs)
    read = {slot for step in rest for slot in step.inputs} | set(tape.outputs)
    return first, rest, [slot for step in first for slot in step.outputs if slot in read]


def value_sizes(tape: Tape) -> list[int]:
    """Bytes of every value that depends on the last input, the images."""
    _, of_images, _ = split(tape, tape.inputs[:-1])
    avals = [aval for step in of_images for aval in step.output_avals]
    return [math.prod(aval.shape) * aval.dtype.itemsize for aval in avals]
