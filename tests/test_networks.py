"""What a loaded network offers: layers, kernels, classes; and what it says of what it lacks."""

import jax
import numpy as np
import pytest
from conftest import refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_close

import jaxviz
from jaxviz.networks.alexnet import adaptive_average_pool
from jaxviz.networks.catalog import parameter_shapes
from jaxviz.networks.layers import max_pool


@pytest.mark.parametrize("name", jaxviz.networks())
def test_parameters_are_float32_whatever_the_default(name):
    """As their files hold them, also where JAX makes numbers of 64 bits."""
    for shapes in parameter_shapes(name):
        assert {str(one.dtype) for one in shapes.values()} == {"float32"}


def test_the_shipped_alexnet_ends_at_pool5(alexnet):
    assert alexnet.layers() == {
        "conv1": (55, 55, 64),
        "pool1": (27, 27, 64),
        "conv2": (27, 27, 192),
        "pool2": (13, 13, 192),
        "conv3": (13, 13, 384),
        "conv4": (13, 13, 256),
        "conv5": (13, 13, 256),
        "pool5": (6, 6, 256),
    }
    assert alexnet.spec.logits is None
    assert alexnet.labels == ()
    assert sum(leaf.size for leaf in jax.tree.leaves(alexnet.params)) == 2_469_696


def test_a_complete_file_gives_the_dense_layers_and_1000_classes(complete_alexnet):
    layers = list(complete_alexnet.layers().items())
    assert layers[7:] == [
        ("pool5", (6, 6, 256)),
        ("fc6", (4096,)),
        ("fc7", (4096,)),
        ("fc8", (1000,)),
    ]
    assert len(complete_alexnet.labels) == 1000
    assert complete_alexnet.spec.logits == "fc8"
    assert complete_alexnet.spec.feature_layer == "fc7"
    assert complete_alexnet.class_index("tabby") == 281
    assert sum(leaf.size for leaf in jax.tree.leaves(complete_alexnet.params)) == 61_100_840


def test_the_complete_network_takes_other_image_sizes(complete_alexnet):
    image = np.random.default_rng(0).normal(size=(2, 127, 300, 3)).astype(np.float32)
    maps = jaxviz.activation_maps(
        complete_alexnet.apply, complete_alexnet.params, image, layers=["pool5", "fc8"]
    )
    assert maps["pool5"].shape == (2, 3, 8, 256)
    assert maps["fc8"].shape == (2, 1000)


@pytest.mark.parametrize("what", ["fc6", "fc8", "class", "logit"])
def test_asking_shipped_alexnet_for_more_says_how_to_bring_it(what, alexnet):
    image = np.zeros((1, 224, 224, 3), np.float32)
    run = alexnet.apply, alexnet.params, image
    if what == "class":
        message = refusal(alexnet.class_index, "tabby")
    elif what == "logit":
        score = jaxviz.logit(281)
        message = refusal(jaxviz.occlusion_map, *run, score=score, window=112, stride=112, fill=0.0)
    else:
        message = refusal(jaxviz.activation_maps, *run, layers=what)
        assert "pool5" in message
    assert "not shipped" in message
    assert "--weights FILE" in message


def test_an_unknown_layer_is_refused_with_the_valid_ones(squeezenet):
    image = np.zeros((1, 227, 227, 3), np.float32)
    message = refusal(
        jaxviz.features, squeezenet.apply, squeezenet.params, image, layer="fire2/expand"
    )
    assert all(layer in message for layer in squeezenet.layers())


@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def test_kernels_are_found_by_layer(name, request):
    network = request.getfixturevalue(name)
    assert network.kernel(network.spec.first_layer).shape[2] == 3
    assert network.kernel(network.spec.middle_layer).ndim == 4
    assert "pool1" in refusal(network.kernel, "pool1")


def test_every_class_is_found_by_its_index_and_by_names_that_are_its_own(squeezenet):
    owners = {}
    for index, label in enumerate(squeezenet.labels):
        assert squeezenet.class_index(index) == index == squeezenet.class_index(f" {index} ")
        for name in {name.strip() for name in label.split(",")}:
            owners.setdefault(name.lower(), []).append(index)
    for name, indices in owners.items():
        if len(indices) == 1:
            assert squeezenet.class_index(name.upper()) == indices[0]
        else:
            message = refusal(squeezenet.class_index, name)
            assert all(str(index) in message for index in indices)
    assert owners["crane"] == [134, 517]


def test_a_target_is_a_class_or_refused_in_one_line(squeezenet):
    odd = st.sampled_from(["²", "--5", "1000", "-1", "", "٣", "dog", "-"])

    @settings(max_examples=30)
    @given(st.one_of(st.text(max_size=9), st.integers(), odd))
    def check(target):
        try:
            assert 0 <= squeezenet.class_index(target) < 1000
        except jaxviz.InputError as error:
            assert str(error).startswith("target: ")
            assert "\n" not in str(error)

    check()


@settings(max_examples=12)
@given(st.integers(6, 30), st.integers(6, 30), st.integers(1, 6))
def test_adaptive_pooling_averages_the_cells_of_its_definition(height, width, size):
    x = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype(np.float32)
    found = np.asarray(adaptive_average_pool(jax.numpy.asarray(x), size))
    for i in range(size):
        for j in range(size):
            rows = slice(i * height // size, -(-(i + 1) * height // size))
            cols = slice(j * width // size, -(-(j + 1) * width // size))
            assert_close(found[:, i, j], x[:, rows, cols].mean(axis=(1, 2)))


@pytest.mark.parametrize("side, floor, ceil", [(5, 2, 2), (6, 2, 3), (7, 3, 3), (112, 55, 56)])
def test_ceil_pooling_keeps_the_partly_filled_window(side, floor, ceil):
    x = -np.arange(1.0, side + 1, dtype=np.float32)[None, :, None, None] * np.ones((1, 1, side, 1))
    x = jax.numpy.asarray(x, np.float32)  # all negative: padding with zeros would show
    assert max_pool(x).shape == (1, floor, floor, 1)
    pooled = max_pool(x, ceil=True)
    assert pooled.shape == (1, ceil, ceil, 1)
    wanted = [-(2 * i + 1) for i in range(ceil)]
    assert pooled[0, :, 0, 0].tolist() == wanted
