"""The explorer's views of a channel: they answer what the functions return."""

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import jaxviz
from jaxviz import InputError, analyses, sweep
from jaxviz._blur import blurred
from jaxviz.explore.lanes import Dropped
from jaxviz.explore.query import Query
from jaxviz.explore.session import Session
from jaxviz.explore.views import VIEWS

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
PICTURES = [ROOT / "examples" / "images" / name for name in (
    "cat/chelsea.png", "food/coffee.png", "person/astronaut.png",
)]  # fmt: skip
FUNCTIONS = {
    "guided-backpropagation": jaxviz.guided_backpropagation,
    "deconvolution": jaxviz.deconvolution,
    "gradient": jaxviz.gradient,
}


@pytest.fixture(scope="module")
def session():
    network = jaxviz.load("alexnet")
    return Session(network, None, PICTURES)


def ask(session, name, check=lambda: None, **parameters):
    """The answer of a view to the first picture, or its parts."""
    parameters = {"picture": session.shelf.named[0].id, "layer": "conv2"} | parameters
    query = Query({key: str(value) for key, value in parameters.items()})
    answer = VIEWS[name].answer(session, query, check)
    return answer if hasattr(answer, "arrays") else list(answer)


def run(session):
    network = session.network
    pixels = session.shelf.named[0].pixels[network.name]
    return network.apply, network.params, network.preprocessing.normalize(pixels[None])


@pytest.mark.parametrize("method", FUNCTIONS)
def test_gradients_of_a_map_are_those_of_the_function_in_all_forms(session, method):
    found = ask(session, "gradients", channel=7, method=method)
    expected = FUNCTIONS[method](*run(session), score=jaxviz.map_energy("conv2", 7))
    values = np.asarray(expected.values[0])
    bound = {"rtol": 1e-3, "atol": 1e-4 * np.abs(values).max()}
    np.testing.assert_allclose(found.arrays["color"], values, **bound)
    np.testing.assert_allclose(found.arrays["gray"], values.mean(axis=-1), **bound)
    norm = np.sqrt((values**2).sum(axis=-1))
    np.testing.assert_allclose(found.arrays["norm"], norm, **bound)
    soft = blurred(norm[None, ..., None], 4.0)[0, ..., 0]
    np.testing.assert_allclose(found.arrays["blurred"], soft, **bound)
    assert found.header["score"] == pytest.approx(float(expected.baseline[0]), rel=1e-3)


@pytest.mark.parametrize("place", [{}, {"row": 3, "col": 11}])
def test_gradients_of_a_unit_are_those_of_the_function(session, place):
    found = ask(session, "gradients", channel=9, origin="unit", method="gradient", **place)
    maps = jaxviz.activation_maps(*run(session), layers="conv2")["conv2"][0, ..., 9]
    row, col = place.values() if place else np.unravel_index(int(maps.argmax()), maps.shape)
    assert (found.header["row"], found.header["col"]) == (row, col)
    assert found.header["score"] == pytest.approx(float(maps[row, col]), rel=1e-4, abs=1e-5)
    score = jaxviz.unit("conv2", 9, int(row), int(col))
    values = np.asarray(jaxviz.gradient(*run(session), score=score).values[0])
    np.testing.assert_allclose(found.arrays["color"], values, rtol=1e-3, atol=1e-5)


def small(activation, kernel=None):
    """A session of a network of one small layer, "maps"."""
    kernel = np.eye(3, 4).reshape(1, 1, 3, 4) if kernel is None else kernel
    axes = ("NHWC", "HWIO", "NHWC")

    def apply(params, images):
        maps = jax.lax.conv_general_dilated(images, params, (1, 1), "SAME", dimension_numbers=axes)
        return {"maps": activation(maps)}

    network = jaxviz.Network(
        apply, np.float32(kernel),
        preprocessing=jaxviz.Preprocessing(
            resize=24, crop=24, divisor=255, mean=(0.5, 0.5, 0.5), std=(1, 1, 1)
        ), name="small",
    )  # fmt: skip
    return Session(network, None, PICTURES[:1])


