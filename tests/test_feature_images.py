"""Feature images: closed forms, silent channels, and what must not change the answer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import ROOT, refusal, script_at
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from tolerances import assert_close

import jaxviz
from jaxviz import Transformations
from jaxviz.techniques.feature_images import colors
from jaxviz.techniques.feature_images.parametrizations import PARAMETRIZATIONS
from jaxviz.techniques.feature_images.transformations import NONE, sampled, transformed

KEY = jax.random.key(0)
SHAPE = (8, 10, 3)
RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(*SHAPE, 2)).astype(np.float32)


def linear(params, images):
    """Two scores, each a sum of the pixels with weights."""
    return {"scores": jnp.einsum("bhwc,hwck->bk", images, params, precision="highest")}


def silent(params, images):
    """Channels that do not fire where the image is gray: of brightness, of darkness, of any."""
    mean = images.mean(axis=3, keepdims=True)
    maps = jnp.concatenate([mean - 0.9, 0.1 - mean, mean], axis=3)
    return {"maps": jax.nn.relu(maps * params)}


def all_scores(outputs):
    return outputs["scores"]


def made(apply=linear, params=WEIGHTS, *, score=all_scores, **options):
    usual = {"key": KEY, "image_shape": SHAPE, "steps": 20, "transformations": NONE}
    return jaxviz.feature_images(apply, params, score=score, **(usual | options))


def test_a_step_on_a_linear_score_has_its_closed_form():
    start = made(parametrization="pixels", steps=1, optimizer=optax.sgd(0.0)).images
    found = made(parametrization="pixels", steps=1, optimizer=optax.sgd(0.1)).images
    logits = np.log(start / (1 - start))
    slope = np.moveaxis(WEIGHTS, 3, 0) * start * (1 - start)  # of the sigmoid
    moved = logits + 0.1 * slope @ colors.COLORS @ colors.COLORS.T
    assert_close(found, 1 / (1 + np.exp(-moved)))


@pytest.mark.parametrize(
    "optimizer", [optax.lbfgs(), optax.lion(0.1), optax.chain(optax.clip(1.0), optax.sgd(0.3))]
)
def test_any_optimizer_climbs(optimizer):
    found = made(optimizer=optimizer, parametrization="fourier")
    assert (found.scores > 2 * found.trace[:, 0]).all()


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_pixels_that_are_black_or_white_have_a_gradient(name):
    """However far a step goes, the next one starts from numbers."""
    found = made(optimizer=optax.sgd(1e6), parametrization=name, steps=3)
    assert np.isfinite(found.images).all()
    if name != "phases":
        assert {0, 1} <= set(np.unique(found.images).tolist())


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_every_number_gets_an_image_of_which_it_is_the_largest(name):
    found = made(parametrization=name)
    assert found.images.shape == (2, *SHAPE)
    assert found.trace.shape == (2, 20)
    assert found.images.min() > 0
    assert found.images.max() < 1
    scores = linear(WEIGHTS, found.images)["scores"]
    assert_close(found.scores, jnp.diagonal(scores))
    assert (found.scores > scores[[1, 0], [0, 1]]).all()
    assert (found.scores > found.trace[:, 0]).all()


@pytest.mark.parametrize(
    "score",
    [
        jaxviz.channel_mean("maps"), jaxviz.feature_map("maps"), jaxviz.unit("maps"),
        lambda outputs: outputs["maps"].mean(axis=(1, 2)),
    ],
)  # fmt: skip
def test_no_channel_stays_gray(score):
    found = made(silent, 1.0, score=score, parametrization="fourier", steps=200)
    assert (found.trace[:2, 0] == 0).all()
    assert (found.scores > 0).all()


def test_phases_keep_the_magnitudes():
    start = PARAMETRIZATIONS["phases"].start(KEY, SHAPE)
    image = PARAMETRIZATIONS["phases"].image(start, SHAPE)
    found = made(parametrization="phases").images[0]
    spectra = [np.abs(np.fft.rfft2(np.log(x / (1 - x)), axes=(0, 1))) for x in (image, found)]
    lines = spectra[0][1:4], spectra[1][1:4]  # those whose coefficients are free
    inner = [line[:, 1:5].sum(axis=2) for line in lines]
    np.testing.assert_allclose(*(one.mean() for one in inner), rtol=0.3)


def test_what_lies_together_in_a_chunk_is_made_alike():
    alone = made(chunk_size=1)
    assert_close(made(chunk_size=2).images, alone.images)
    assert_close(made(numbers=[1]).images[0], alone.images[1])
    assert_close(made(numbers=[1, 0], chunk_size=1).scores, alone.scores[::-1])


def test_jit_and_vmap_give_the_same():
    whole = made()
    under_jit = jax.jit(lambda params, key: made(params=params, key=key))(WEIGHTS, KEY)
    for one, other in zip(under_jit, whole, strict=True):
        assert_close(one, other)
    keys = jax.random.split(KEY, 2)
    by_keys = jax.vmap(lambda key: made(key=key).images)(keys)
    assert_close(by_keys[1], made(key=keys[1]).images)
    score = jax.vmap(lambda i: made(score=jaxviz.logit(i), steps=5).scores)(jnp.arange(2))
    assert_close(score[1], made(score=jaxviz.logit(1), steps=5).scores)


def test_a_class_for_each_image_and_scores_put_together():
    both = made(score=jaxviz.logit([1, 0]))
    assert_close(both.scores[0] > linear(WEIGHTS, both.images)["scores"][0, 0], True)
    apart = made(score=jaxviz.logit(0) - 2 * jaxviz.logit(1), parametrization="fourier")
    found = linear(WEIGHTS, apart.images)["scores"][0]
    assert_close(apart.scores[0], found[0] - 2 * found[1])
    alone = linear(WEIGHTS, made(parametrization="fourier").images)["scores"][0]
    assert found[0] - 2 * found[1] > alone[0] - 2 * alone[1]


def test_a_negative_score_gives_the_opposite():
    least = made(score=-jaxviz.logit(0), steps=60, parametrization="fourier")
    assert linear(WEIGHTS, least.images)["scores"][0, 0] < -10


def test_variants_differ_more_where_that_counts():
    def two_ways(params, images):
        """Excited by a red image or a green one, and a layer that tells them apart."""
        red, green = (images[..., i].mean(axis=(1, 2)) for i in (0, 1))
        return {"colors": images, "score": jax.nn.softplus(20 * jnp.stack([red, green])).sum(0)}

    def spread(diversity):
        found = made(
            two_ways, None, score=lambda outputs: outputs["score"], variants=2, steps=100,
            diversity=diversity, diversity_layer="colors", parametrization="fourier",
            optimizer=optax.adam(0.5),
        )  # fmt: skip
        assert found.images.shape == (2, *SHAPE)
        first, second = found.images.mean(axis=(1, 2))
        return float(jnp.abs(first - second).max())

    assert spread(1.0) > 0.3 > spread(0)


def test_variants_of_a_silent_layer_do_not_stay_gray():
    """Where nothing fires there is no likeness to speak of, and the gradient must not be lost."""

    def apply(params, images):
        return {"maps": jax.nn.relu(images @ params - 50)}

    weights = np.full((3, 4), 30, np.float32)
    score = jaxviz.channel_mean("maps", 0)
    options = {"score": score, "variants": 2, "steps": 200, "parametrization": "fourier"}
    assert (made(apply, weights, **options).scores > 0).all()


@settings(max_examples=8)
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)), seed=st.integers(0, 99),
    angle=st.floats(-90, 90), factor=st.floats(0.3, 3), shift=st.floats(-9, 9),
)  # fmt: skip
def test_images_are_sampled_as_scipy_does(size, seed, angle, factor, shift):
    images = np.random.default_rng(seed).uniform(size=(2, *size, 2)).astype(np.float32)
    rows, cols = np.mgrid[: size[0], : size[1]].astype(np.float32)
    turn = np.deg2rad(angle)
    places = np.float32(
        [(np.cos(turn) * rows - np.sin(turn) * cols) * factor + shift,
         (np.sin(turn) * rows + np.cos(turn) * cols) * factor]
    )  # fmt: skip
    found = sampled(images, *places)
    for batch in range(2):
        for channel in range(2):
            wanted = ndimage.map_coordinates(
                images[batch, ..., channel], places, order=1, mode="grid-constant", cval=0.5
            )
            np.testing.assert_allclose(found[batch, ..., channel], wanted, atol=1e-4)


def test_transformations_move_all_images_alike_and_by_the_key():
    image = RNG.uniform(size=(1, 9, 9, 3)).astype(np.float32)
    images = np.repeat(image, 2, axis=0)
    how = Transformations(noise=0.1)
    first = transformed(images, how, KEY)
    np.testing.assert_array_equal(first[0], first[1])
    np.testing.assert_array_equal(first, transformed(images, how, KEY))
    assert np.abs(first - transformed(images, how, jax.random.key(1))).max() > 0.1
    np.testing.assert_array_equal(transformed(images, NONE, KEY), images)


def test_progress_counts_the_steps():
    seen = []
    made(steps=20, chunk_size=1, progress=lambda *counts: seen.append(counts))
    assert seen == [(16, 40), (20, 40), (36, 40), (40, 40)]


def test_a_preview_shows_the_images_so_far_and_changes_nothing():
    seen = []
    found = made(steps=20, preview=seen.append)
    np.testing.assert_array_equal(found.images, made(steps=20).images)
    assert [one.shape for one in seen] == [found.images.shape] * 2
    np.testing.assert_allclose(seen[-1], found.images, atol=1e-6)
    assert np.abs(seen[0] - found.images).max() > 1e-3


def test_colors_and_spectrum_are_those_of_photographs():
    folder = ROOT.parent / "shared" / "imagenet_sample"
    if not folder.is_dir():
        pytest.skip("there are no photographs to measure")
    measured = script_at(ROOT / "weights" / "measure_photographs.py").measured(folder)
    wanted = colors.COLORS, colors.AMPLITUDES, colors.EXPONENTS
    for found, used in zip(measured, wanted, strict=True):
        np.testing.assert_allclose(found, used, atol=0.001)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": 3}, "key: expected a random key"),
        ({"image_shape": (8, 10)}, "image_shape: expected (height, width, channel)"),
        ({"steps": 0}, "steps: expected a positive whole number"),
        ({"numbers": [2]}, "numbers: expected 0 to 1"),
        ({"numbers": [0.5]}, "numbers: expected some whole numbers"),
        ({"variants": 0}, "variants: expected a positive whole number"),
        ({"variants": 2}, "diversity_layer: the score has no layer of its own"),
        ({"variants": 2, "diversity_layer": "sores"}, "layer: unknown name 'sores'"),
        ({"diversity": -1}, "diversity: expected a number, 0 or more"),
        ({"parametrization": "wavelets"}, "parametrization: unknown name 'wavelets'"),
        ({"transformations": Transformations(scale=(0, 1))}, "transformations: scale is (0, 1)"),
        ({"transformations": Transformations(shift=-1)}, "transformations: shift is -1"),
        ({"optimizer": 0.05}, "optimizer: expected one of optax"),
        ({"parametrization": 5}, "parametrization: expected fourier, phases, pixels or a Par"),
        ({"transformations": "none"}, "transformations: expected Transformations()"),
        ({"transformations": Transformations(scale=1.0)}, "transformations: scale is 1.0"),
        ({"prepare": 5}, "prepare: expected a function of pixels"),
        ({"key": jax.random.split(KEY, 2)}, "key: expected a random key, such as"),
        ({"numbers": []}, "numbers: expected some whole numbers"),
        ({"chunk_size": -3}, "chunk_size: expected a positive whole number"),
        ({"score": 3}, "score: expected a function of the outputs"),
        ({"score": lambda outputs: outputs["scores"].sum()}, "score: expected one array"),
    ],
)
def test_what_cannot_be_done_is_one_line(options, message, unchecked):
    assert message in refusal(made, **options)


def test_scores_that_do_not_go_together(unchecked):
    one, many = jaxviz.logit(0), jaxviz.channel_mean("scores")
    assert "score: a sum of scores of shapes" in refusal(made, score=one + many)
    assert "a class for each image cannot be added or multiplied" in refusal(
        lambda: one + jaxviz.logit([0, 1])
    )
    assert "can be multiplied by a number" in refusal(lambda: one * "2")
    assert "can be added to a score, got 3" in refusal(lambda: one + 3)
    assert "got 3 weights" in refusal(made, score=jaxviz.direction("scores", [1, 2, 3]))
    assert "expected a number for each channel" in refusal(jaxviz.direction, "scores", "ab")
    assert "can be divided by a number but 0" in refusal(lambda: one / 0)
    assert "can be multiplied by a number" in refusal(lambda: one * 10**400)
    assert "can be added to a score, got 1" in refusal(lambda: 1 - one)
    assert one / jnp.float32(4) == one * np.float32(0.25) == 0.25 * one
    assert sum([one, one, one]) == one + one + one
    assert one - one == jaxviz.logit(0) - jaxviz.logit(0)
