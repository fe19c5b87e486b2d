"""Project feature vectors to the plane, by principal components or t-SNE.

Principal components keep the directions of largest variance (Pearson 1901). t-SNE (van der Maaten
& Hinton 2008) keeps neighborhoods; its distances between groups mean little.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .. import devices
from .._checks import InputError, count
from .._typing import Array

_ROWS = 4096  # vectors read at a time
_PASSES = 100
_EXTRA = 8  # directions iterated besides the k asked for, which speeds up convergence


class Projection(NamedTuple):
    """`points` (vectors, k) and the share of the variance along each of the k, from 0 to 1."""

    points: Any
    shares: Any


def principal_components(
    vectors: Float[Array, "vectors dim"], *, k: int = 2, tolerance: float = 1e-6
) -> Projection:
    """Project vectors on their k directions of largest variance, largest first.

    Subspace iteration reads the vectors in pieces, so a memory-mapped array is never loaded whole.
    It stops when the variances change by less than `tolerance` of the total variance from one pass
    to the next. Each direction's largest entry is positive. Under `jit` it is one decomposition in
    the vectors' own type.

    Raises:
        InputError: not (vectors, dim), `k` is more than either, or a number is not finite.

    >>> points = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]], np.float32)
    >>> found = principal_components(points, k=1)
    >>> found.points.round(3).tolist(), found.shares.round(3).tolist()
    ([[-2.0], [0.0], [2.0]], [1.0])

    """
    if np.ndim(vectors) != 2:
        raise InputError(f"vectors: expected (vectors, dim), got shape {np.shape(vectors)}")
    number, dim = np.shape(vectors)
    k = count(k, "k", most=min(number, dim))
    if isinstance(vectors, jax.core.Tracer):
        return _traced_components(vectors, k)
    vectors = np.asanyarray(vectors)
    starts = range(0, number, _ROWS)
    mean = sum(np.sum(vectors[i : i + _ROWS], axis=0, dtype=np.float64) for i in starts) / number
    if not np.isfinite(mean).all():
        raise InputError("vectors: expected finite numbers, got others among them")

    def centered(start: int) -> np.ndarray:
        return np.asarray(vectors[start : start + _ROWS], np.float64) - mean

    total = sum(float((centered(i) ** 2).sum()) for i in starts) or 1.0
    width = min(k + _EXTRA, number, dim)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(dim, width)))[0]
    before = np.zeros(width)
    for _ in range(_PASSES):
        product = sum(piece.T @ (piece @ basis) for piece in map(centered, starts))
        basis, scale, _ = np.linalg.svd(np.asarray(product), full_matrices=False)
        change, before = np.abs(scale - before)[:k].max() / total, scale
        if change < tolerance:
            break
    basis = basis[:, :k]
    basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(k)])
    points = np.concatenate([centered(i) @ basis for i in starts])
    return Projection(points.astype(np.float32), (points**2).sum(axis=0) / total)


def _traced_components(vectors: Any, k: int) -> Projection:
    """The same as one jax program, by a singular value decomposition of all vectors."""
    vectors = devices.gathered(vectors)
    centered = vectors - vectors.mean(axis=0, keepdims=True)
    left, scales, right = jnp.linalg.svd(centered, full_matrices=False)
    largest = jnp.take_along_axis(right, jnp.abs(right).argmax(axis=1)[:, None], axis=1)[:, 0]
    total = (scales**2).sum()
    shares = scales[:k] ** 2 / jnp.where(total == 0, 1, total)
    weights = (scales[:k] * jnp.sign(largest[:k]))[None]
    return Projection(left[:, :k] * weights, shares)


def t_sne(vectors: Float[Array, "vectors dim"], *, seed: int = 0) -> Float[np.ndarray, "vectors 2"]:
    """Place vectors in the plane by t-SNE of their first 50 principal components.

    Needs scikit-learn (`pip install "jaxviz-cnn[map]"`) and at least 4 vectors.

    >>> t_sne(np.eye(8, dtype=np.float32)).shape
    (8, 2)
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise InputError('t-SNE needs scikit-learn: pip install "jaxviz-cnn[map]"') from None
    number, dim = np.shape(vectors)
    if number < 4:
        raise InputError(f"t-SNE: expected at least 4 vectors, got {number}")
    points = principal_components(vectors, k=min(50, number, dim)).points
    perplexity = min(30.0, (number - 1) / 3)
    return np.asarray(TSNE(perplexity=perplexity, random_state=seed).fit_transform(points))
