"""All devices of this process: the only room that knows how work is spread over them.

Every value here has a leading axis, one entry a device. The same program runs on each device on
batches of the same shape, so who evaluates a batch changes no bit of its result.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._checks import count
from .cpu import policy
from .cpu.compilation import compiled, inside_a_trace


def number() -> int:
    """How many devices work is spread over: one inside a trace, where it cannot be spread."""
    alone = inside_a_trace() or jax.config.jax_disable_jit  # type: ignore[attr-defined]
    return 1 if alone else jax.local_device_count()


def batch_size(asked: int | None) -> int:
    """As many pictures a device at a time as were asked for, or as suit it."""
    return policy.batch_size() if asked is None else count(asked, "batch_size")


def spread(values: Sequence[Any]) -> Any:
    """Put one tree on each device."""

    def stacked(*leaves: Any) -> Any:
        on_host = all(isinstance(leaf, np.ndarray) for leaf in leaves)
        return (np if on_host else jnp).stack(leaves)

    return jax.tree.map(stacked, *values)


def replicate(tree: Any) -> Any:
    """Put the same tree on every device; it may be empty, which `pmap` refuses."""
    if number() == 1 or not jax.tree.leaves(tree):
        return spread([tree])
    copy = jax.pmap(lambda _, tree: tree, in_axes=(0, None), devices=jax.local_devices())
    return copy(np.arange(number()), tree)


def on_each(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` to run on every device at once, always on the same shapes.

    It is compiled when first called, with the options for convolutions.
    """
    if number() == 1:
        return compiled(lambda *arguments: spread([function(*_entry(arguments, 0))]), rewrite=False)
    mapped, program = jax.pmap(function, devices=jax.local_devices()), None

    def call(*arguments: Any) -> Any:
        nonlocal program
        # Ahead of time, because `pmap` itself takes no compiler options.
        program = program or mapped.lower(*arguments).compile(
            compiler_options=policy.compiler_options()
        )
        return program(*arguments)

    return call


def fetch(tree: Any) -> list[Any]:
    """Bring one tree from each device to the host; waits until they are there."""
    if number() > 1:
        tree = jax.tree.map(np.asarray, tree)
    return [_entry(tree, i) for i in range(number())]


def _entry(tree: Any, device: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[device], tree)
