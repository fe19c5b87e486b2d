"""Functions rewritten by the table of overrides: equal to the original within round-off."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend import core

from ..jaxpr.primitives import scan_counts
from ..jaxpr.recording import record
from ..jaxpr.tape import Step, Tape, read_slot, run, run_steps, split
from . import policy
from .overrides import overrides


def rewritten(function: Callable[..., Any], *, seldom: bool = False) -> Callable[..., Any]:
    """`function` of arrays, with options by name, rewritten for the shapes that it is called with.

    seldom: whether it is called too seldom for what takes long to compile and saves little.

    >>> import jax.numpy as jnp
    >>> rewritten(lambda x, *, scale: scale * x)(jnp.ones(2), scale=3).tolist()
    [3.0, 3.0]
    """

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        leaves, tree = jax.tree.flatten(arguments)

        def flat(*leaves: Any) -> Any:
            return function(*jax.tree.unflatten(tree, leaves), **options)

        tape, constants, result, has_effects = record(flat, *leaves)
        if has_effects:
            return function(*arguments, **options)
        values = _run(tape, [*constants, *leaves], ready=False, seldom=seldom)
        return jax.tree.unflatten(result, values)

    return call


def _run(tape: Tape, arguments: Sequence[Any], *, ready: bool, seldom: bool = False) -> list[Any]:
    table = {**overrides(kernels_are_ready=ready, seldom=seldom), "scan": _scan}
    values = run(tape, arguments, table)
    return [read_slot(values, slot) for slot in tape.outputs]


def _scan(step: Step, operands: Sequence[Any]) -> list[Any]:
    """A loop whose body is rewritten; what depends on its constants alone is done before it."""
    given = step.params
    num_constants, num_carried = scan_counts(given)
    body = core.jaxpr_as_fun(given["jaxpr"])
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in given["jaxpr"].in_avals]
    tape, inner = _recorded(lambda *x: body(*x), shapes)
    constants = operands[:num_constants]
    slots = tape.inputs[len(inner) :]
    known = dict(zip(tape.inputs, [*inner, *constants], strict=False))
    first, rest, _ = split(tape, known)
    known = run_steps(first, known)

    def turn(carried: Any, item: Any) -> tuple[Any, Any]:
        values = known | dict(zip(slots[num_constants:], [*carried, *item], strict=True))
        values = run_steps(rest, values)
        outputs = [read_slot(values, slot) for slot in tape.outputs]
        return outputs[:num_carried], outputs[num_carried:]

    start = list(operands[num_constants : num_constants + num_carried])
    items = list(operands[num_constants + num_carried :])
    carried, made = lax.scan(
        turn, start, items, given["length"], reverse=given["reverse"], unroll=given["unroll"]
    )
    return [*carried, *made]


def _recorded(function: Callable[..., Any], leaves: Sequence[Any]) -> tuple[Tape, list[Any]]:
    """The tape of a function of arrays, returning arrays, as rewritten for kernels made ready."""
    tape, constants, *_ = record(function, *leaves)

    def call(*leaves: Any) -> list[Any]:
        return _run(tape, [*constants, *leaves], ready=True)

    found = record(call, *leaves)
    return found.tape, found.constants


class Prepared(NamedTuple):
    """`run(prepare(known), *arguments)` is the function of the arguments. Both can be compiled.

    `prepare` does what depends on the known argument alone.
    """

    prepare: Callable[[Any], list[Any]]
    run: Callable[..., Any]


def prepared(function: Callable[..., Any], *examples: Any, known: int) -> Prepared:
    """Rewrite `function` for arguments like the examples (arrays, or their shapes and types).

    known: the place of the argument that stays the same from call to call, the parameters. On
    other processors than CPUs there is nothing to prepare.

    >>> import jax.numpy as jnp
    >>> prepare, run = prepared(lambda scale, x: scale * x, 1.0, jnp.ones(2), known=0)
    >>> run(prepare(3.0), 3.0, jnp.ones(2)).tolist()
    [3.0, 3.0]
    """
    leaves, tree = jax.tree.flatten(examples)
    recording = record(lambda *x: function(*jax.tree.unflatten(tree, x)), *leaves)
    if not policy.on_cpu() or recording.has_effects:
        return Prepared(lambda argument: [], lambda ready, *arguments: function(*arguments))

    def call(*leaves: Any) -> list[Any]:
        return _run(recording.tape, [*recording.constants, *leaves], ready=True)

    tape, constants, *_ = record(call, *leaves)
    slots = jax.tree.unflatten(tree, tape.inputs[len(constants) :])
    inputs = [*tape.inputs[: len(constants)], *jax.tree.leaves(slots[known])]
    first, rest, made = split(tape, inputs)

    def prepare(argument: Any) -> list[Any]:
        values = zip(inputs, [*constants, *jax.tree.leaves(argument)], strict=True)
        found = run_steps(first, dict(values))
        return [found[slot] for slot in made]

    def run_rest(ready: list[Any], *arguments: Any) -> Any:
        values = dict(zip(tape.inputs, [*constants, *jax.tree.leaves(arguments)], strict=True))
        values = run_steps(rest, values | dict(zip(made, ready, strict=True)))
        outputs = [read_slot(values, slot) for slot in tape.outputs]
        return jax.tree.unflatten(recording.tree, outputs)

    return Prepared(prepare, run_rest)
