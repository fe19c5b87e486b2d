"""The gradient of a score by images: what all functions of this room are made of."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._asked import CHUNK, Numbers, Problem, by_chunks
from ..._typing import Params
from ...backward import with_a_gradient, with_rule
from ...cpu.compilation import compiled, evaluate, inside_a_trace
from ...jaxpr.keys import is_differentiated_alike
from ...jaxpr.recording import Recording, record
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

    def of_all(params: Params, images: Any, own: Any) -> tuple[Any, Any]:
        scored = functools.partial(asked.scored, params)
        return _by_chunks(scored, asked.asks, images, own, size, rule)

    some = jax.ShapeDtypeStruct((size, *images.shape[1:]), images.dtype)
    recording = _recorded(asked, params, some)
    if recording is None:
        return differentiated(of_all, params, images, own)
    arrays = [*recording.constants, *jax.tree.leaves(params)]
    with with_a_gradient():
        return _of_tape(
            arrays, images, own, tape=recording.tape, asks=asked.asks, size=size, rule=rule
        )


def _recorded(asked: Problem, params: Params, images: Any) -> Recording | None:
    """The scores of images with all derivatives of their own; None where that cannot be a key."""
    if inside_a_trace():
        return None
    found = record(asked.scored, params, images, keep=lambda body: True)
    return None if found.has_effects or not is_differentiated_alike(found.tape) else found


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

    return _by_chunks(scored, asks, images, own, size, rule)


_of_tape = compiled(
    _gradients_of_tape,
    static_argnames=("tape", "asks", "size", "rule"),
    seldom=True,
    lasting=True,
)


def _by_chunks(
    scored: Callable[[Any], Any], asks: Numbers, images: Any, own: Any, size: int, rule: str | None
) -> tuple[Any, Any]:
    return by_chunks(lambda some, own: pulled(scored, asks, some, own, rule), (images, own), size)


def pulled(
    scored: Callable[[Any], Any], asks: Numbers, images: Any, own: Any, rule: str | None = None
) -> tuple[Any, Any]:
    """Scores (batch, numbers) and their gradients (batch, height, width, channel, asked)."""
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