def test_a_network_without_relus_has_no_guided_backpropagation():
    session = small(jax.numpy.tanh)
    with pytest.raises(InputError, match="has no ReLU") as said:
        ask(session, "gradients", layer="maps", channel=1)
    assert "\n" not in str(said.value)
    assert ask(session, "gradients", layer="maps", channel=1, method="gradient").arrays


def test_effects_are_the_weights_where_the_layer_is_the_last():
    network = jaxviz.load("efficientnet_lite0")
    session = Session(network, network, PICTURES[:1])
    found = ask(session, "effects", layer="pool", channel=40, k=3)
    (kernel,) = (one for one in jax.tree.leaves(network.params) if one.shape == (1280, 1000))
    np.testing.assert_allclose(found.arrays["effects"], kernel[40], rtol=1e-5)
    order = np.argsort(-np.asarray(kernel[40]))
    assert [one["index"] for one in found.header["raised"]] == order[:3].tolist()
    assert [one["index"] for one in found.header["lowered"]] == order[:-4:-1].tolist()
    assert found.header["raised"][0]["name"] == network.label(int(order[0]))


def test_the_spread_is_that_of_the_maxima_with_patches_of_each_tenth(session):
    found = ask(session, "spread", layer="conv5", channel=124, k=2)
    pixels = session.pictures.pixels
    maxima = analyses.channel_maxima(session.network, pixels, "conv5")
    expected = analyses.tenths(maxima.values[:, 124], k=2)
    np.testing.assert_array_equal(found.arrays["counts"], expected.counts)
    np.testing.assert_allclose(found.header["edges"], expected.edges)
    units = found.header["units"]
    assert [one["tenth"] for one in units] == sorted(one["tenth"] for one in units)
    for unit, patch in zip(units, found.arrays["pixels"], strict=True):
        number = [one.id for one in session.shelf.named].index(unit["picture"])
        assert unit["value"] == pytest.approx(float(maxima.values[number, 124]))
        top, left = unit["box"][:2]
        row, col = max(0, -top), max(0, -left)  # where the patch is within the picture
        np.testing.assert_array_equal(
            patch[row, col], session.shelf.named[number].pixels["alexnet"][top + row, left + col]
        )


def test_the_strongest_patches_are_the_top_of_the_spread(session):
    best = ask(session, "patches", layer="conv5", channel=124, k=1).header["units"][0]
    last = ask(session, "spread", layer="conv5", channel=124).header["units"][-1]
    assert {key: best[key] for key in ("picture", "row", "col")} == {
        key: last[key] for key in ("picture", "row", "col")
    }
    assert best["value"] == pytest.approx(last["value"], rel=1e-4)


def test_a_unit_that_sees_more_than_the_picture_is_shown_the_whole_picture():
    session = small(jax.nn.relu, np.ones((31, 5, 3, 2)))
    found = ask(session, "patches", layer="maps", channel=0)
    assert found.arrays["pixels"].shape == (1, 24, 5, 3)
    row, col = (found.header["units"][0][key] for key in ("row", "col"))
    assert found.header["units"][0]["box"] == (row - 15, col - 2, row + 16, col + 3)
    pixels = session.shelf.named[0].pixels["small"]
    inside = slice(max(0, 2 - col), 24 + 2 - col)  # the columns that are within the picture
    expected = pixels[:, max(0, col - 2) : col + 3]
    np.testing.assert_array_equal(found.arrays["pixels"][0][:, inside], expected)


def test_what_color_means_is_what_the_functions_say(session):
    found = ask(session, "color", layer="conv1", channel=5)
    network, pixels = session.network, session.pictures.pixels
    gray = analyses.in_gray(network, pixels)
    full, without = (analyses.channel_maxima(network, one, "conv1") for one in (pixels, gray))
    expected = analyses.color_response(full, without, 5)
    assert found.header["ratio"] == pytest.approx(expected.ratio)
    assert found.header["map_ratio"] == pytest.approx(expected.map_ratio)
    np.testing.assert_array_equal(found.arrays["pixels"], gray[0])
    images = network.preprocessing.normalize(gray[:1])
    maps = jaxviz.activation_maps(network.apply, network.params, images, layers="conv1")
    np.testing.assert_allclose(found.arrays["gray"], maps["conv1"][0, ..., 5], rtol=1e-4, atol=1e-4)


