"""`jax.jit` for our own outermost calls, with the compiler options that measure faster.

On the CPU, jaxlib sends convolutions to a library that is slower than the older path
(benchmarks/PERFORMANCE.md says by how much); one compiler option turns it off. Options are allowed
on the outermost `jit` only, and other versions of jaxlib may not know this one, so it is set where
it is understood and nowhere else. Whoever composes our functions into a `jit` of their own can pass
`COMPILER_OPTIONS` themselves.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax

COMPILER_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}


@functools.cache
def compiler_options() -> dict[str, str] | None:
    """Return the options for the default backend, or None where they are not understood."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options=COMPILER_OPTIONS)()
    except Exception:  # an unknown option raises a runtime error that has no class of its own
        return None
    return COMPILER_OPTIONS


def inside_a_trace() -> bool:
    """Say whether whatever is computed now becomes part of a traced function."""
    return isinstance(jax.lax.full((), 0), jax.core.Tracer)


def compiled(
    function: Callable[..., Any], *, static_argnames: Iterable[str] = ()
) -> Callable[..., Any]:
    """Return `jax.jit(function)`, with the compiler options unless it is already being traced."""
    names = tuple(static_argnames)
    plain = jax.jit(function, static_argnames=names)

    @functools.cache
    def outermost() -> Callable[..., Any]:
        return jax.jit(function, static_argnames=names, compiler_options=compiler_options())

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if inside_a_trace():
            return plain(*args, **kwargs)
        try:
            return outermost()(*args, **kwargs)
        except ValueError as error:  # under `jax.grad`, which no argument need show
            if "compiler_options" not in str(error):
                raise
            return plain(*args, **kwargs)

    return call
