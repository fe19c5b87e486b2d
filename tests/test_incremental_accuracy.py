"""Incremental evaluation is as accurate as whole passes, also where a window hides what mattered.

The measure is whole passes in float64. Errors are shares of the largest number of each position.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from random_networks import SETTINGS

from jaxviz.cpu import policy
from jaxviz.incremental.evaluation import windowed_outputs

pytestmark = pytest.mark.optimized

WINDOW = (3, 2)
EPSILON = float(np.finfo(np.float32).eps)


@pytest.fixture(autouse=True, scope="module")
def small_kernels_spread():
    """What pays for large kernels only, so that small ones are used the same way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy, "_LEAST_SPREAD_KERNEL", 1)
        yield


def convolution(kernel):
    def layer(x):
        return lax.conv_general_dilated(
            x, kernel.astype(x.dtype), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    return layer


def random_kernel(draw, channels):
    size = draw(st.sampled_from([1, 3, 5]))
    features = draw(st.sampled_from([4, 16]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shape = (size, size, channels, features)
    return rng.normal(size=shape) / np.sqrt(size * size * channels)


LAYERS = {
    "exponentials": lambda x: jnp.exp(8 * jnp.tanh(x)),
    "cubes": lambda x: x**3,
    "scale of the largest": lambda x: x / (1e-30 + jnp.abs(x).max((1, 2, 3), keepdims=True)),
    "norm by a sum": lambda x: x / (1e-30 + jnp.abs(x).sum((1, 2, 3), keepdims=True)),
    "norm by channels": lambda x: x / (1e-30 + jnp.abs(x).mean((1, 2), keepdims=True)),
    "norm by rows": lambda x: x / jnp.sqrt(1e-30 + (x**2).mean(2, keepdims=True)),
    "relu": jax.nn.relu,
}
HEADS = {
    "map": lambda x: x,
    "mean": lambda x: jnp.abs(x).mean((1, 2)),
    "power mean": lambda x: (jnp.abs(x) ** 4).mean((1, 2, 3)) ** 0.25,
    "entropy": lambda x: (-jax.nn.log_softmax(x.mean((1, 2)), -1)).mean(-1),
}


@st.composite
def problems(draw):
    height, width, channels = draw(st.integers(6, 12)), draw(st.integers(5, 12)), 2
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    image = rng.normal(size=(height, width, channels))
    for _ in range(draw(st.integers(0, 3))):
        row, col = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        image[row, col] *= 10.0 ** draw(st.integers(-6, 6))
    layers, channels = [], image.shape[2]
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(["convolution", "convolution", *LAYERS]))
        if name == "convolution":
            kernel = random_kernel(draw, channels)
            channels = kernel.shape[-1]
            layers.append((name, convolution(kernel)))
        else:
            layers.append((name, LAYERS[name]))
    head = draw(st.sampled_from(sorted(HEADS)))
    layers.append((head, HEADS[head]))
    tops = list(range(0, height - WINDOW[0] + 1, 2))
    lefts = list(range(0, width - WINDOW[1] + 1, 2))
    grid = np.array([(top, left) for top in tops for left in lefts])
    return image, layers, grid[:, 0].tolist(), grid[:, 1].tolist()


@pytest.mark.parametrize("axes", [(1, 2), (1,), (2,), (2, 1), (1, 2, 3), (1, 3), (0, 2), (3,)])
@pytest.mark.parametrize("hidden", [1e10, np.inf, -np.inf])
def test_a_sum_is_exact_though_the_window_hides_nearly_all_of_it(axes, hidden):
    image = np.random.default_rng(0).uniform(1, 2, size=(7, 9, 2)).astype(np.float32)
    image[3, 4] = hidden
    tops, lefts = [0, 2, 3, 4], [0, 3, 4, 7]
    given = image, np.float32(0.5), tops, lefts
    found = windowed_outputs(lambda x: x.sum(axes), *given, window=(2, 2)).outputs
    for sums, top, left in zip(found, tops, lefts, strict=True):
        one = image.astype(np.float64)[None]
        one[:, top : top + 2, left : left + 2] = 0.5
        np.testing.assert_allclose(sums, one.sum(axes), rtol=1e-6)


def test_log_sum_exp_pooling_forgets_what_the_window_hides():
    image = np.full((8, 8, 1), 0.1, np.float32)
    image[3, 3] = 3
    given = image, np.float32(0), [2], [2]

    def pooled(x):
        return jnp.log(jnp.exp(8 * x).mean((1, 2, 3))) / 8

    (found,) = windowed_outputs(pooled, *given, window=(2, 2)).outputs
    np.testing.assert_allclose(found, np.log((60 * np.exp(0.8) + 4) / 64) / 8, rtol=1e-6)


def errors(found, expected):
    """The largest of each position, and the largest number there is."""
    found, expected = (
        np.asarray(one, np.float64).reshape(len(one), -1) for one in (found, expected)
    )
    return np.abs(found - expected).max(axis=1), np.abs(expected).max(axis=1)


@pytest.mark.compiled
@SETTINGS
@given(problems())
def test_no_answer_is_off_by_more_than_four_times_what_whole_passes_are(problem):
    image, layers, tops, lefts = problem

    def network(x):
        for _, layer in layers:
            x = layer(x)
        return x

    image = image.astype(np.float32)
    images = np.repeat(image[None], len(tops), axis=0)
    for one, top, left in zip(images, tops, lefts, strict=True):
        one[top : top + WINDOW[0], left : left + WINDOW[1]] = 0.25
    whole = jax.jit(jax.vmap(lambda one: network(one[None])))
    full = np.asarray(whole(images))
    with jax.enable_x64(True):
        expected = np.asarray(whole(images.astype(np.float64)))
    found = windowed_outputs(network, image, np.float32(0.25), tops, lefts, window=WINDOW).outputs
    off, largest = errors(found, expected)
    least, _ = errors(full, expected)
    finite = np.isfinite(full).reshape(len(full), -1).all(axis=1)
    assert np.isfinite(np.asarray(found))[finite].all()
    allowed = 4 * least + 4 * EPSILON * len(layers) * largest
    assert (off[finite] <= allowed[finite]).all(), (off / allowed)[finite].max()
