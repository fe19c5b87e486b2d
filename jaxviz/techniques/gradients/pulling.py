"""The gradient of a score by images: what all functions of this room are made of."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._asked import CHUNK, Problem
from ..._typing import Params
from ...backward import with_a_gradient, with_rule
from ...cpu.compilation import evaluate


def differentiated(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function that takes gradients gives; refuse if JAX cannot take them."""
    with with_a_gradient():
        return evaluate(function, *arguments)


def pulled(
    asked: Problem, params: Params, images: Any, own: Any, rule: str | None = None
) -> tuple[Any, Any]:
    """Scores (batch, numbers) and their gradients (batch, height, width, channel, asked)."""

    def scored(images: Any) -> Any:
        return asked.scored(params, images)

    scores, pull = jax.vjp(with_rule(scored, rule) if rule else scored, images)
    return scores, for_each_number(asked, scores, own, lambda seed: pull(seed)[0])


def for_each_number(asked: Problem, scores: Any, own: Any, of_number: Callable[[Any], Any]) -> Any:
    """`of_number(cotangent of scores)` for each number that is asked for, on a last axis."""

    def of_seed(seed: Any) -> Any:
        # The derivative of a product, for which `shard_map` finds the axes that it varies over.
        return of_number(jax.grad(lambda scores: (scores * seed).sum())(scores))

    seeds = jnp.moveaxis(jax.vmap(asked.seeds)(own), 1, 0).astype(scores.dtype)
    together = max(1, CHUNK // len(scores))
    if len(seeds) == 1:
        found = jax.tree.map(lambda one: one[None], of_seed(seeds[0]))
    else:
        found = jax.lax.map(of_seed, seeds, batch_size=together)
    return jax.tree.map(lambda values: jnp.moveaxis(values, 0, -1), found)


def magnitude(values: Any) -> Any:
    """The largest magnitude of a pixel's channels: (batch, height, width, ...)."""
    return jnp.abs(values).max(axis=3)
