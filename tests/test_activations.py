"""Activation maps, features and scores: any network fits, and only what is asked is computed."""

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxviz
from jaxviz import InputError


class Small(linen.Module):
    """A Linen network, to show that the techniques know no Flax."""

    @linen.compact
    def __call__(self, images):
        conv = linen.relu(linen.Conv(4, (3, 3))(images))
        return {"conv": conv, "out": linen.Dense(3)(conv.mean(axis=(1, 2)))}


@pytest.fixture(scope="module")
def small():
    module = Small()
    images = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6, 5, 2)), jnp.float32)
    return module.apply, module.init(jax.random.key(0), images), images


def test_maps_are_the_outputs_in_the_order_asked(small):
    apply, params, images = small
    maps = jaxviz.activation_maps(apply, params, images, layers=["out", "conv"])
    assert list(maps) == ["out", "conv"]
    for name, value in apply(params, images).items():
        np.testing.assert_allclose(maps[name], value, rtol=1e-5, atol=1e-6)


def test_a_compiled_forward_pass_answers_batches_of_any_size(small):
    apply, params, images = small
    forward = jaxviz.compiled_forward(apply, params, layers=["out", "conv"])
    for number in (1, 3, 8, 20):  # a CPU takes many a few at a time
        batch = jnp.concatenate([images * (1 + i) for i in range(7)])[:number]
        found = forward(batch)
        assert list(found) == ["out", "conv"]
        for name, value in apply(params, batch).items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="valid: conv, out"):
        jaxviz.compiled_forward(apply, params, layers="ou")(images)


def test_a_compiled_forward_pass_keeps_the_parameters_that_it_was_given():
    params = {"scale": np.float32(2)}
    forward = jaxviz.compiled_forward(
        lambda params, images: {"out": images * params["scale"]}, params, layers="out"
    )
    params["scale"] = np.float32(5)
    for number in (1, 2):
        np.testing.assert_array_equal(forward(np.ones((number, 2, 2, 1), np.float32))["out"], 2)


def test_a_compiled_forward_pass_refuses_images_that_depend_on_one_another():
    def centered(params, images):
        return {"out": images - images.mean(axis=0)}

    forward = jaxviz.compiled_forward(centered, (), layers="out")
    with pytest.raises(InputError, match="depend on"):
        forward(np.ones((16, 2, 2, 1), np.float32))


def test_what_nobody_asked_for_is_not_computed():
    def apply(params, images):
        def explode(_):
            raise AssertionError("computed")

        shape = jax.ShapeDtypeStruct((), jnp.float32)
        return {"first": images * 2, "later": jax.pure_callback(explode, shape, images.sum())}

    images = np.ones((1, 2, 2, 1), np.float32)
    maps = jaxviz.activation_maps(apply, None, images, layers="first")
    np.testing.assert_array_equal(maps["first"], 2)


def test_jit_and_vmap_change_nothing(small):
    apply, params, images = small

    def ask(batch):
        return jaxviz.activation_maps(apply, params, batch, layers="conv")["conv"]

    plain = ask(images)
    np.testing.assert_allclose(jax.jit(ask)(images), plain, rtol=1e-5, atol=1e-6)
    mapped = jax.vmap(lambda image: ask(image[None])[0])(images)
    np.testing.assert_allclose(mapped, plain, rtol=1e-5, atol=1e-6)


def test_features_are_flat_in_row_col_channel_order(small):
    apply, params, images = small
    vectors = jaxviz.features(apply, params, images, layer="conv")
    maps = jaxviz.activation_maps(apply, params, images, layers="conv")["conv"]
    assert vectors.shape == (3, 6 * 5 * 4)
    assert float(vectors[2, (4 * 5 + 3) * 4 + 1]) == float(maps[2, 4, 3, 1])


def test_scores_are_what_their_names_say(small):
    apply, params, images = small
    outputs = apply(params, images)
    logits = np.asarray(outputs["out"], np.float64)
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(jaxviz.logit(1)(outputs), logits[:, 1], **close)
    np.testing.assert_allclose(jaxviz.probability(1)(outputs), share[:, 1], **close)
    np.testing.assert_allclose(jaxviz.log_probability(1)(outputs), np.log(share[:, 1]), **close)
    maps = np.asarray(outputs["conv"])
    np.testing.assert_allclose(
        jaxviz.feature_map("conv", 2)(outputs), maps[..., 2].sum((1, 2)), **close
    )
    np.testing.assert_array_equal(jaxviz.unit("conv", 2, 5, 4)(outputs), maps[:, 5, 4, 2])


def test_equal_scores_are_equal_so_compiled_code_is_found_again():
    assert jaxviz.logit(3) == jaxviz.logit(3) != jaxviz.logit(4)
    assert hash(jaxviz.unit("a", 1, 2, 3)) == hash(jaxviz.unit("a", 1, 2, 3))
    assert jaxviz.probability(3) != jaxviz.log_probability(3)


def test_logits_sorted_away_by_jit_are_not_guessed():
    """jit sorts a plain dict: the last entry is then a map, which is refused, not misread."""
    sorted_outputs = {"fc": jnp.zeros((1, 3)), "pool": jnp.zeros((1, 2, 2, 4))}
    with pytest.raises(InputError, match="pool"):
        jaxviz.logit(0)(sorted_outputs)
    assert jaxviz.logit(0, layer="fc")(sorted_outputs).shape == (1,)


@pytest.mark.parametrize(
    ("images", "layers", "said"),
    [
        (np.ones((6, 5, 2), np.float32), "conv", "batch, height, width, channel"),
        (np.ones((1, 6, 5, 2), np.uint8), "conv", "float"),
        (np.ones((1, 6, 5, 2), np.float32), "conv3", "valid: conv, out"),
        (np.ones((1, 6, 5, 2), np.float32), [], "a name or several"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused_in_one_line(small, images, layers, said):
    apply, params, _ = small
    with pytest.raises(InputError, match=said) as caught:
        jaxviz.activation_maps(apply, params, images, layers=layers)
    assert "\n" not in str(caught.value)


def test_strongest_channels_come_strongest_first():
    maps = np.zeros((2, 2, 4), np.float32)
    maps[1, 0] = [1, 9, 9, 3]
    assert jaxviz.strongest_channels(maps, k=3).tolist() == [1, 2, 3]
    with pytest.raises(InputError, match="1 to 4"):
        jaxviz.strongest_channels(maps, k=5)
