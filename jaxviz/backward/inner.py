"""The gradient at a layer inside of a function, which returns it beside what is differentiated."""

from collections.abc import Callable, Container
from typing import Any

import jax

from .._checks import InputError
from ..jaxpr.recording import record
from ..jaxpr.tape import Slot, Step, Tape, read_slot, run, run_steps

_MOVES = ("reshape", "transpose", "squeeze", "slice", "copy")


def inner_vjp(
    function: Callable[..., tuple[Any, Any]], *arguments: Any, name: str = "it"
) -> tuple[Any, Any, Callable[[Any], Any]]:
    """(layer, value, pull): `pull` takes a cotangent of the value to that of the layer.

    `function` returns (layer, value), two arrays. The layer may be a copy in another shape or order
    of what the value is made of. Raises `InputError`, with its name, if the value does not depend
    on it.

    >>> function = lambda x: ((y := x * 2), (y**2).sum())
    >>> layer, value, pull = inner_vjp(function, jax.numpy.array([3.0]))
    >>> layer.tolist(), float(value), pull(1.0).tolist()
    ([6.0], 36.0, [12.0])
    """
    recording = record(function, *arguments, keep=lambda body: True)
    tape = recording.tape
    layer, result = tape.outputs
    needed: set[Slot] = {result}
    for step in reversed(tape.steps):
        if needed.intersection(step.outputs):
            needed.update(step.inputs)
    moves = _moves(tape, layer, needed)
    source = moves[0].inputs[0] if moves else layer
    if source not in needed or not isinstance(source, int):
        raise InputError(f"layer: the score does not depend on {name!r}")
    values = run(tape, [*recording.constants, *jax.tree.leaves(arguments)])
    reached: set[Slot] = {source}
    rest = []
    for step in tape.steps:
        if reached.intersection(step.inputs) and needed.intersection(step.outputs):
            rest.append(step)
            reached.update(step.outputs)

    def result_of(inner: Any) -> Any:
        return read_slot(run_steps(rest, {**values, source: inner}), result)

    value, pull = jax.vjp(result_of, values[source])

    def moved(cotangent: Any) -> Any:
        (inner,) = pull(cotangent)
        for step in moves:
            (inner,) = step.bind(inner)
        return inner

    return read_slot(values, layer), value, moved


def _moves(tape: Tape, slot: Slot, needed: Container[Slot]) -> list[Step]:
    """The steps that move the numbers that the value needs to where the layer has them."""
    made: dict[Slot, Step] = {slot: step for step in tape.steps for slot in step.outputs}
    moves: list[Step] = []
    while slot not in needed and slot in made and made[slot].name in _MOVES:
        moves.insert(0, made[slot])
        slot = made[slot].inputs[0]
    return moves
