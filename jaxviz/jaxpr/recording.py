"""`record`: the tape of a JAX function.

It reads the function's jaxpr, writes the bodies of inner calls in line (`jit`, `checkpoint`, custom
derivatives), and drops every step that the outputs do not need.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import core

from .keys import Derivative, hashable
from .tape import Aval, Constant, Slot, Step, Tape

# The parameter that holds the body of each call primitive that is written in line.
_BODIES = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}
_CUSTOM = ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")

Keep = Callable[[core.ClosedJaxpr], bool]


def _nothing(body: core.ClosedJaxpr) -> bool:
    return False


class Recording(NamedTuple):
    """A tape whose inputs are `constants` (the arrays closed over) and then the arguments.

    tree: the structure of the outputs. has_effects: whether the function does more than return
    them, such as printing; the tape holds no such step.
    """

    tape: Tape
    constants: list[Any]
    tree: Any
    has_effects: bool


def record(fun: Callable[..., Any], *arguments: Any, keep: Keep = _nothing) -> Recording:
    """The tape of `fun`, a pure function of arrays (or of their shapes and types).

    keep: of which functions with custom derivatives, by their bodies, the call stays one step, so
    that it keeps these.

    >>> import jax.numpy as jnp
    >>> tape = record(lambda x: jax.nn.relu(x) + 1, jnp.ones(3)).tape
    >>> [step.name for step in tape.steps]
    ['max', 'add']
    """
    closed: Any
    closed, result = jax.make_jaxpr(fun, return_shape=True)(*arguments)
    return recorded(closed, keep)._replace(tree=jax.tree.structure(result))


def recorded(closed: core.ClosedJaxpr, keep: Keep = _nothing) -> Recording:
    """The same of a jaxpr, such as the body of a loop; the outputs are a list."""
    recorder = _Recorder(keep)
    slots = [recorder.new_slot(variable.aval) for variable in closed.jaxpr.invars]
    outputs = recorder.inline(closed.jaxpr, recorder.new_constants(closed), slots)
    live = {slot for slot in outputs if not isinstance(slot, Constant)}
    steps = []
    for step in reversed(recorder.steps):
        if live.intersection(step.outputs):
            steps.append(step)
            live.update(slot for slot in step.inputs if not isinstance(slot, Constant))
    used = {slot: value for slot, value in recorder.constants.items() if slot in live}
    tape = Tape((*used, *slots), tuple(outputs), tuple(reversed(steps)), tuple(recorder.avals))
    tree = jax.tree.structure([0] * len(outputs))
    return Recording(tape, list(used.values()), tree, bool(closed.effects))


class _Recorder:
    def __init__(self, keep: Keep) -> None:
        self.keep = keep
        self.avals: list[Aval] = []
        self.steps: list[Step] = []
        self.constants: dict[int, Any] = {}

    def new_slot(self, aval: Any) -> int:
        self.avals.append(Aval(tuple(aval.shape), aval.dtype))
        return len(self.avals) - 1

    def new_constants(self, jaxpr: Any) -> list[Slot]:
        slots: list[Slot] = []
        for variable, value in zip(jaxpr.jaxpr.constvars, jaxpr.consts, strict=True):
            slot = self.new_slot(variable.aval)
            self.constants[slot] = value
            slots.append(slot)
        return slots

    def inline(
        self,
        jaxpr: Any,
        constants: Iterable[Slot],
        inputs: Iterable[Slot],
        calls: tuple[Any, ...] = (),
    ) -> list[Slot]:
        environment: dict[Any, Slot] = dict(zip(jaxpr.constvars, constants, strict=True))
        environment.update(zip(jaxpr.invars, inputs, strict=True))

        def slot_of(atom: Any) -> Slot:
            literal = isinstance(atom, core.Literal)
            return Constant(atom.val, atom.aval) if literal else environment[atom]

        for equation in jaxpr.eqns:
            operands = tuple(slot_of(atom) for atom in equation.invars)
            within = (*calls, equation)
            body = equation.params.get(_BODIES.get(equation.primitive.name, ""))
            if equation.primitive.name in _CUSTOM and body is not None and self.keep(body):
                body = None
            results: Sequence[Slot]
            if equation.primitive.name == "split":
                body = _slices(**equation.params, operand=equation.invars[0].aval)
            alone = _only_part(equation)
            if alone is not None:
                results = operands[alone : alone + 1]
            elif body is None:
                results = self.append(jaxpr, equation, operands, calls)
            elif isinstance(body, core.ClosedJaxpr):
                results = self.inline(body.jaxpr, self.new_constants(body), operands, within)
            else:
                results = self.inline(body, (), operands, within)
            environment.update(zip(equation.outvars, results, strict=True))
        return [slot_of(atom) for atom in jaxpr.outvars]

    def key_of(self, equation: Any, alone: core.Jaxpr) -> tuple[Any, ...]:
        own, given = functools.partial(recorded, keep=self.keep), equation.params
        if equation.primitive.name in _CUSTOM:
            body = given[_BODIES[equation.primitive.name]]
            return (hashable(body, own), Derivative(alone, recorded))
        return tuple((name, hashable(value, own)) for name, value in sorted(given.items()))

    def append(
        self, jaxpr: Any, equation: Any, inputs: tuple[Slot, ...], calls: tuple[Any, ...]
    ) -> tuple[int, ...]:
        outputs = tuple(self.new_slot(variable.aval) for variable in equation.outvars)
        variables = dict.fromkeys(v for v in equation.invars if not isinstance(v, core.Literal))
        alone = jaxpr.replace(
            constvars=[], invars=[*variables], outvars=equation.outvars, eqns=[equation]
        )
        step = Step(
            name=equation.primitive.name,
            inputs=inputs,
            outputs=outputs,
            input_avals=tuple(
                slot.aval if isinstance(slot, Constant) else self.avals[slot] for slot in inputs
            ),
            output_avals=tuple(self.avals[slot] for slot in outputs),
            key=self.key_of(equation, alone),
            params=equation.params,
            jaxpr=alone,
            scopes=tuple(name for one in (*calls, equation) for name in _scopes(one)),
            calls=calls,
        )
        self.steps.append(step)
        return outputs


def _only_part(equation: Any) -> int | None:
    """Which part a `concatenate` is the same as, where all others are empty."""
    if equation.primitive.name != "concatenate":
        return None
    shape = equation.outvars[0].aval.shape
    same = [i for i, part in enumerate(equation.invars) if part.aval.shape == shape]
    return same[0] if len(same) == 1 or (same and 0 in shape) else None


def _scopes(equation: Any) -> tuple[str, ...]:
    """The names in an equation's name stack; transformations such as vmap are none."""
    stack = equation.source_info.name_stack.stack
    return tuple(entry.name for entry in stack if type(entry).__name__ == "Scope")


def _slices(*, axis: int, sizes: Sequence[Any], operand: Any) -> core.ClosedJaxpr:
    """`split` written as slices, so that one rule serves both."""
    limits = np.cumsum(sizes)

    def pieces(x: jax.Array) -> list[jax.Array]:
        return [
            jax.lax.slice_in_dim(x, int(limit - size), int(limit), axis=axis)
            for limit, size in zip(limits, sizes, strict=True)
        ]

    return jax.make_jaxpr(pieces)(jax.ShapeDtypeStruct(operand.shape, operand.dtype))
