"""What a head is, and the features of a layer that it reads."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

GRID = 6  # cells along a side, over which maps are averaged


class Head(NamedTuple):
    """A linear classifier on `layer`: `head_features(values, grid) @ weights + bias` are logits.

    `network` is the name of the network, `digest` the sha256 of its weights, empty where it is not
    known; `labels` are the classes.
    """

    weights: Any
    bias: Any
    layer: str
    grid: int
    labels: tuple[str, ...]
    network: str
    digest: str = ""


def head_features(values: Any, grid: int = GRID) -> Any:
    """Activations (batch, ...) as vectors (batch, dim); maps are averaged over a grid of cells.

    A map of no more than `grid` rows or columns keeps these.

    >>> head_features(jnp.arange(8.0).reshape(1, 2, 4, 1), 2).tolist()
    [[0.5, 2.5, 4.5, 6.5]]
    """
    if values.ndim == 4:
        rows, cols = (_averages(length, grid, values.dtype) for length in values.shape[1:3])
        values = jnp.einsum("rh,bhwc,kw->brkc", rows, values, cols, precision="highest")
    return values.reshape(len(values), -1)


def _averages(length: int, cells: int, dtype: Any) -> np.ndarray:
    """(cells, length): each row averages the pixels of a cell; neighbors may share one."""
    cells = min(cells, length)
    first = np.arange(cells) * length // cells
    last = -(-np.arange(1, cells + 1) * length // cells)
    places = np.arange(length)[None]
    inside = (places >= first[:, None]) & (places < last[:, None])
    return (inside / inside.sum(axis=1, keepdims=True)).astype(dtype)