def test_tiles_are_the_best_patches(session):
    found = ask(session, "tiles", layer="conv1", side=11)
    assert found.arrays["pixels"].shape == (64, 11, 11, 3)
    for channel in (0, 17, 63):  # a unit of conv1 sees 11 x 11 pixels, so nothing is resized
        best = ask(session, "patches", layer="conv1", channel=channel, k=1)
        assert found.arrays["values"][channel] == pytest.approx(
            best.header["units"][0]["value"], rel=1e-4
        )
        np.testing.assert_array_equal(found.arrays["pixels"][channel], best.arrays["pixels"][0])


def test_an_image_comes_to_be_step_by_step_and_is_that_of_the_function():
    session = small(jax.nn.relu)
    parts = ask(session, "made", layer="maps", channel=1, steps=20)
    assert [one.header["done"] for one in parts] == [0, 16, 20, 20]
    first, last = parts[1].arrays["pixels"], parts[-1].arrays["pixels"]
    assert np.abs(first.astype(int) - last).mean() > 1
    expected = analyses.feature_images(session.network, layer="maps", channels=[1], steps=20)
    assert np.abs(last.astype(int) - expected.images[0]).mean() < 1
    assert parts[-1].header["peak"] == pytest.approx(float(expected.peaks[0]), rel=0.02)


def test_images_that_are_there_come_at_once():
    network = small(jax.nn.relu).network
    size = network.preprocessing.fitted_shape
    pixels = np.random.default_rng(0).integers(0, 256, (3, *size), np.uint8)
    own = sweep.ChannelImages(pixels, np.array([1, 1, 0]), np.ones(3), np.ones((3, 256)))
    session = Session(network, None, PICTURES[:1], images={"maps": own})
    (found,) = ask(session, "made", layer="maps", channel=1, steps=128)
    np.testing.assert_array_equal(found.arrays["pixels"], pixels[0])
    maps = jaxviz.activation_maps(
        network.apply, network.params, network.preprocessing.normalize(pixels[:1]), layers="maps"
    )["maps"]
    assert found.header["peak"] == pytest.approx(float(maps[..., 1].max()), rel=1e-4)
    assert found.header["steps"] == 256
    assert len(ask(session, "made", layer="maps", channel=1, steps=300)) > 1  # more than are there
    (kept,) = ask(session, "made", layer="maps", channel=1, steps=300)
    assert kept.header["steps"] == 300


def test_the_wall_gets_the_images_that_were_made():
    session = small(jax.nn.relu)
    assert ask(session, "images", layer="maps").arrays["channels"].size == 0
    *_, made = ask(session, "made", layer="maps", channel=1, steps=2)
    side = made.arrays["pixels"].shape[0]
    found = ask(session, "images", layer="maps", side=side)
    assert found.arrays["channels"].tolist() == [1]
    expected = Image.fromarray(made.arrays["pixels"]).resize((side, side), Image.Resampling.BOX)
    np.testing.assert_array_equal(found.arrays["pixels"][0], np.asarray(expected))


def test_an_image_that_no_one_waits_for_is_not_made():
    session, calls = small(jax.nn.relu), []

    def check():
        calls.append(1)
        if len(calls) == 2:
            raise Dropped

    with pytest.raises(Dropped):
        ask(session, "made", check, layer="maps", channel=1, steps=1024)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("said", "parameters"),
    [
        ("method: unknown name", {"method": "magic"}),
        ("origin: unknown name", {"origin": "center"}),
        ("row: expected 0 to 26, got 27", {"origin": "unit", "row": 27, "col": 0}),
        ("col: missing", {"origin": "unit", "row": 1}),
        ("channel: expected 0 to 191", {"channel": 384}),
    ],
)
def test_a_mistake_is_a_message(session, said, parameters):
    with pytest.raises(InputError, match=said):
        ask(session, "gradients", **({"channel": 0} | parameters))


def test_a_network_without_classes_has_no_effects(session):
    with pytest.raises(InputError, match="classes: AlexNet has none"):
        ask(session, "effects", channel=0)
