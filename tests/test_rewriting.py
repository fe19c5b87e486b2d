"""A rewritten function answers as before; its convolutions make fewer products, and exactly so."""

from fractions import Fraction
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import oracle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax import lax
from random_networks import networks, pooling
from tolerances import assert_close

import jaxviz
from jaxviz.cpu import overrides, policy, toom_cook
from jaxviz.cpu.rewriting import prepared, rewritten

NHWC = ("NHWC", "HWIO", "NHWC")
SETTINGS = settings(
    max_examples=20, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
numbers = st.fractions(min_value=-9, max_value=9, max_denominator=9)


def everything_pays():
    return mock.patch.object(policy, "_PRODUCTS_A_NUMBER", {3: 0, 5: 0})


def evaluated(function, *arguments, known=0):
    """The rewritten function's answer, and how many of its convolutions were rewritten."""
    made = []
    real = overrides.correlation_by_points

    def counted(*given):
        made.append(given)
        return real(*given)

    with mock.patch.object(overrides, "correlation_by_points", counted):
        prepare, run = prepared(function, *arguments, known=known)
    ready = jax.jit(prepare)(arguments[known])
    return jax.jit(run)(ready, *arguments), len(made)


@pytest.mark.parametrize(("m", "taps"), [(2, 3), (3, 5), (3, 3), (2, 5)])
@given(data=st.data())
def test_a_scheme_is_exact(m, taps, data):
    pixels = data.draw(st.lists(numbers, min_size=m + taps - 1, max_size=m + taps - 1))
    kernel = data.draw(st.lists(numbers, min_size=taps, max_size=taps))
    by = toom_cook.scheme(m, taps)

    def times(matrix, vector):
        return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]

    products = zip(times(by.taps, kernel), times(by.pixels, pixels), strict=True)
    expected = [sum(kernel[j] * pixels[i + j] for j in range(taps)) for i in range(m)]
    assert times(by.outputs, [a * b for a, b in products]) == expected
    assert all(isinstance(weight, Fraction) for row in by.outputs for weight in row)


margins = st.tuples(st.integers(0, 3), st.integers(0, 3))


@pytest.mark.oracle
@given(
    st.sampled_from([3, 5]),
    st.tuples(*[st.integers(1, 3)] * 3),
    st.tuples(*[st.integers(5, 12)] * 2),
    st.tuples(margins, margins),
    st.integers(0, 2**16),
)
@SETTINGS
def test_a_convolution_equals_torchs(size, channels, extents, padding, seed):
    torch = oracle("torch")
    batch, inputs, outputs = channels
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(batch, *extents, inputs)).astype(np.float32)
    kernel = rng.normal(size=(size, size, inputs, outputs)).astype(np.float32)

    def function(kernel, images):
        return lax.conv_general_dilated(images, kernel, (1, 1), padding, dimension_numbers=NHWC)

    with everything_pays():
        found, quick = evaluated(function, kernel, images)
    assert quick == 1
    (top, bottom), (left, right) = padding
    given = torch.from_numpy(images).double().permute(0, 3, 1, 2)
    given = torch.nn.functional.pad(given, (left, right, top, bottom))
    weights = torch.from_numpy(kernel).double().permute(3, 2, 0, 1)
    expected = torch.nn.functional.conv2d(given, weights).permute(0, 2, 3, 1)
    assert_close(found, expected.numpy())


@given(data=st.data())
@SETTINGS
def test_random_networks_answer_as_before(data):
    network = data.draw(networks())
    images = data.draw(st.integers(0, 2**16))
    images = np.random.default_rng(images).normal(size=(2, *network.image_shape))
    images = images.astype(np.float32)
    with everything_pays():
        found, _ = evaluated(lambda _, x: network.apply(x), (), images)
    expected = jax.jit(network.apply)(images)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert_close(found[name], value)


@given(data=st.data())
@SETTINGS
def test_pooling_changes_no_bit(data):
    shape = (2, 9, 8, 3)
    _, layer = data.draw(st.composite(lambda draw: pooling(draw, shape))())
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found, _ = evaluated(lambda _, x: layer(x), (), images)
    np.testing.assert_array_equal(found, jax.jit(layer)(images))


