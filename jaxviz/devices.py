"""All devices of this process: the only room that knows how work is spread over them.

Every value here has a leading axis, one entry a device. The same program runs on each device on
batches of the same shape, so who evaluates a batch changes no bit of its result.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
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


@contextlib.contextmanager
def own_context() -> Iterator[None]:
    """Leave the mesh that the caller has set, and let infinities pass, for a search or a sweep.

    Work is spread over the devices by number, and a search begins with the worst value, -inf.
    """
    if inside_a_trace():
        yield
    else:
        nowhere = jax.sharding.AbstractMesh((), ())
        with jax.sharding.use_abstract_mesh(nowhere), jax.debug_infs(False):
            yield


def gathered(tree: Any) -> Any:
    """The same arrays, whole on each device of the Explicit mesh over which they are sharded."""

    def whole(leaf: Any) -> Any:
        sharding = jax.typeof(leaf).sharding
        if all(axis is None for axis in sharding.spec):
            return leaf
        return jax.sharding.reshard(leaf, jax.NamedSharding(sharding.mesh, jax.P()))

    return jax.tree.map(whole, tree)


def spread(values: Sequence[Any]) -> Any:
    """Put one tree on each device."""

    def stacked(*leaves: Any) -> Any:
        leaves = tuple(map(_on_one_device, leaves))
        on_host = all(isinstance(leaf, np.ndarray) for leaf in leaves)
        return (np if on_host else jnp).stack(leaves)

    return jax.tree.map(stacked, *values)


def _on_one_device(leaf: Any) -> Any:
    """An array that one device can take; of one that is sharded, the copy on the host."""
    if isinstance(leaf, jax.core.Tracer):
        return gathered(leaf)
    sharded = isinstance(leaf, jax.Array) and len(leaf.sharding.device_set) > 1
    return np.asarray(leaf) if sharded else leaf


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
