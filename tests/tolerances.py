"""How far two computations of the same thing may lie apart: the one table for all tests.

On a GPU it holds under `jax.default_matmul_precision("highest")`; the default there is TF32.
"""

from typing import NamedTuple

import jax
import numpy as np


class Tolerance(NamedTuple):
    """Relative and absolute, as `numpy.testing.assert_allclose` takes them."""

    rtol: float
    atol: float


TABLE = {
    ("float32", "cpu"): Tolerance(rtol=1e-4, atol=1e-5),
    ("float32", "gpu"): Tolerance(rtol=2e-4, atol=2e-5),
}


def tolerance(dtype="float32"):
    """The tolerance of a type on the default backend."""
    return TABLE[np.dtype(dtype).name, jax.default_backend()]


def assert_close(actual, desired, beside=None):
    """Each value agrees, relative to itself or to the largest of its array, or of `beside`."""
    actual, desired = np.asarray(actual), np.asarray(desired)
    rtol, atol = tolerance()
    largest = float(np.abs(desired if beside is None else beside).max(initial=0))
    np.testing.assert_allclose(actual, desired, rtol=rtol, atol=atol * max(largest, 1e-30))


def distance(actual, desired):
    """||actual - desired|| / ||desired||, in float64."""
    actual, desired = (np.asarray(x, np.float64) for x in (actual, desired))
    assert actual.shape == desired.shape
    return np.linalg.norm(actual - desired) / np.linalg.norm(desired)
