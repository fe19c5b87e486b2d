"""All devices of this process: the only room that knows how work is spread over them.

Every value here has a leading axis, one entry a device. The same program runs on each device on
batches of the same shape, so who evaluates a batch changes no bit of its result.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ._checks import count
from .cpu import policy


def number() -> int:
    """How many devices this process has."""
    return jax.local_device_count()


def batch_size(asked: int | None) -> int:
    """How many pictures a device evaluates at a time: as many as were asked for, or the default."""
    return policy.batch_size() if asked is None else count(asked, "batch_size")


def spread(values: Sequence[Any]) -> Any:
    """Put one tree on each device."""
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *values)
    return _placed()(stacked)


def replicate(tree: Any) -> Any:
    """Put the same tree on every device; it may be empty, which `pmap` refuses."""
    return _copied()(np.arange(number()), tree) if jax.tree.leaves(tree) else tree


@functools.cache
def _placed() -> Any:
    return on_each(lambda tree: tree)


@functools.cache
def _copied() -> Any:
    return jax.pmap(lambda _, tree: tree, in_axes=(0, None), devices=jax.local_devices())


def on_each(function: Callable[..., Any]) -> Any:
    """Return `function` to run on every device at once; compiled when first called."""
    return jax.pmap(function, devices=jax.local_devices())


def convolving_on_each(function: Callable[..., Any], *examples: Any) -> Callable[..., Any]:
    """Compile `function`, with the options for convolutions, for arguments like the examples."""
    # Ahead of time, because `pmap` itself takes no compiler options.
    return on_each(function).lower(*examples).compile(compiler_options=policy.compiler_options())


def fetch(tree: Any) -> list[Any]:
    """Bring one tree from each device to the host; waits until they are there."""
    arrays = jax.tree.map(np.asarray, tree)
    return [jax.tree.map(lambda leaf, i=i: leaf[i], arrays) for i in range(number())]
