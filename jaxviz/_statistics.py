"""Statistics that several techniques share."""

from typing import Any

import jax
import jax.numpy as jnp

_ROUND_OFF = 32  # of sums, in units of their last place
_NORMAL = 1.959963984540054  # the 97.5 % point of a normal distribution


def correlation(one: Any, other: Any) -> Any:
    """Pearson's, along the last axis; NaN where either does not vary by more than round-off.

    >>> correlation(jnp.array([1.0, 2.0, 3.0]), jnp.array([3.0, 5.0, 7.0])).round(4).item()
    1.0
    """
    first, second = (
        x.max(axis=-1) - x.min(axis=-1) > _ROUND_OFF * jnp.finfo(x.dtype).eps * abs(x).max(axis=-1)
        for x in (one, other)
    )
    one, other = (x - x.mean(axis=-1, keepdims=True) for x in (one, other))
    norms = jnp.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    found = (one * other).sum(axis=-1) / jnp.where(norms > 0, norms, 1)
    return jnp.where(first & second & (norms > 0), found, jnp.nan)


def mid_places(ordered: Any, values: Any) -> Any:
    """How many of an ascending row are less than each number, equal ones counted by half.

    Both are (batch, any number).

    >>> mid_places(jnp.array([[1.0, 2.0, 2.0]]), jnp.array([[0.0, 2.0, 3.0]])).tolist()
    [[0.0, 2.0, 3.0]]
    """
    low, high = (
        jax.vmap(lambda row, own, side=side: jnp.searchsorted(row, own, side=side))(ordered, values)
        for side in ("left", "right")
    )
    return (low + high) / 2


def wilson_interval(right: Any, number: int) -> tuple[Any, Any]:
    """The 95 % interval of a share, of how many are right among a number (Wilson 1927).

    >>> [round(float(one), 3) for one in wilson_interval(9, 10)]
    [0.596, 0.982]
    """
    square = _NORMAL**2
    center = (right + square / 2) / (number + square)
    spread = right * (number - right) / number + square / 4
    reach = _NORMAL * spread**0.5 / (number + square)
    return center - reach, center + reach
