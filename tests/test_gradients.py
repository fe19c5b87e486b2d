"""Gradients: closed forms, ReLUs however they are written, and Grad-CAM where the thing is."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import SETTINGS, networks
from tolerances import assert_close

import jaxviz
from jaxviz.backward import inner_vjp, with_rule
from jaxviz.techniques.gradients import pulling

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(5, 6, 3, 2)).astype(np.float32)
IMAGES = RNG.normal(size=(3, 5, 6, 3)).astype(np.float32)
KEY = jax.random.key(0)


def linear(params, images):
    """Two scores, each a sum of the pixels with weights, and an offset."""
    return {"scores": jnp.einsum("bhwc,hwck->bk", images, params, precision="highest") + 7}


def all_scores(outputs):
    return outputs["scores"]


def pooled(params, images):
    """ReLUs and a pool, and many scores."""
    dims = ("NHWC", "HWIO", "NHWC")
    maps = jax.nn.relu(
        jax.lax.conv_general_dilated(images, params, (1, 1), "SAME", None, None, dims)
    )
    window = (1, 2, 2, 1)
    pool = jax.lax.reduce_window(maps, -jnp.inf, jax.lax.max, window, window, "VALID")
    return {"maps": maps, "pool": pool, "scores": pool.sum(axis=(1, 2))}


KERNEL = RNG.normal(size=(3, 3, 3, 4)).astype(np.float32)
FUNCTIONS = {
    "gradient": jaxviz.gradient,
    "gradient_times_input": jaxviz.gradient_times_input,
    "smooth_gradient": lambda *a, **k: jaxviz.smooth_gradient(*a, **k, key=KEY, num_samples=5),
    "integrated_gradients": lambda *a, **k: jaxviz.integrated_gradients(*a, **k, fill=0.5, steps=5),
    "guided_backpropagation": jaxviz.guided_backpropagation,
    "deconvolution": jaxviz.deconvolution,
    "grad_cam": lambda *a, **k: jaxviz.grad_cam(*a, **k, layer="maps"),
    "guided_grad_cam": lambda *a, **k: jaxviz.guided_grad_cam(*a, **k, layer="pool"),
}


def test_a_linear_score_has_its_closed_forms():
    run = linear, WEIGHTS, IMAGES
    weights = np.broadcast_to(WEIGHTS, (3, *WEIGHTS.shape))
    inputs = IMAGES[..., None]
    found = jaxviz.gradient(*run, score=all_scores)
    assert_close(found.values, weights)
    assert_close(found.heatmap, np.abs(weights).max(axis=3))
    assert_close(found.baseline, linear(WEIGHTS, IMAGES)["scores"])
    found = jaxviz.gradient_times_input(*run, score=all_scores)
    assert_close(found.values, weights * inputs)
    assert_close(found.heatmap, (weights * inputs).sum(axis=3))
    fill = np.array([0.1, 0.2, 0.3], np.float32)
    found = jaxviz.integrated_gradients(*run, score=all_scores, fill=fill, steps=3)
    assert_close(found.values, weights * (inputs - fill[:, None]))
    assert_close(found.start, np.broadcast_to((WEIGHTS * fill[:, None]).sum((0, 1, 2)) + 7, (3, 2)))
    assert np.asarray(found.completeness_error).max() < 1e-4
    found = jaxviz.smooth_gradient(*run, score=all_scores, key=KEY, num_samples=4)
    assert_close(found.values, weights)
    assert np.asarray(found.variance).max() < 1e-10
    for function in (jaxviz.guided_backpropagation, jaxviz.deconvolution):
        assert "no ReLU" in refusal(function, *run, score=all_scores)


@pytest.mark.slow
@SETTINGS
@given(networks())
def test_the_gradient_is_that_of_each_image_alone(network):
    images = np.random.default_rng(0).normal(size=(2, *network.image_shape)).astype(np.float32)

    def score(outputs):
        return jnp.tanh(outputs[network.last]).reshape(len(outputs[network.last]), -1).sum(axis=1)

    found = jaxviz.gradient(lambda p, x: network.apply(x), None, images, score=score).values
    for image, values in zip(images, found, strict=True):
        alone = jax.grad(lambda x: score(network.apply(x[None]))[0])(image)
        assert_close(values, alone)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_answer_depends_neither_on_chunks_nor_on_jit_nor_on_what_else_is_asked(name):
    function = FUNCTIONS[name]
    whole = function(pooled, KERNEL, IMAGES, score=all_scores)
    assert np.abs(whole.heatmap).max() > 0
    for size in (1, 2):
        found = function(pooled, KERNEL, IMAGES, score=all_scores, chunk_size=size)
        jax.tree.map(assert_close, found, whole)
    jitted = jax.jit(lambda images: function(pooled, KERNEL, images, score=all_scores))(IMAGES)
    jax.tree.map(assert_close, jitted, whole)
    one = function(pooled, KERNEL, IMAGES, score=jaxviz.logit(2))
    jax.tree.map(lambda a, b: assert_close(a, b[..., 2]), one, whole)
    each = function(pooled, KERNEL, IMAGES, score=jaxviz.logit([3, 0, 2]))
    own = jnp.arange(3), jnp.array([3, 0, 2])
    jax.tree.map(lambda a, b: assert_close(a, jnp.moveaxis(b, -1, 1)[own]), each, whole)
    mapped = jax.vmap(
        lambda number: function(pooled, KERNEL, IMAGES, score=lambda out: out["scores"][:, number])
    )(jnp.arange(4))
    jax.tree.map(lambda a, b: assert_close(jnp.moveaxis(a, 0, -1), b), mapped, whole)


def test_noise_is_that_of_its_image_and_key():
    def found(images, key):
        return jaxviz.smooth_gradient(
            pooled, KERNEL, images, score=all_scores, key=key, num_samples=3
        ).values

    assert_close(found(IMAGES[:2], KEY), found(IMAGES, KEY)[:2])
    assert not np.array_equal(found(IMAGES, KEY), found(IMAGES, jax.random.key(1)))


def test_the_variance_is_that_of_the_samples():
    """Of a square, whose gradient at x is 2 x, it is four times that of the noise."""

    def square(params, images):
        return {"square": (images**2).sum(axis=(1, 2))}

    images = np.linspace(0, 1, 400, dtype=np.float32).reshape(1, 20, 20, 1)
    found = jaxviz.smooth_gradient(
        square, None, images, score=lambda out: out["square"][:, 0], key=KEY, noise=0.1,
        num_samples=30, chunk_size=7,
    )  # fmt: skip
    assert np.mean(found.variance) == pytest.approx(4 * 0.01 * 29 / 30, rel=0.05)
    np.testing.assert_allclose(np.mean(found.values), 1, atol=0.02)


WRITTEN = {
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "leaky by nothing": lambda x: jax.nn.leaky_relu(x, 0.0),
    "where not": lambda x: jnp.where(~(x > 0), 0, x),
    "where, positive": lambda x: jnp.where(x > 0, x, 0),
    "where, not positive": lambda x: jnp.where(x <= 0, 0.0, x),
    "clip": lambda x: jnp.clip(x, 0, 6),
    "clamp": lambda x: jax.lax.clamp(0.0, x, 6.0),
    "maximum": lambda x: jnp.maximum(jnp.zeros_like(x), x),
    "product": lambda x: x * (x > 0),
    "in scan": lambda x: jax.lax.scan(lambda c, _: (jax.nn.relu(c), None), x, None, length=1)[0],
    "in cond": lambda x: jax.lax.cond(x[0] < 0, jax.nn.relu, jax.nn.relu6, x),
    "in checkpoint": jax.checkpoint(jax.nn.relu),
    "in custom_jvp": lambda x: jax.nn.relu(x) + 0 * jax.nn.silu(x),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_relu_is_one_however_it_is_written(name):
    x = jnp.array([-2.0, -1.0, 0.5, 1.0, 3.0])
    weights = jnp.array([1.0, -1.0, 1.0, -1.0, 1.0])

    def function(x):
        return (WRITTEN[name](x) * weights).sum()

    wanted = {"guided": [0, 0, 1, 0, 1], "deconvolution": [1, 0, 1, 0, 1]}
    for rule, gradient in wanted.items():
        value, found = jax.value_and_grad(with_rule(function, rule))(x)
        assert value == function(x)
        np.testing.assert_allclose(found, gradient, atol=1e-6)


@pytest.mark.parametrize("function", [jax.nn.gelu, jax.nn.leaky_relu, jnp.abs, jax.nn.elu])
def test_other_activation_functions_are_none(function):
    assert "no ReLU" in refusal(with_rule(lambda x: function(x).sum(), "guided"), jnp.ones(3))


def test_derivatives_of_ones_own_are_kept():
    @jax.custom_vjp
    def odd(x):
        return x * 1

    odd.defvjp(lambda x: (x * 1, None), lambda _, gradient: (gradient * 42,))
    function = with_rule(lambda x: odd(jax.nn.relu(x)).sum(), "guided")
    assert jax.grad(function)(jnp.array([1.0, -1.0])).tolist() == [42, 0]


def with_slope(way, slope):
    """x, whose own derivative is a slope."""
    if way == "vjp":
        function = jax.custom_vjp(lambda x: x * 1)
        function.defvjp(lambda x: (x * 1, None), lambda _, gradient: (gradient * slope,))
    else:
        function = jax.custom_jvp(lambda x: x * 1)
        zeros = {"symbolic_zeros": True} if way == "symbolic" else {}

        def rule(x, change):
            change = change[0]
            return x[0] * 1, (0 if type(change).__name__ == "SymbolicZero" else change * slope)

        function.defjvp(rule, **zeros)
    if way == "scan":
        return lambda x: jax.lax.scan(lambda c, _: (function(c), None), x, None, length=1)[0]
    return function


@pytest.mark.parametrize("way", ["jvp", "vjp", "scan", "symbolic"])
def test_networks_that_differ_in_their_own_derivatives_alone_are_told_apart(way):
    class Network:
        function = staticmethod(with_slope(way, 2.0))

        def __call__(self, params, images):
            return {"sum": (self.function(images) * params).sum(axis=(1, 2))}

    network, images = Network(), np.ones((1, 2, 2, 1), np.float32)

    def slopes():
        found = jaxviz.gradient(network, 3.0, images, score=lambda outputs: outputs["sum"][:, 0])
        return set(found.values.ravel().tolist())

    assert slopes() == {6.0}
    network.function = with_slope(way, 5.0)
    assert slopes() == {15.0}


@pytest.mark.parametrize("activation", [jax.nn.relu, jax.nn.silu, with_slope("vjp", 2.0)])
@pytest.mark.parametrize("function", [jaxviz.gradient, jaxviz.guided_backpropagation])
def test_a_network_of_the_same_steps_is_compiled_once(function, activation):
    traced = mock.Mock(side_effect=pulling.for_each_number)

    def values(factor):
        def network(params, images):
            return {"sum": (jax.nn.relu(activation(images)) * factor).sum(axis=(1, 2))}

        return function(network, None, IMAGES, score=lambda outputs: outputs["sum"][:, 0]).values

    with mock.patch.object(pulling, "for_each_number", traced):
        assert_close(values(jnp.array([2.0])) * 3, values(jnp.array([3.0])) * 2)
    assert traced.call_count == 1


def test_closed_relus_are_opened_only_where_an_image_gets_no_gradient():
    def function(x):
        return (jax.nn.relu(x) * jnp.array([[1.0, -1.0]])).sum()

    images = jnp.array([[-1.0, -1.0], [-1.0, 1.0]])
    assert jax.grad(function)(images).tolist() == [[0, 0], [0, -1]]
    assert jax.grad(with_rule(function, "opened"))(images).tolist() == [[1, 0], [0, -1]]


def test_a_layer_may_be_handed_out_in_another_order_than_the_score_reads_it():
    def function(x):
        maps = jnp.tanh(x)
        return maps.transpose(0, 2, 1)[:1].reshape(1, -1), (maps**2).sum()

    x = jnp.asarray(RNG.normal(size=(2, 3, 4)), jnp.float32)
    layer, value, pull = inner_vjp(function, x)
    assert value == function(x)[1]
    assert_close(pull(jnp.ones_like(value)), 2 * layer)


def test_layers_that_grad_cam_cannot_take_are_one_line():
    def apply(params, images):
        return {**pooled(params, images), "aside": images * 2}

    def refused(layer):
        return refusal(
            jaxviz.grad_cam,
            apply,
            KERNEL,
            IMAGES,
            score=jaxviz.logit(0, layer="scores"),
            layer=layer,
        )

    assert "the score does not depend on 'aside'" in refused("aside")
    assert "'scores' has no maps" in refused("scores")
    assert "unknown" in refused("nothing")


def test_mistakes_are_one_line():
    def looped(params, images):
        _, found = jax.lax.while_loop(
            lambda c: c[0] < 2, lambda c: (c[0] + 1, c[1] * 2), (0, images)
        )
        return {"scores": found.sum(axis=(1, 2))}

    options = {"score": all_scores}
    assert "Reverse-mode" in refusal(jaxviz.gradient, looped, None, IMAGES, **options)
    run = pooled, KERNEL, IMAGES
    assert "chunk_size" in refusal(jaxviz.gradient, *run, **options, chunk_size=0)
    assert "jax.random.key(0), got 0" in refusal(jaxviz.smooth_gradient, *run, **options, key=0)
    for option in (
        {"noise": -1}, {"noise": np.nan}, {"noise": 1e300}, {"num_samples": 0}, {"chunk_size": 0},
    ):  # fmt: skip
        (name,) = option
        assert name in refusal(jaxviz.smooth_gradient, *run, **options, key=KEY, **option)
    for option in ({"fill": [1, 2]}, {"fill": np.nan}, {"steps": 0, "fill": 0}):
        name = next(iter(option))
        assert name in refusal(jaxviz.integrated_gradients, *run, **options, **option)


@given(st.integers(1, 9), st.integers(1, 30))
@settings(max_examples=20)
def test_a_map_lies_where_its_units_look(units, length):
    """A constant stays one, and a unit is found at its center."""

    def apply(params, images):
        return {"maps": images[:, ::3, ::3], "sum": images.sum(axis=(1, 2))}

    images = np.random.default_rng(units).normal(size=(1, 3 * units, length, 1)).astype(np.float32)
    found = jaxviz.grad_cam(
        lambda p, x: {**apply(p, x), "sum": apply(p, x)["maps"].sum(axis=(1, 2))}, None, images,
        score=lambda out: out["sum"][:, 0], layer="maps",
    )  # fmt: skip
    values, heatmap = np.asarray(found.values), np.asarray(found.heatmap)
    np.testing.assert_allclose(heatmap[:, ::3, ::3], values, rtol=1e-5, atol=1e-6)
    assert heatmap.max() <= values.max() + 1e-6 and heatmap.min() >= values.min() - 1e-6


def test_integrated_gradients_are_complete(squeezenet, photographs):
    images = squeezenet.preprocess(
        [photographs / "cat/chelsea.png", photographs / "food/coffee.png"]
    )
    found = jaxviz.integrated_gradients(
        squeezenet.apply, squeezenet.params, images, score=jaxviz.logit([285, 967]), fill=0.0
    )
    assert (np.asarray(found.completeness_error) < 0.01).all()
    moved = np.asarray(found.values).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(moved, found.baseline - found.start, rtol=0.01)


@pytest.mark.parametrize(
    ("picture", "target", "box"),
    [
        ("cat/chelsea.png", "Egyptian cat", (50, 20, 224, 200)),  # from the eyes to the chin
        ("food/coffee.png", "espresso", (0, 32, 120, 184)),  # the mouth of the cup, rim to rim
    ],
)
def test_grad_cam_lies_on_the_thing(picture, target, box, efficientnet_lite0, photographs):
    network = efficientnet_lite0
    images = network.preprocess([photographs / picture])
    layer = network.spec.deep_layers[-1]
    score = jaxviz.logit(network.class_index(target))
    found = jaxviz.grad_cam(network.apply, network.params, images, score=score, layer=layer)
    heatmap = np.asarray(found.heatmap[0])
    top, left, bottom, right = box
    row, col = np.unravel_index(heatmap.argmax(), heatmap.shape)
    assert top <= row < bottom and left <= col < right
    inside = heatmap[top:bottom, left:right]
    outside = (heatmap.sum() - inside.sum()) / (heatmap.size - inside.size)
    assert inside.mean() > 1.5 * outside
