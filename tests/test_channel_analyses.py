"""What a channel does besides its maximum, and what it adds to scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxviz
from jaxviz import InputError, analyses

KEYS = jax.random.split(jax.random.key(0), 4)
PARAMS = [
    jax.random.normal(key, shape, np.float32)
    for key, shape in zip(KEYS, [(3, 3, 3, 4), (3, 3, 4, 5), (5, 6)], strict=False)
]
IMAGES = jax.random.normal(KEYS[3], (2, 12, 12, 3), np.float32)


def apply(params, images):
    def conv(images, kernel):
        return jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    one = jax.nn.relu(conv(images, params[0]))
    two = jax.nn.relu(conv(one, params[1]))
    mean = two.mean(axis=(1, 2))
    return {"one": one, "two": two, "mean": mean, "classes": mean @ params[2]}


def test_the_gradient_of_the_energy_of_a_map_is_the_map():
    maps = jax.random.normal(KEYS[0], (2, 3, 4, 5))
    score = jaxviz.map_energy("maps", 2)
    found = jax.grad(lambda maps: score({"maps": maps}).sum())(maps)
    np.testing.assert_allclose(found[..., 2], maps[..., 2], rtol=1e-6)
    assert float(jnp.abs(found).sum()) == pytest.approx(float(jnp.abs(maps[..., 2]).sum()))
    assert jaxviz.map_energy("maps")({"maps": maps}).shape == (2, 5)


def effects(layer, channel, score=None):
    score = score or jaxviz.channel_mean("classes")
    return jaxviz.channel_effects(apply, PARAMS, IMAGES, score=score, layer=layer, channel=channel)


@pytest.mark.parametrize("layer", ["two", "mean"])
def test_the_effects_of_the_last_layer_are_the_weights(layer):
    found = effects(layer, 3)
    np.testing.assert_allclose(found, np.broadcast_to(PARAMS[2][3], (2, 6)), rtol=1e-5, atol=1e-6)


def test_the_effects_of_any_layer_are_the_gradients_of_each_class():
    cam = jaxviz.grad_cam(apply, PARAMS, IMAGES, score=jaxviz.channel_mean("classes"), layer="one")
    expected = cam.weights[:, 1] * 12 * 12  # these are means over the units
    np.testing.assert_allclose(effects("one", 1), expected, rtol=1e-4, atol=1e-5)
    own = effects("one", 1, jaxviz.logit(4))
    np.testing.assert_allclose(own, expected[:, 4], rtol=1e-4, atol=1e-5)


def test_a_channel_or_layer_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="channel: expected 0 to 3, got 4"):
        effects("one", 4)
    with pytest.raises(InputError, match="layer: unknown name 'tow'"):
        effects("tow", 0)


def small_network():
    preprocessing = jaxviz.Preprocessing(
        resize=12, crop=12, divisor=255, mean=(0, 0, 0), std=(1, 1, 1)
    )
    return jaxviz.Network(
        apply, PARAMS, preprocessing=preprocessing, roles={"logits": "classes"}, name="small"
    )


def pictures(number):
    return np.random.default_rng(0).integers(0, 256, (number, 12, 12, 3), np.uint8)


@pytest.mark.parametrize("layer", ["two", "mean"])
@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_maxima_are_those_of_the_maps(layer, batch_size):
    network, pixels, seen = small_network(), pictures(5), []
    found = analyses.channel_maxima(
        network, pixels, layer, batch_size=batch_size, progress=lambda *one: seen.append(one)
    )
    maps = apply(PARAMS, network.preprocessing.normalize(pixels))[layer].reshape(5, -1, 5)
    np.testing.assert_allclose(found.values, maps.max(axis=1), rtol=1e-5)
    width = 12 if layer == "two" else 1
    np.testing.assert_array_equal(found.rows * width + found.cols, maps.argmax(axis=1))
    np.testing.assert_allclose(found.means, np.maximum(maps, 0).mean(axis=1), rtol=1e-5)
    assert seen[-1] == (5, 5)


def test_every_number_is_in_its_tenth_and_examples_are_near_the_middle():
    values = np.random.default_rng(0).normal(size=400)
    found = analyses.tenths(values, k=3)
    assert found.counts.sum() == 400
    np.testing.assert_array_equal(found.counts, np.histogram(values, bins=10)[0])
    for tenth, examples in enumerate(found.examples):
        chosen = values[examples[examples >= 0]]
        assert (chosen >= found.edges[tenth]).all()
        assert (chosen <= found.edges[tenth + 1]).all()
        middle = (found.edges[tenth] + found.edges[tenth + 1]) / 2
        far = np.sort(np.abs(values - middle))
        np.testing.assert_allclose(np.abs(chosen - middle), far[: len(chosen)])


def test_equal_numbers_are_in_one_tenth():
    found = analyses.tenths(np.full(4, 2.0), k=5)
    assert found.counts.tolist() == [0] * 9 + [4]
    assert found.examples[9].tolist() == [0, 1, 2, 3, -1]
    with pytest.raises(InputError, match="all finite"):
        analyses.tenths(np.array([1, np.nan]))


def test_a_channel_of_brightness_does_not_mind_color_and_one_of_red_minus_green_does():
    network, pixels = small_network(), pictures(6)
    gray = analyses.in_gray(network, pixels)
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])
    np.testing.assert_array_equal(analyses.in_gray(network, gray), gray)
    kernels = jnp.array([[0.299, 1], [0.587, -1], [0.114, 0]]).reshape(1, 1, 3, 2)
    colors = jaxviz.Network(
        lambda params, images: {"maps": jax.nn.relu(images @ params[0, 0])}, kernels,
        preprocessing=network.spec.preprocessing, name="colors",
    )  # fmt: skip
    full, without = (analyses.channel_maxima(colors, one, "maps") for one in (pixels, gray))
    brightness = analyses.color_response(full, without, 0)
    assert brightness.ratio == pytest.approx(1, abs=0.01)
    assert brightness.correlation == pytest.approx(1, abs=0.01)
    opponent = analyses.color_response(full, without, 1)
    assert (opponent.ratio, opponent.map_ratio) == (0, 0)
    assert (opponent.weaker, opponent.pictures) == (6, 6)


def test_a_picture_in_which_a_channel_hardly_fires_does_not_decide_about_color():
    zeros = np.zeros((3, 1), np.int32)
    color, gray = (
        analyses.ChannelMaxima(values, zeros, zeros, values / 4)
        for values in (np.float32([[10], [1e-6], [-2]]), np.float32([[5], [1], [-3]]))
    )
    found = analyses.color_response(color, gray, 0)
    assert found.ratio == pytest.approx(0.6)
    assert (found.weaker, found.pictures) == (1, 2)
    silent = analyses.color_response(color._replace(values=-abs(color.values)), gray, 0)
    assert np.isnan(silent.ratio)
    assert silent.pictures == 2


def test_a_channel_that_never_fires_has_no_ratio():
    zeros = np.zeros((3, 1), np.float32)
    silent = analyses.ChannelMaxima(zeros, zeros, zeros, zeros)
    found = analyses.color_response(silent, silent, 0)
    assert found.pictures == 0
    assert np.isnan(found.ratio)


def test_a_network_of_other_samples_has_no_gray():
    network = jaxviz.Network(
        apply, PARAMS, preprocessing=jaxviz.Preprocessing(
            resize=12, crop=12, divisor=255, mean=(0,), std=(1,), channels="gray"
        ), name="gray",
    )  # fmt: skip
    with pytest.raises(InputError, match="does not take red, green and blue"):
        analyses.in_gray(network, pictures(1))
