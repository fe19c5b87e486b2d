"""The gradient of a score by images: what all functions of this room are made of."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._asked import CHUNK, Numbers, Problem, by_chunks
from ..._typing import Params
from ...backward import with_a_gradient, with_rule
from ...cpu.compilation import compiled, evaluate, inside_a_trace
from ...jaxpr.keys import is_differentiated_alike
from ...jaxpr.recording import record
from ...jaxpr.tape import Tape, read_slot, run


def differentiated(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function that takes gradients gives; refuse if JAX cannot take them."""
    with with_a_gradient():
        return evaluate(function, *arguments)


def gradients(
    asked: Problem, params: Params, images: Any, own: Any, size: int, rule: str | None
) -> tuple[Any, Any]:
    """Scores and their gradients, as `pulled` gives them, of so many images at a time.

    The network alone is recorded at each call; its gradient, which takes several times as long, is
    compiled once for each network of the same structure.
    """
    some = jax.ShapeDtypeStruct((size, *images.shape[1:]), images.dtype)
    tape, arrays = _recorded(asked, params, some)
    if tape is None:

        def of_all(params: Params, images: Any, own: Any) -> tuple[Any, Any]:
            def of_chunk(images: Any, own: Any) -> tuple[Any, Any]:
                return pulled(asked, params, images, own, rule)

            return by_chunks(of_chunk, (images, own), size)

        return differentiated(of_all, params, images, own)
    with with_a_gradient():
        return _of_tape(arrays, images, own, tape=tape, asks=asked.asks, size=size, rule=rule)


def _recorded(asked: Problem, params: Params, images: Any) -> tuple[Tape | None, list[Any]]:
    """The tape of the scores of images and what it reads beside them; no tape where none serves."""
    if inside_a_trace():
        return None, []
    found = record(asked.scored, params, images, keep=lambda body: True)
    if found.has_effects or not is_differentiated_alike(found.tape):
        return None, []
    return found.tape, [*found.constants, *jax.tree.leaves(params)]


def _gradients_of_tape(
    arrays: Sequence[Any],
    images: Any,
    own: Any,
    *,
    tape: Tape,
    asks: Numbers,
    size: int,
    rule: str | None,
) -> tuple[Any, Any]:
    def scored(images: Any) -> Any:
        return read_slot(run(tape, [*arrays, images]), tape.outputs[0])

    def of_chunk(images: Any, own: Any) -> tuple[Any, Any]:
        return _pulled(scored, asks, images, own, rule)

    return by_chunks(of_chunk, (images, own), size)


_of_tape = compiled(
    _gradients_of_tape, static_argnames=("tape", "asks", "size", "rule"), seldom=True
)


def pulled(
    asked: Problem, params: Params, images: Any, own: Any, rule: str | None = None
) -> tuple[Any, Any]:
    """Scores (batch, numbers) and their gradients (batch, height, width, channel, asked)."""
    return _pulled(lambda images: asked.scored(params, images), asked.asks, images, own, rule)


def _pulled(
    scored: Callable[[Any], Any], asks: Numbers, images: Any, own: Any, rule: str | None
) -> tuple[Any, Any]:
    scores, pull = jax.vjp(with_rule(scored, rule) if rule else scored, images)
    return scores, for_each_number(asks, scores, own, lambda seed: pull(seed)[0])


def for_each_number(asks: Numbers, scores: Any, own: Any, of_number: Callable[[Any], Any]) -> Any:
    """`of_number(cotangent of scores)` for each number that is asked for, on a last axis."""

    def of_seed(seed: Any) -> Any:
        # The derivative of a product, for which `shard_map` finds the axes that it varies over.
        return of_number(jax.grad(lambda scores: (scores * seed).sum())(scores))

    seeds = jnp.moveaxis(jax.vmap(asks.seeds)(own), 1, 0).astype(scores.dtype)
    together = max(1, CHUNK // len(scores))
    if len(seeds) == 1:
        found = jax.tree.map(lambda one: one[None], of_seed(seeds[0]))
    else:
        found = jax.lax.map(of_seed, seeds, batch_size=together)
    return jax.tree.map(lambda values: jnp.moveaxis(values, 0, -1), found)


def magnitude(values: Any) -> Any:
    """The largest magnitude of a pixel's channels: (batch, height, width, ...)."""
    return jnp.abs(values).max(axis=3)
