"""Layers of tokens as maps: every token at the place of its patch, for whatever works on maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from hypothesis import given
from hypothesis import strategies as st
from user_networks import vit, vit_params

import jaxviz
from jaxviz.networks.tokens import token_grids

HEADS, WIDTH, SIDE = 2, 6, 4


def with_class_token(params, images):
    """Patches of 4 x 4 pixels, a token for the class before them, attention of two heads."""
    number = len(images)
    patches = images[:, ::SIDE, ::SIDE] @ params["patches"]
    tokens = patches.reshape(number, -1, WIDTH)
    first = jnp.broadcast_to(params["class"][None, None], (number, 1, WIDTH))
    x = jnp.concatenate([first, tokens], axis=1)
    split = x.reshape(number, -1, HEADS, WIDTH // HEADS)
    weights = jax.nn.softmax(jnp.einsum("nqhc,nkhc->nhqk", split, split))
    mixed = jnp.einsum("nhqk,nkhc->nqhc", weights, split).reshape(x.shape)
    x = x + mixed @ params["project"]
    return {"patches": patches, "attention": weights, "block": x, "logits": x[:, 0]}


def network():
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = {"patches": (3, WIDTH), "class": (WIDTH,), "project": (WIDTH, WIDTH)}
    params = {
        name: jax.random.normal(key, shape)
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    roles = {"logits": "logits", "deep_layers": ("patches",)}
    return jaxviz.Network(with_class_token, params, roles=roles, labels=list("abcdef"))


IMAGES = np.asarray(jax.random.normal(jax.random.key(1), (3, 12, 20, 3)))


def test_tokens_stand_at_the_places_of_their_patches():
    plain = network()
    placed = jaxviz.with_token_maps(plain, IMAGES.shape[1:])
    shapes = placed.layers(IMAGES.shape[1:])
    assert list(shapes) == [
        "patches", "attention", "attention/grid", "block", "block/grid", "logits",
    ]  # fmt: skip
    assert shapes["block/grid"] == (3, 5, WIDTH)
    assert shapes["attention/grid"] == (3, 5, HEADS)
    outputs = placed.apply(placed.params, jnp.asarray(IMAGES))
    for row in range(3):
        for col in range(5):
            token = 1 + row * 5 + col
            np.testing.assert_array_equal(
                outputs["block/grid"][:, row, col], outputs["block"][:, token]
            )
            np.testing.assert_array_equal(
                outputs["attention/grid"][:, row, col], outputs["attention"][:, :, 0, token]
            )
    assert placed.spec.deep_layers == ("patches", "block/grid")
    assert placed.labels == plain.labels


def test_attention_without_a_class_token_is_averaged():
    shapes = {"map": (2, 3, 8), "attention": (4, 6, 6), "tokens": (6, 8)}
    grid = token_grids(shapes)["attention"]
    values = np.random.default_rng(0).random((2, 4, 6, 6))
    expected = values.mean(axis=2).transpose(0, 2, 1).reshape(2, 2, 3, 4)
    np.testing.assert_allclose(grid.maps(values), expected)


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 8), st.integers(1, 9))
def test_the_grid_is_that_of_the_map_before(rows, cols, others, channels):
    found = token_grids({"map": (rows, cols, 3), "tokens": (rows * cols + others, channels)})
    assert found["tokens"][:3] == (rows, cols, others)


def test_what_is_no_row_of_tokens_has_no_grid():
    shapes = {"conv": (7, 9, 4), "queries": (100, 8), "vector": (63,), "pooled": (1, 1, 4)}
    assert token_grids(shapes) == {}
    assert token_grids({"words": (12, 8)}) == {}
    assert token_grids({"conv1": (4, 4, 3), "conv2": (8, 16, 16), "conv3": (4, 8, 8)}) == {}
    plain = jaxviz.load("squeezenet")
    assert jaxviz.with_token_maps(plain) is plain


def test_what_works_on_maps_works_on_tokens():
    made = jaxviz.with_token_maps(network(), IMAGES.shape[1:])
    run, layer = (made.apply, made.params), "block/grid"
    outputs = made.apply(made.params, jnp.asarray(IMAGES))
    score = jaxviz.unit(layer, 2, 1, 3)
    np.testing.assert_array_equal(score(outputs), outputs["block"][:, 1 + 8, 2])
    top = jaxviz.top_patches(*run, [IMAGES], layers=layer, k=1)[layer]
    best = np.asarray(outputs["block"][:, 1:]).max(axis=(0, 1))
    np.testing.assert_allclose(top.values[:, 0], best, rtol=1e-5)
    cam = jaxviz.grad_cam(*run, IMAGES, score=jaxviz.logit(0), layer=layer)
    assert cam.heatmap.shape == IMAGES.shape[:3]
    seen = jaxviz.receptive_field(*run, IMAGES.shape[1:], layer=layer)
    assert seen.size == (12, 20)  # attention sees everything


def test_images_of_another_shape_are_refused():
    made = jaxviz.with_token_maps(network(), IMAGES.shape[1:])
    turned = jnp.asarray(IMAGES).swapaxes(1, 2)  # as many tokens, in other places
    assert "need with_token_maps of their own" in refusal(made.apply, made.params, turned)


@pytest.mark.once
def test_a_transformer_of_a_file_shows_its_tokens(tmp_path):
    """From the command line, with nothing said but the size and the range."""
    (tmp_path / "net.py").write_text(
        "from user_networks import vit, vit_params\n\ndef make():\n    return vit, vit_params()\n"
    )
    (tmp_path / "net.toml").write_text("size = 16\nrange = [0, 1]\n")
    opened = jaxviz.open_network(f"{tmp_path / 'net.py'}:make")
    last = opened.spec.deep_layers[-1]
    assert last.endswith("/grid")
    assert opened.layers()[last] == (4, 4, 8)
    pixels = np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)
    found = jaxviz.analyses.activations(opened, pixels, last, top=2)
    assert found.maps.shape == (4, 4, 8)
    means = found.maps.mean(axis=(0, 1))  # the transformer ends in the mean of its tokens
    expected = vit(vit_params() | {"head": np.eye(8)}, opened.preprocess([pixels]))
    np.testing.assert_allclose(means, expected[0], atol=1e-5)
