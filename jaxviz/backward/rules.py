"""Backward rules for ReLUs, and `with_rule`, which gives them to any function.

A rule is (mask, gradient) -> gradient: `mask` says where the ReLU lets its input through, and
`gradient` is that of its output. The values of the function stay what they are.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from .._checks import InputError, choice
from ..jaxpr.primitives import scan_counts
from ..jaxpr.recording import Recording, record, recorded
from ..jaxpr.tape import Step, read_slot, run
from .relus import WRITTEN_AS, relus

Rule = Callable[[Any, Any], Any]


def _guided(mask: Any, gradient: Any) -> Any:
    """Springenberg et al. 2015, section 3.4: where both the input and the gradient are positive."""
    return jnp.where(mask, jnp.maximum(gradient, 0), 0)


def _deconvolution(mask: Any, gradient: Any) -> Any:
    """Zeiler & Fergus 2014, section 2.1: a ReLU of the gradient, whatever its input was."""
    return jnp.maximum(gradient, 0)


def _opened(mask: Any, gradient: Any) -> Any:
    """Where an image gets no gradient through the whole layer, let through what would raise it.

    The first axis is the images. A step that would push a closed unit lower still stays out.
    """
    through = jnp.where(mask, gradient, 0)
    axes = tuple(range(1, gradient.ndim))
    is_dead = ~jnp.any(through != 0, axis=axes, keepdims=True)
    return jnp.where(is_dead & (gradient > 0), gradient, through)


RULES: dict[str, Rule] = {
    "guided": _guided, "deconvolution": _deconvolution, "opened": _opened
}  # fmt: skip


def with_rule(
    function: Callable[..., Any], rule: str, *, required: bool = True
) -> Callable[..., Any]:
    """The same function, whose gradient goes through its ReLUs by another rule.

    It is a function of arrays in any JAX code. ReLUs are found in its jaxpr, those inside of loops
    and branches too; other functions with derivatives of their own keep these. Called, it raises
    `InputError` if there is none, unless none is `required`.

    >>> function = lambda x: (jax.nn.relu(x) * jnp.array([1.0, -1.0, 1.0])).sum()
    >>> x = jnp.array([1.0, 1.0, -1.0])
    >>> jax.grad(function)(x).tolist(), jax.grad(with_rule(function, "guided"))(x).tolist()
    ([1.0, -1.0, 0.0], [1.0, 0.0, 0.0])
    >>> jax.grad(with_rule(function, "deconvolution"))(x).tolist()
    [1.0, 0.0, 1.0]
    """
    gate = _gate(RULES[choice(rule, "rule", tuple(RULES))])

    def rewired(*arguments: Any) -> Any:
        recording = record(function, *arguments, keep=lambda body: not _has_relus(_recorded(body)))
        if required and not _has_relus(recording):
            raise InputError(
                "score: what it depends on has no ReLU, without which this is the gradient"
            )
        leaves = jax.tree.leaves(arguments)
        return jax.tree.unflatten(recording.tree, _outputs(recording, leaves, gate))

    return rewired


def _recorded(body: Any) -> Recording:
    closed = body if isinstance(body, core.ClosedJaxpr) else core.ClosedJaxpr(body, ())
    return recorded(closed)


def _bodies(step: Step) -> list[Any]:
    """The functions that a loop or a branch consists of."""
    if step.name == "scan":
        return [step.params["jaxpr"]]
    return list(step.params["branches"]) if step.name == "cond" else []


def _has_relus(recording: Recording) -> bool:
    if relus(recording.tape, recording.constants):
        return True
    bodies = [body for step in recording.tape.steps for body in _bodies(step)]
    return any(_has_relus(_recorded(body)) for body in bodies)


def _outputs(recording: Recording, leaves: Sequence[Any], gate: Callable[..., Any]) -> list[Any]:
    tape = recording.tape
    found = relus(tape, recording.constants)

    def gated(step: Step, operands: Sequence[Any]) -> list[Any] | None:
        place = found.get(step.outputs[0])
        if place is None:
            return None
        (y,) = step.bind(*operands)
        x = jnp.broadcast_to(operands[place], y.shape)
        return [gate(x, y, (x > 0) & (x == y))]

    def of_body(body: Any) -> Callable[..., list[Any]]:
        return lambda *operands: _outputs(_recorded(body), operands, gate)

    def scanned(step: Step, operands: Sequence[Any]) -> list[Any]:
        given = step.params
        constants, carried = scan_counts(given)
        body = of_body(given["jaxpr"])

        def advance(carry: Any, x: Any) -> tuple[Any, Any]:
            results = body(*operands[:constants], *carry, *x)
            return results[:carried], results[carried:]

        start, pieces = operands[constants : constants + carried], operands[constants + carried :]
        end, stacked = jax.lax.scan(
            advance, list(start), list(pieces), given["length"], given["reverse"], given["unroll"]
        )
        return [*end, *stacked]

    def branched(step: Step, operands: Sequence[Any]) -> list[Any]:
        index, *rest = operands
        return list(jax.lax.switch(index, [*map(of_body, step.params["branches"])], *rest))

    meanings = {"scan": scanned, "cond": branched, **dict.fromkeys(WRITTEN_AS, gated)}
    values = run(tape, [*recording.constants, *leaves], meanings)
    return [read_slot(values, slot) for slot in tape.outputs]


def _gate(rule: Rule) -> Callable[..., Any]:
    """(x, y, mask) -> y, whose gradient goes to x by a rule, and to y not at all."""

    @jax.custom_vjp
    def gate(x: Any, y: Any, mask: Any) -> Any:
        return y

    def forward(x: Any, y: Any, mask: Any) -> tuple[Any, Any]:
        return y, mask

    def backward(mask: Any, gradient: Any) -> tuple[Any, Any, None]:
        return rule(mask, gradient), jnp.zeros_like(gradient), None

    gate.defvjp(forward, backward)
    return gate
