"""The AlexNet that Caffe has, with random weights: its layers, and everything that is shown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from tolerances import assert_close

import jaxviz
from jaxviz.networks import catalog
from jaxviz.networks.layers import convolution_by_group, local_response_norm
from jaxviz.networks.weights_files import save_weights

pytestmark = pytest.mark.optimized

NETWORKS = ("caffe_alexnet", "caffenet")
TAIL = {
    "conv3": (13, 13, 384),
    "conv4": (13, 13, 384),
    "conv5": (13, 13, 256),
    "pool5": (6, 6, 256),
    "fc6": (4096,),
    "fc7": (4096,),
    "fc8": (1000,),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, caffe_weights):
    return jaxviz.load(request.param, weights=caffe_weights)


@pytest.fixture(scope="module")
def photograph(photographs):
    return photographs / "cat" / "chelsea.png"


def test_layers_are_those_of_the_paper_in_each_order(caffe_weights):
    first = {
        "caffe_alexnet": {
            "conv1": (55, 55, 96),
            "norm1": (55, 55, 96),
            "pool1": (27, 27, 96),
            "conv2": (27, 27, 256),
            "norm2": (27, 27, 256),
            "pool2": (13, 13, 256),
        },
        "caffenet": {
            "conv1": (55, 55, 96),
            "pool1": (27, 27, 96),
            "norm1": (27, 27, 96),
            "conv2": (27, 27, 256),
            "pool2": (13, 13, 256),
            "norm2": (13, 13, 256),
        },
    }
    for name, layers in first.items():
        network = jaxviz.load(name, weights=caffe_weights)
        assert list(network.layers().items()) == list((layers | TAIL).items())
        assert network.class_index("tabby") == 281
    assert sum(leaf.size for leaf in jax.tree.leaves(network.params)) == 60_965_224


@pytest.mark.parametrize("name", NETWORKS)
def test_without_a_file_one_line_says_how_to_bring_one(name, command, tmp_path, photograph):
    message = refusal(jaxviz.load, name)
    assert message.startswith(f"weights: {name} ")
    assert "jaxviz weights port FILE" in message
    code, out, err = command("activations", photograph, "--network", name, "-o", tmp_path / "x.png")
    assert (code, out) == (2, "")
    assert "--weights OUT" in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_made_for_the_twin_with_the_same_tensors_is_refused(caffe_weights, tmp_path):
    tensors = load_file(caffe_weights)
    file = save_weights(tmp_path / "twin.safetensors", tensors, {"network": "caffenet"})
    assert jaxviz.load("caffenet", weights=file).name == "caffenet"
    assert "made for caffenet" in refusal(jaxviz.load, "caffe_alexnet", weights=file)


def test_the_geometry_in_a_files_metadata_is_kept(caffe_weights, tmp_path):
    tensors = load_file(caffe_weights)
    metadata = {"network": "caffe_alexnet", "geometry": "224"}
    file = save_weights(tmp_path / "224.safetensors", tensors, metadata)
    network = jaxviz.load("caffe_alexnet", weights=file)
    sides = [shape[0] for layer, shape in network.layers().items() if layer[:4] in ("conv", "pool")]
    assert sides == [54, 26, 26, 12, 12, 12, 12, 6]
    assert network.spec.preprocessing.crop == 224
    assert network.provenance["geometry"] == "224"
    file = save_weights(file, tensors, {"geometry": "225"})
    assert "valid: 224" in refusal(jaxviz.load, "caffe_alexnet", weights=file)


def test_caffe_keeps_the_partly_filled_windows(caffe_weights):
    network = jaxviz.load("caffe_alexnet", weights=caffe_weights)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    shapes = jax.eval_shape(network.apply, network.params, images)
    assert [shapes[f"pool{i}"].shape[1] for i in (1, 2, 5)] == [27, 13, 6]  # not 26, 12, 5


def test_pictures_become_rgb_from_0_to_255_minus_the_means(network):
    preprocessing = network.spec.preprocessing
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[...] = (123, 117, 104)
    images = np.asarray(network.preprocess([picture]))
    assert images.shape == (1, 227, 227, 3)
    assert_close(images[0, 0, 0], [123 - 122.6789, 117 - 116.6688, 104 - 104.0070])
    assert preprocessing.resize == 256


@settings(max_examples=12)
@given(st.integers(1, 12), st.integers(0, 2), st.floats(1e-4, 2.0), st.floats(0.5, 3.0))
def test_normalization_is_the_sum_of_its_definition(channels, half, alpha, k):
    x = np.random.default_rng(channels).normal(size=(1, 2, 3, channels)).astype(np.float32) * 9
    size = 2 * half + 1
    found = local_response_norm(jnp.asarray(x), size=size, alpha=alpha, k=k)
    for channel in range(channels):
        near = x[..., max(0, channel - half) : channel + half + 1].astype(np.float64)
        scale = k + alpha / size * (near**2).sum(axis=-1)
        assert_close(found[..., channel], x[..., channel] / scale**0.75)


def test_groups_one_by_one_give_what_they_give_together():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 13, 13, 24)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(5, 5, 12, 32)), jnp.float32)
    numbers = ("NHWC", "HWIO", "NHWC")
    options = {"dimension_numbers": numbers, "feature_group_count": 2}
    ours = convolution_by_group(x, kernel, (1, 1), "SAME", **options)
    theirs = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", **options)
    assert_close(ours, theirs)
    traced = jax.make_jaxpr(lambda x: convolution_by_group(x, kernel, (1, 1), "SAME", **options))(x)
    assert str(traced).count("feature_group_count=1") == 2


@pytest.mark.parametrize(
    "layer, size, stride, offset",
    [("conv1", 11, 4, 0), ("conv2", 51, 8, -16), ("conv5", 163, 16, -64), ("pool5", 195, 32, -64)],
)
def test_receptive_fields_are_the_known_ones(layer, size, stride, offset, network):
    field = jaxviz.receptive_field(network.apply, network.params, (227, 227, 3), layer=layer)
    assert field.size == (size, size)
    assert field.stride == (stride, stride)
    assert field.offset == (offset, offset)


@pytest.mark.once
def test_occlusion_recomputes_boxes_and_equals_whole_passes(network, photograph):
    images = network.preprocess([photograph])
    options = {"window": 60, "stride": 56, "fill": 0.0}
    run = network.apply, network.params, images
    for score in (jaxviz.logit(281), jaxviz.unit("norm2", 3, 6, 6)):
        part = jaxviz.occlusion_map(*run, score=score, **options)
        whole = jaxviz.occlusion_map(*run, score=score, **options, method="full")
        assert np.ptp(np.asarray(whole.scores)) > 0
        assert_close(part.scores, whole.scores)
        assert_close(part.baseline, whole.baseline)


def test_no_layer_before_the_dense_ones_is_evaluated_whole(network):
    report = jaxviz.explain_occlusion(
        network.apply,
        network.params,
        (227, 227, 3),
        score=jaxviz.logit(0),
        window=16,
        stride=8,
    )
    assert [step.reason for step in report.steps if step.reason] == []
    convolutions = [step for step in report.steps if step.name == "conv_general_dilated"]
    assert len(convolutions) == 8
    assert all(step.share < 0.7 for step in convolutions)


@pytest.mark.slow
@pytest.mark.once
def test_every_technique_shows_it(network, photographs):
    run = network.apply, network.params
    images = network.preprocess(sorted(photographs.glob("*/*"))[:4])
    assert jaxviz.filter_tiles(network.kernel("conv1"), scaling="symmetric").shape == (
        96,
        11,
        11,
        3,
    )
    assert jaxviz.filter_slices(network.kernel("conv2"), scaling="symmetric").shape[:2] == (256, 48)
    maps = jaxviz.activation_maps(*run, images, layers=["norm1", "conv5"])
    assert maps["conv5"].shape == (4, 13, 13, 256)
    vectors = jaxviz.features(*run, images, layer=network.spec.feature_layer)
    assert vectors.shape == (4, 4096)
    found = jaxviz.nearest_neighbors(vectors, vectors, k=1, metric="cosine")
    assert found.indices[:, 0].tolist() == [0, 1, 2, 3]
    top = jaxviz.top_patches(*run, [images[:2], images[2:]], layers="conv5", k=2)["conv5"]
    assert_close(top.values[:, 0], maps["conv5"].max(axis=(0, 1, 2)))


@pytest.mark.slow
def test_the_command_line_takes_it_with_its_weights(command, caffe_weights, tmp_path, photograph):
    arguments = ("--network", "caffenet", "--weights", caffe_weights)
    code, _, err = command(
        "filters", "--layer", "conv1", *arguments, "-o", tmp_path / "filters.png"
    )
    assert (code, err) == (0, "")
    maps = tmp_path / "maps.png"
    arguments = ("--layer", "norm1", *arguments, "-o", maps)
    code, _, err = command("activations", photograph, *arguments)
    assert (code, err) == (0, "")
    assert maps.is_file()


def test_the_table_of_networks_says_what_is_shipped():
    assert catalog.shipped_networks() == ("alexnet", "squeezenet", "efficientnet_lite0")
    assert set(NETWORKS) < set(jaxviz.networks())
