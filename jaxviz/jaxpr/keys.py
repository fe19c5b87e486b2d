"""What the parameters of a step are compared by, so that equal functions give equal tapes."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from .tape import Constant, Tape

Recorded = Callable[[core.ClosedJaxpr], Any]  # `recording.recorded`, which needs this room


def hashable(value: Any, recorded: Recorded) -> Any:
    """A key that is equal for equal parameters; the bodies of loops are compared step by step."""
    if isinstance(value, core.Jaxpr) and not value.constvars:
        value = core.ClosedJaxpr(value, ())
    if isinstance(value, core.ClosedJaxpr):
        recording = recorded(value)
        return (recording.tape, *map(_constant, recording.constants))
    if isinstance(value, tuple | list):
        return tuple(hashable(one, recorded) for one in value)
    try:
        hash(value)
    except TypeError:
        return _ByIdentity(value)
    return (type(value).__name__, value)


class _ByIdentity:
    """Stands for a parameter that equals nothing but itself."""

    def __init__(self, value: Any):
        self.value = value


def stands_for_itself(key: Any) -> bool:
    """Whether a key is equal to itself alone."""
    return isinstance(key, _ByIdentity)


def _constant(value: Any) -> Any:
    is_tracer = isinstance(value, jax.core.Tracer)
    return _ByIdentity(value) if is_tracer else Constant(value, jax.typeof(value))


class Derivative:
    """Stands for the derivative that a function brings: equal where it takes the same steps.

    alone: the jaxpr of the function's call alone.
    """

    def __init__(self, alone: core.Jaxpr, recorded: Recorded):
        self.jaxpr, self.recorded = core.ClosedJaxpr(alone, []), recorded

    @functools.cached_property
    def steps(self) -> Any:
        """What it does for all numbers at once, or None where JAX cannot say so."""
        (equation,) = self.jaxpr.eqns
        given = equation.params
        if given.get("symbolic_zeros"):  # then it may ask which numbers have a gradient
            return None
        try:
            if equation.primitive.name == "custom_jvp_call":
                has_none = [False] * len(equation.invars)
                jaxpr, constants, _ = given["jvp_jaxpr_fun"].call_wrapped(*has_none)
                found = core.ClosedJaxpr(jaxpr, constants)
            else:
                found = self._pulled_back()
        except Exception:  # whatever the derivative raises, where it may not be asked for at all
            return None
        return hashable(found, self.recorded)

    def _pulled_back(self) -> core.ClosedJaxpr:
        inputs, outputs = (
            [jax.ShapeDtypeStruct(one.shape, one.dtype) for one in avals]
            for avals in (self.jaxpr.in_avals, self.jaxpr.out_avals)
        )
        real = [i for i, one in enumerate(inputs) if jnp.issubdtype(one.dtype, jnp.inexact)]

        def pulled_back(inputs: list[Any], cotangents: list[Any]) -> Any:
            def function(*numbers: Any) -> list[Any]:
                given = dict(enumerate(inputs)) | dict(zip(real, numbers, strict=True))
                return core.jaxpr_as_fun(self.jaxpr)(*given.values())

            return jax.vjp(function, *(inputs[i] for i in real))[1](cotangents)

        return jax.make_jaxpr(pulled_back)(inputs, outputs)

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, Derivative):
            return self is other
        return self.steps is not None and bool(self.steps == other.steps)

    def __hash__(self) -> int:
        return hash(self.steps)


def is_differentiated_alike(key: Any) -> bool:
    """Whether tapes equal to this one, or to those in their keys, have the same derivatives.

    The tape must have been recorded with all derivatives that functions bring.
    """
    if isinstance(key, Derivative):
        return key.steps is not None
    if isinstance(key, Tape):
        key = tuple(step.key for step in key.steps)
    return not isinstance(key, tuple) or all(map(is_differentiated_alike, key))
