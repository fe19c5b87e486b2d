"""A `Network` made of any function: plain, Flax NNX or Linen; what is missing says so."""

from types import SimpleNamespace

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from flax import nnx
from tolerances import assert_close

import jaxviz

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 8)).astype(np.float32)
PREPROCESSING = jaxviz.Preprocessing(
    resize=20, crop=16, divisor=255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)
)
ROLES = {"first_layer": "conv1", "logits": "classes"}
LABELS = ["cat, house cat", "dog", "crane", "crane, machine", "e", "f", "g", "h"]


def _outputs(convolved):
    maps = jax.nn.relu(convolved)
    return {"conv1": maps, "classes": maps.mean(axis=(1, 2))}


def plain():
    def apply(params, images):
        kernel = params["conv1"]["kernel"]
        return _outputs(
            jax.lax.conv_general_dilated(
                images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        )

    return apply, {"conv1": {"kernel": jnp.asarray(KERNEL)}}


def of_nnx():
    class Module(nnx.Module):
        def __init__(self, rngs):
            self.conv1 = nnx.Conv(3, 8, (3, 3), use_bias=False, rngs=rngs)
            self.conv1.kernel[...] = jnp.asarray(KERNEL)

        def __call__(self, images):
            return _outputs(self.conv1(images))

    graph, params = nnx.split(Module(nnx.Rngs(0)))
    return lambda params, images: nnx.merge(graph, params)(images), params


def of_linen():
    class Module(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, images):
            return _outputs(flax.linen.Conv(8, (3, 3), use_bias=False, name="conv1")(images))

    return Module().apply, {"params": {"conv1": {"kernel": jnp.asarray(KERNEL)}}}


@pytest.fixture(params=[plain, of_nnx, of_linen], ids=lambda make: make.__name__)
def run(request):
    return request.param()


def test_any_function_makes_a_network_that_offers_what_ours_do(run, photographs):
    network = jaxviz.Network(*run, preprocessing=PREPROCESSING, labels=LABELS, roles=ROLES)
    assert network.layers() == {"conv1": (16, 16, 8), "classes": (8,)}
    assert np.array_equal(network.kernel("conv1"), KERNEL)
    picture = sorted(photographs.glob("*/*"))[0]
    images = network.preprocess([picture])
    assert images.shape == (1, 16, 16, 3)
    maps = jaxviz.activation_maps(network.apply, network.params, images, layers="conv1")
    expected = plain()[0]({"conv1": {"kernel": KERNEL}}, images)["conv1"]
    assert_close(maps["conv1"], expected)
    assert network.spec == jaxviz.NetworkSpec("network", PREPROCESSING, "conv1", logits="classes")
    assert network.role("logits") == "classes"
    assert (network.class_index("house cat"), network.class_index(7)) == (0, 7)
    assert network.label(0) == "cat"
    assert "2 or 3" in refusal(network.class_index, "crane")
    assert network.provenance["network"] == "network"
    assert network.provenance["preprocessing"]["crop"] == 16


def test_a_bare_network_says_in_one_line_what_is_missing_and_what_to_pass(run):
    network = jaxviz.Network(*run, name="mine", title="My network")
    image = np.zeros((8, 8, 3), np.uint8)
    assert "preprocessing=" in refusal(network.preprocess, [image])
    assert "(height, width, channels)" in refusal(network.layers)
    assert network.layers((8, 9, 3))["conv1"] == (8, 9, 8)
    assert "labels=" in refusal(network.class_index, "dog")
    assert "labels=" in refusal(network.class_index, 3)
    for role in ("first_layer", "middle_layer", "deep_layers", "feature_layer", "logits"):
        assert getattr(network.spec, role) is None
        message = refusal(network.role, role)
        assert "My network" in message
        assert f"roles={{'{role}': ...}}" in message
    assert "mean_fill" in refusal(network.role, "mean_fill")
    assert "valid" in refusal(network.role, "last_layer")
    assert network.provenance == {"network": "mine", "preprocessing": None}


def test_classes_without_names_are_known_by_number(run):
    network = jaxviz.Network(*run, preprocessing=PREPROCESSING, roles=ROLES)
    assert network.class_index("3") == network.class_index("class 3") == 3
    assert network.label(3) == "class 3"
    assert "0 to 7" in refusal(network.class_index, 8)
    assert "labels=" in refusal(network.class_index, "dog")


def test_kernels_under_other_names_are_asked_for():
    apply = plain()[0]
    message = refusal(jaxviz.Network(apply, {"w": KERNEL}).kernel, "conv1")
    assert "filter_tiles" in message
    two = {side: {"conv1": {"kernel": KERNEL}} for side in ("left", "right")}
    network = jaxviz.Network(apply, two)
    assert "left/conv1, right/conv1" in refusal(network.kernel, "conv1")
    assert network.kernel("right/conv1") is KERNEL


@pytest.mark.parametrize(
    "option, expected",
    [
        ({"roles": {"last_layer": "x"}}, "valid: first_layer"),
        ({"roles": {"deep_layers": "conv1"}}, "a list"),
        ({"labels": "dog"}, "a list"),
        ({"preprocessing": SimpleNamespace(crop=3)}, "Preprocessing"),
    ],
)
def test_what_does_not_fit_is_refused(option, expected, unchecked):
    assert expected in refusal(jaxviz.Network, *plain(), **option)