@pytest.mark.parametrize(
    ("dtype", "lowest", "numbers"),
    [
        (np.int32, np.int32(-(2**31)), [-9, -4, -1]),
        (np.float16, np.float16(-np.inf), [-9, -4, -1]),
        (bool, False, [0, 0, 0, 0, 1]),
    ],
)
def test_maxima_of_other_types(dtype, lowest, numbers):
    images = np.random.default_rng(0).choice(numbers, size=(1, 7, 7, 2)).astype(dtype)

    def function(_, x):
        return lax.reduce_window(x, lowest, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")

    found, _ = evaluated(function, (), images)
    np.testing.assert_array_equal(found, function((), images))


def conv(images, kernel, stride=1, **options):
    return lax.conv_general_dilated(
        images, kernel, (stride, stride), "SAME", **{"dimension_numbers": NHWC} | options
    )


@pytest.mark.parametrize(
    ("quick", "function", "kernel"),
    [
        (1, conv, (3, 3, 64, 128)),
        (1, conv, (5, 5, 64, 32)),
        (0, conv, (3, 3, 64, 64)),
        (0, conv, (1, 1, 64, 256)),
        (0, conv, (3, 5, 64, 256)),
        (0, lambda x, w: conv(x, w, stride=2), (3, 3, 64, 128)),
        (0, lambda x, w: conv(x, w, rhs_dilation=(2, 2)), (3, 3, 64, 128)),
        (0, lambda x, w: conv(jnp.tile(x, 2), w, feature_group_count=2), (3, 3, 64, 128)),
        (1, lambda x, w: conv(x, w + x.mean()), (3, 3, 64, 128)),
        (1, lambda x, w: conv(x, 2 * w.transpose(1, 0, 2, 3)), (3, 3, 64, 128)),
        (1, lambda x, w: jax.jit(conv)(x, w), (3, 3, 64, 128)),
    ],
)
def test_what_is_rewritten(quick, function, kernel):
    """Plain convolutions of many channels, wherever their kernel comes from."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 7, 7, 64)).astype(np.float32)
    weights = rng.normal(size=kernel).astype(np.float32)
    found, made = evaluated(lambda w, x: function(x, w), weights, images)
    assert made == quick
    assert_close(found, function(images, weights))


def test_the_known_argument_may_be_any_and_a_tree():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 64, 128)).astype(np.float32)
    images = np.ones((1, 5, 5, 64), np.float32)

    def function(images, params, shift):
        return {"sum": conv(images, params["kernel"]) + shift, "shift": shift}

    arguments = images, {"kernel": kernel, "unused": jnp.zeros(3)}, np.float32(2)
    found, made = evaluated(function, *arguments, known=1)
    assert made == 1
    assert_close(found["sum"], function(*arguments)["sum"])
    assert found["shift"] == 2


def test_the_shipped_network_makes_fewer_products_where_it_counts():
    network = jaxviz.load("alexnet")
    images = np.zeros((1, *network.spec.preprocessing.input_shape), np.float32)
    _, made = evaluated(network.apply, network.params, images)
    assert made == 4  # all but conv1, whose stride is 4


@pytest.mark.parametrize(("images", "seldom", "quick"), [(1, False, 4), (1, True, 0), (8, True, 4)])
def test_what_is_called_seldom_is_rewritten_only_if_it_is_worth_compiling(images, seldom, quick):
    network = jaxviz.load("alexnet")
    shapes = jax.ShapeDtypeStruct((images, *network.spec.preprocessing.input_shape), jnp.float32)
    made = mock.Mock(side_effect=overrides.correlation_by_points)
    with mock.patch.object(overrides, "correlation_by_points", made):
        jax.eval_shape(rewritten(network.apply, seldom=seldom), network.params, shapes)
    assert made.call_count == quick


@given(
    st.tuples(*[st.integers(1, 6)] * 2),
    st.tuples(*[st.integers(1, 4)] * 2),
    st.tuples(*[st.tuples(st.integers(-1, 3), st.integers(-1, 3))] * 2),
    st.tuples(*[st.integers(3, 6)] * 2),
    st.sampled_from([(1, 2, 3), (4, 1, 1)]),  # groups, channels in and out of each
    st.booleans(),
)
@SETTINGS
def test_a_dilated_image_s_convolution_answers_as_before(
    taps, dilation, padding, extents, channels, swapped
):
    groups, into, out = channels
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, *extents, groups * into)).astype(np.float32)
    kernel = rng.normal(size=(*taps, into, groups * out)).astype(np.float32)
    order = ("NHWC", "HWOI" if swapped else "HWIO", "NHWC")
    if swapped:
        kernel = kernel.transpose(0, 1, 3, 2)

    def function(images, kernel):
        return lax.conv_general_dilated(
            images, kernel, (1, 1), padding, dilation, dimension_numbers=order,
            feature_group_count=groups,
        )  # fmt: skip

    shape = jax.eval_shape(function, images, kernel).shape
    if 0 in shape:
        return
    assert_close(jax.jit(rewritten(function))(images, kernel), function(images, kernel))


@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 5))
@SETTINGS
def test_products_by_rows_answer_as_before(rows, larger, length):
    rng = np.random.default_rng(0)
    given = rng.normal(size=(rows, length)).astype(np.float32)
    matrix = rng.normal(size=(larger, length)).astype(np.float32)
    dims = (((1,), (1,)), ((), ()))

    def function(given, matrix):
        return lax.dot_general(given, matrix, dims, precision="highest")

    assert_close(jax.jit(rewritten(function))(given, matrix), function(given, matrix))


@given(st.composite(pooling)((2, 8, 9, 2)), st.integers(0, 2**16))
@SETTINGS
def test_the_gradient_of_a_pool_answers_as_before(layer, seed):
    """Also where several pixels of a window are the largest."""
    _, pool = layer
    images = np.random.default_rng(seed).integers(0, 3, (2, 8, 9, 2)).astype(np.float32)

    def function(images):
        value, pull = jax.vjp(pool, images)
        return pull(jnp.cos(jnp.arange(value.size, dtype=jnp.float32)).reshape(value.shape))[0]

    assert_close(jax.jit(rewritten(function))(images), jax.jit(function)(images))
