"""`jax.jit` for the package's own outermost calls, rewritten for the CPU where one runs.

Compiler options are allowed on the outermost `jit` only. Whoever composes the package's functions
into a `jit` of their own can pass `policy.COMPILER_OPTIONS` themselves.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import get_opaque_trace_state

from ..jaxpr.recording import record
from ..jaxpr.tape import Tape, read_slot, run
from . import policy
from .kept import are_kept, traced_once
from .rewriting import rewritten


def inside_a_trace() -> bool:
    """Whether a transformation such as `jit`, `grad` or `vmap` traces what is called here.

    >>> inside_a_trace()
    False
    """
    return get_opaque_trace_state() != _outside_of_traces()


@functools.cache
def _outside_of_traces() -> Any:
    """The state of a thread that has just begun, in which nothing is traced."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(get_opaque_trace_state).result()


def compiled(
    function: Callable[..., Any],
    *,
    static_argnames: Iterable[str] = (),
    rewrite: bool = True,
    seldom: bool = False,
    lasting: bool = False,
    rounded: bool = False,
) -> Callable[..., Any]:
    """`jax.jit(function)`, whose static arguments are passed by name.

    Outside of any trace, on a CPU, it is rewritten and compiled with the options of the policy; in
    a trace it stays as it is, so that whoever traces it sees the plain function, which JAX traces
    once for each shape. rewrite: whether it is rewritten at all; that takes longer to compile.
    seldom: whether it is called seldom, so that less is rewritten. lasting: whether the static
    arguments say all that it does, so that other processes can use what was traced. rounded:
    whether its products are of bfloat16.
    """
    names = tuple(static_argnames)
    plain = jax.jit(function, static_argnames=names)

    @functools.cache
    def outermost() -> Callable[..., Any]:
        whole = function
        if rewrite and policy.on_cpu():
            whole = rewritten(function, seldom=seldom)
        if lasting and policy.on_cpu() and are_kept():
            whole = traced_once(whole)
        options = policy.compiler_options(rounded=rounded)
        return jax.jit(whole, static_argnames=names, compiler_options=options)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return (plain if inside_a_trace() else outermost())(*args, **kwargs)

    return call


def evaluate(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, compiled as `compiled` does it, but once for each structure.

    The function is recorded at each call, so arrays that it closes over are read anew every time.

    >>> float(evaluate(lambda x: x + 1, 2.0))
    3.0
    """
    return program(function, *arguments)(*arguments)


def program(function: Callable[..., Any], *examples: Any) -> Callable[..., Any]:
    """The function for arguments like the examples, recorded once, to be called again and again.

    It is compiled once for each structure, as by `evaluate`. In a trace it stays as it is.

    >>> add = program(lambda x: x + 1, 2.0)
    >>> float(add(2.0)), float(add(3.0))
    (3.0, 4.0)
    """
    if inside_a_trace():
        return lambda *arguments: function(*jax.tree.map(jnp.asarray, arguments))
    recording = record(function, *examples)
    if recording.has_effects:
        return compiled(function, seldom=True)

    def call(*arguments: Any) -> Any:
        leaves = [*recording.constants, *jax.tree.leaves(arguments)]
        return jax.tree.unflatten(recording.tree, _outputs(leaves, tape=recording.tape))

    return call


def _run_tape(leaves: Sequence[Any], *, tape: Tape) -> list[Any]:
    values = run(tape, leaves)
    return [read_slot(values, slot) for slot in tape.outputs]


_outputs = compiled(_run_tape, static_argnames=("tape",), seldom=True, lasting=True)
