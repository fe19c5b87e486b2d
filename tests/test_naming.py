"""Names of what a network computes: what users would call it, from any door, and its values."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from flax import nnx
from sweeping import in_another_process
from tolerances import assert_close
from user_networks import (
    IMAGES,
    NETWORKS,
    SHAPE,
    ResNet,
    convolve,
    equinox_module,
    mobile,
    unet,
    unet_params,
)

import jaxviz
from jaxviz import InputError

RESNET_LAYERS = [
    "stem", "pool1", "layer1/0/conv1", "layer1/0/bn1", "layer1/0/conv2", "layer1/0/bn2",
    "layer1/0/add", "layer1/1/conv1", "layer1/1/bn1", "layer1/1/conv2", "layer1/1/bn2",
    "layer1/1/down", "layer1/1/add", "pool2", "fc",
]  # fmt: skip


def test_a_resnet_of_nnx():
    module = ResNet(nnx.Rngs(0))
    network = jaxviz.from_nnx(module, image_shape=SHAPE)
    assert list(network.layers(SHAPE)) == RESNET_LAYERS
    assert list(network.apply(network.params, IMAGES)) == RESNET_LAYERS
    assert not module.drop.deterministic  # the user's module is as it was
    module.eval()
    outputs = network.apply(network.params, IMAGES)
    assert_close(outputs["fc"], module(IMAGES))
    assert_close(outputs["stem"], nnx.relu(module.stem(IMAGES)))
    assert_close(
        outputs["layer1/0/bn1"],
        nnx.relu(module.layer1[0].bn1(module.layer1[0].conv1(outputs["pool1"]))),
    )
    assert_close(network.kernel("layer1/1/conv2"), module.layer1[1].conv2.kernel[...])
    spec = network.spec
    assert (spec.first_layer, spec.middle_layer) == ("stem", "layer1/0/conv1")
    assert (spec.feature_layer, spec.logits) == ("pool2", "fc")
    one = network.apply(network.params, IMAGES[:1])
    for name, value in outputs.items():
        assert_close(one[name], value[:1])


def test_the_value_before_the_activation_function():
    module = ResNet(nnx.Rngs(0))
    network = jaxviz.from_nnx(module, image_shape=SHAPE, pre=True)
    outputs = network.apply(network.params, IMAGES)
    assert_close(outputs["stem:pre"], module.stem(IMAGES))
    assert_close(outputs["stem"], nnx.relu(outputs["stem:pre"]))
    assert "fc:pre" not in outputs


def test_a_mobile_network_of_linen():
    module, variables = mobile()
    network = jaxviz.from_linen(module, variables, image_shape=SHAPE)
    assert list(network.layers(SHAPE)) == [
        "Conv_0", "pool1", "LayerNorm_0", "depthwise", "BatchNorm_0", "pool2", "squeeze", "excite",
        "multiply1", "pool3", "head", "softmax1",
    ]  # fmt: skip
    outputs = network.apply(network.params, IMAGES)
    assert_close(outputs["softmax1"], module.apply(variables, IMAGES, train=False))
    assert outputs["excite"].shape == (3, 4)
    assert network.spec.logits == "head"


def test_an_equinox_network_comes_out_with_its_channels_last():
    module = equinox_module()
    network = jaxviz.from_equinox(module, image_shape=SHAPE)
    shapes = {"layers/0": (14, 14, 4), "layers/pool": (7, 7, 4), "layers/3": (5, 5, 5)}
    assert network.layers(SHAPE) == shapes | {"layers/6": (7,)}
    outputs = network.apply(network.params, IMAGES)
    first = jax.vmap(module.layers[0])(jnp.moveaxis(IMAGES, 3, 1))
    assert_close(outputs["layers/0"], jnp.moveaxis(jax.nn.relu(first), 1, 3))
    assert_close(outputs["layers/6"], jax.vmap(module)(jnp.moveaxis(IMAGES, 3, 1)))
    assert_close(network.kernel("layers/3"), jnp.transpose(module.layers[3].weight, (2, 3, 1, 0)))


def test_a_plain_function_is_named_by_kind_and_number():
    params = unet_params()
    network = jaxviz.name_activations(unet, params, SHAPE)
    assert network.layers(SHAPE) == {
        "conv1": (16, 16, 4), "conv2": (8, 8, 6), "resize1": (16, 16, 6),
        "conv_transpose1": (16, 16, 2), "concat1": (16, 16, 12), "conv3": (16, 16, 2),
    }  # fmt: skip
    assert_close(network.apply(params, IMAGES)["conv3"], unet(params, IMAGES))

    def loss(params):
        return network.apply(params, IMAGES)["conv3"].sum()

    wanted = jax.grad(lambda params: unet(params, IMAGES).sum())(params)
    jax.tree.map(assert_close, jax.grad(loss)(params), wanted)


def test_what_the_next_layer_pads_is_not_of_this_one():
    def function(params, images):
        x = jax.nn.relu(convolve(images, params[0]))
        x = jnp.pad(x, ((0, 0), (1, 2), (3, 4), (0, 0)))
        return convolve(x, params[1])

    params = [jnp.ones((3, 3, 3, 4)), jnp.ones((3, 3, 4, 4))]
    network = jaxviz.name_activations(function, params, SHAPE)
    assert network.layers(SHAPE) == {"conv1": (16, 16, 4), "conv2": (19, 23, 4)}
    found = network.apply(params, IMAGES)["conv1"]
    assert_close(found, jax.nn.relu(convolve(IMAGES, params[0])))


def test_scopes_name_what_parameters_do_not():
    def function(params, images):
        with jax.named_scope("stem"):
            x = jax.nn.relu(convolve(images, params[0]))
        with jax.named_scope("body"):
            x = jax.nn.relu(convolve(x, params[1]))
            return jax.nn.relu(convolve(x, params[2])).mean((1, 2))

    params = [jnp.ones((3, 3, 3, 4)), jnp.ones((3, 3, 4, 4)), jnp.ones((3, 3, 4, 4))]
    network = jaxviz.name_activations(function, params, SHAPE)
    assert list(network.layers(SHAPE)) == ["stem", "body/conv1", "body/conv2", "body/pool"]


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_technique_takes_them(kind):
    network, call = NETWORKS[kind]()
    apply, params = network.apply, network.params
    layers = network.layers(SHAPE)
    *_, last = layers
    assert_close(apply(params, IMAGES)[last], call(IMAGES))
    options = {"score": lambda outputs: outputs[last].reshape(len(outputs[last]), -1)[:, 1]}
    options |= {"window": 4, "stride": 4, "fill": 0.0}
    fast = jaxviz.occlusion_map(apply, params, IMAGES, **options)
    full = jaxviz.occlusion_map(apply, params, IMAGES, **options, method="full")
    assert_close(fast.scores, full.scores)
    maps = [name for name, shape in layers.items() if len(shape) == 3]
    kernel = network.kernel(network.spec.first_layer)
    assert jaxviz.filter_tiles(kernel, scaling="shared").shape == (
        kernel.shape[3],
        *kernel.shape[:3],
    )
    found = jaxviz.top_patches(apply, params, [IMAGES], layers=maps[-1:], k=2)
    assert found[maps[-1]].values.shape == (layers[maps[-1]][2], 2)
    assert min(jaxviz.receptive_field(apply, params, SHAPE, layer=maps[0]).size) > 1
    features = jaxviz.features(apply, params, IMAGES, layer=last)
    assert jaxviz.nearest_neighbors(features, features, k=3).indices[:, 0].tolist() == [0, 1, 2]


def print_top_patches():
    """Of each network, as the bits of a sweep over all devices."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, *SHAPE), np.uint8)
    for make in NETWORKS.values():
        network, _ = make()
        layers = [*network.layers(SHAPE)]
        few = layers[:: -(-len(layers) // 2)]
        swept = jaxviz.sweep.top_patches(
            network.apply, network.params, jaxviz.sweep.ArrayPictures(pixels),
            prepare=lambda x: x.astype(jnp.float32) / 255, k=3, batch_size=4,
            layers=few,
        )  # fmt: skip
        whole = b"".join(np.asarray(one).tobytes() for one in jax.tree.leaves(swept.found))
        print(hashlib.sha256(whole).hexdigest())


@pytest.mark.slow
@pytest.mark.once
def test_sweeps_over_two_devices_give_the_bits_of_one():
    found = [in_another_process("test_naming", "print_top_patches()", devices=n) for n in (1, 2)]
    assert len(found[0].split()) == len(NETWORKS)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jaxviz.from_nnx(unet, image_shape=SHAPE), "expected a flax.nnx.Module"),
        (lambda: jaxviz.from_linen(mobile()[0], jnp.ones(3), image_shape=SHAPE), "module.init"),
        (lambda: jaxviz.name_activations(unet, {"w1": "text"}, SHAPE), "expected arrays alone"),
        (lambda: jaxviz.name_activations(unet, {}, (16, 16)), "expected (height, width, channel)"),
        (lambda: jaxviz.name_activations(unet, {}), "expected (height, width, channel), got None"),
        (lambda: jaxviz.name_activations(lambda p, x: p, jnp.ones(3), SHAPE), "computes nothing"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused_in_one_line(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert message in str(caught.value)


def test_names_stay_when_an_unrelated_layer_is_added():
    module = ResNet(nnx.Rngs(0))
    module.extra = nnx.Conv(3, 3, (1, 1), rngs=nnx.Rngs(1))
    network = jaxviz.from_nnx(
        module, image_shape=SHAPE, call=lambda module, images: module(module.extra(images))
    )
    assert [name for name in network.layers(SHAPE) if name != "extra"] == RESNET_LAYERS


def test_layers_are_in_the_order_of_the_data():
    network = jaxviz.from_nnx(ResNet(nnx.Rngs(0)), image_shape=SHAPE)
    assert list(jax.jit(network.apply)(network.params, IMAGES)) == sorted(RESNET_LAYERS)
    assert np.array_equal(list(network.apply(network.params, IMAGES)), RESNET_LAYERS)


@pytest.mark.parametrize(
    "follow",
    [
        lambda x: jnp.concatenate(jnp.split(x, 2, axis=-1)[::-1], axis=-1),
        lambda x: x[..., ::2],
        lambda x: x[..., ::-1],
        lambda x: jnp.flip(x, 1),
        lambda x: x[:, 1:, 2:],
        lambda x: x[:, ::3, 1::2],
        lambda x: x.take(np.array([2, 0]), axis=-1),
    ],
    ids=["split", "stride", "channels reversed", "flip", "crop", "samples", "take"],
)
def test_a_layer_is_whole_whatever_part_of_it_the_next_one_takes(follow):
    """And its channels are in the order of its filters."""
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 3, 8))
    numbers = ("NHWC", "HWIO", "NHWC")

    def first(params, x):
        x = jax.lax.conv_general_dilated(
            x, params["a"]["w"], (1, 1), "SAME", dimension_numbers=numbers
        )
        return jax.nn.relu(x)

    def function(params, x):
        x = follow(first(params, x))
        return x.mean((1, 2)) @ params["b"]["w"][: x.shape[-1]]

    params = {"a": {"w": kernel}, "b": {"w": jnp.ones((8, 5))}}
    network = jaxviz.name_activations(function, params, (8, 9, 3))
    images = jax.random.normal(jax.random.key(1), (2, 8, 9, 3))
    found = network.apply(params, images)["a"]
    np.testing.assert_allclose(found, first(params, images), rtol=1e-5, atol=1e-5)


def test_padding_that_repeats_the_edge_mixes_no_images():
    def function(params, x):
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        return x.mean((1, 2)) @ params["head"]["w"]

    params = {"head": {"w": jnp.ones((3, 5))}}
    network = jaxviz.name_activations(function, params, (8, 9, 3))
    images = jax.random.normal(jax.random.key(1), (2, 8, 9, 3))
    found = network.apply(params, images)["head"]
    np.testing.assert_allclose(found, function(params, images), rtol=1e-5, atol=1e-5)


def test_a_function_that_fails_is_refused_in_one_line():
    assert "KeyError: 'nope'" in refusal(
        jaxviz.name_activations, lambda params, x: params["nope"], {}, (8, 9, 3)
    )


def test_one_number_an_image_is_no_score_of_classes():
    params = {"head": {"w": jnp.ones((3, 5))}, "size": jnp.ones((3,))}
    network = jaxviz.name_activations(
        lambda params, x: (x.mean((1, 2)) @ params["head"]["w"], x.mean((1, 2)) @ params["size"]),
        params,
        (8, 9, 3),
    )
    assert network.spec.logits == "head"


@pytest.mark.parametrize(
    "activation",
    [
        lambda x, slope: jnp.where(x > 0, x, slope * x),
        lambda x, slope: jnp.maximum(x, slope * x),
        lambda x, slope: jnp.maximum(x, 0) + slope * jnp.minimum(x, 0),
        lambda x, slope: jnp.where(x < 0, x * slope, x),
    ],
)
def test_a_slope_that_was_learned_belongs_to_the_activation_function(activation):
    """It scales a value, and is no normalization, however it is written."""

    def function(params, x):
        x = activation(convolve(x, params["first"]), params["slope"])
        x = convolve(x, params["second"]) * params["scale"] + params["shift"]
        return jax.nn.relu(x).mean((1, 2))

    def weights(*shape):
        return jax.random.normal(jax.random.key(len(shape)), shape)

    params = {
        "first": weights(3, 3, 3, 4), "slope": 0.1 * weights(4), "second": weights(3, 3, 4, 4),
        "scale": weights(4), "shift": weights(4),
    }  # fmt: skip
    network = jaxviz.name_activations(function, params, SHAPE)
    outputs = network.apply(network.params, IMAGES)
    assert list(outputs) == ["conv1", "conv2", "norm1", "pool1"]
    expected = activation(convolve(IMAGES, params["first"]), params["slope"])
    assert_close(outputs["conv1"], expected)
