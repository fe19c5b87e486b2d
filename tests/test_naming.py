"""Names of what a network computes: what users would call it, from any door, and its values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from flax import linen, nnx
from tolerances import assert_close

import jaxviz
from jaxviz import InputError

SHAPE = (16, 16, 3)
IMAGES = jax.random.normal(jax.random.key(7), (3, *SHAPE))


class Block(nnx.Module):
    def __init__(self, into, out, stride, rngs):
        self.conv1 = nnx.Conv(into, out, (3, 3), strides=stride, use_bias=False, rngs=rngs)
        self.bn1 = nnx.BatchNorm(out, rngs=rngs)
        self.conv2 = nnx.Conv(out, out, (3, 3), rngs=rngs)
        self.bn2 = nnx.BatchNorm(out, rngs=rngs)
        self.down = nnx.Conv(into, out, (1, 1), strides=stride, rngs=rngs) if stride > 1 else None

    def __call__(self, x):
        y = self.bn2(self.conv2(nnx.relu(self.bn1(self.conv1(x)))))
        return nnx.relu(y + (self.down(x) if self.down else x))


class ResNet(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.layer1 = nnx.List([Block(4, 4, 1, rngs), Block(4, 8, 2, rngs)])
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.fc = nnx.Linear(8, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.stem(x)), (2, 2), strides=(2, 2))
        for block in self.layer1:
            x = block(x)
        return self.fc(self.drop(x.mean((1, 2))))


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


class Mobile(linen.Module):
    """Depthwise, hard-swish, squeeze and excite, layer normalization, softmax."""

    @linen.compact
    def __call__(self, x, train: bool = True):
        x = linen.gelu(linen.LayerNorm()(linen.avg_pool(linen.Conv(4, (3, 3))(x), (2, 2))))
        x = linen.Conv(4, (3, 3), feature_group_count=4, name="depthwise")(x)
        x = linen.hard_swish(linen.BatchNorm(use_running_average=not train)(x))
        gate = linen.relu(linen.Dense(2, name="squeeze")(x.mean((1, 2))))
        x = x * linen.sigmoid(linen.Dense(4, name="excite")(gate))[:, None, None]
        x = linen.Dropout(0.5, deterministic=not train)(x)
        return linen.softmax(linen.Dense(3, name="head")(x.mean((1, 2))))


def test_a_mobile_network_of_linen():
    module = Mobile()
    variables = module.init(jax.random.key(0), IMAGES, train=False)
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
    equinox = pytest.importorskip("equinox")

    class Net(equinox.Module):
        layers: list
        title: str

        def __init__(self, key):
            keys = jax.random.split(key, 3)
            self.layers = [
                equinox.nn.Conv2d(3, 4, 3, key=keys[0]), jax.nn.relu, equinox.nn.MaxPool2d(2, 2),
                equinox.nn.Conv2d(4, 5, 3, key=keys[1]), jax.nn.relu, jnp.ravel,
                equinox.nn.Linear(5 * 5 * 5, 7, key=keys[2]),
            ]  # fmt: skip
            self.title = "no array"

        def __call__(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    module = Net(jax.random.key(0))
    network = jaxviz.from_equinox(module, image_shape=SHAPE)
    shapes = {"layers/0": (14, 14, 4), "layers/pool": (7, 7, 4), "layers/3": (5, 5, 5)}
    assert network.layers(SHAPE) == shapes | {"layers/6": (7,)}
    outputs = network.apply(network.params, IMAGES)
    first = jax.vmap(module.layers[0])(jnp.moveaxis(IMAGES, 3, 1))
    assert_close(outputs["layers/0"], jnp.moveaxis(jax.nn.relu(first), 1, 3))
    assert_close(outputs["layers/6"], jax.vmap(module)(jnp.moveaxis(IMAGES, 3, 1)))
    assert_close(network.kernel("layers/3"), jnp.transpose(module.layers[3].weight, (2, 3, 1, 0)))


def convolve(x, kernel, stride=1):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=numbers
    )


def unet(params, x):
    down = jax.nn.relu(convolve(x, params["w1"]) + params["b1"])
    deep = jax.nn.silu(convolve(down, params["w2"], 2))
    larger = jax.image.resize(deep, (len(x), *down.shape[1:3], deep.shape[3]), "bilinear")
    other = jax.lax.conv_transpose(deep, params["t"], (2, 2), "SAME")
    return convolve(jnp.concatenate([larger, down, other], -1), params["w3"])


def test_a_plain_function_is_named_by_kind_and_number():
    shapes = {"w1": (3, 3, 3, 4), "b1": (4,), "w2": (3, 3, 4, 6), "t": (3, 3, 6, 2)}
    shapes["w3"] = (1, 1, 12, 2)
    keys = iter(jax.random.split(jax.random.key(1), 9))
    params = {name: jax.random.normal(next(keys), shape) for name, shape in shapes.items()}
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


def test_every_technique_takes_them():
    network = jaxviz.from_nnx(ResNet(nnx.Rngs(0)), image_shape=SHAPE)
    apply, params = network.apply, network.params
    options = {"score": jaxviz.logit(3), "window": 4, "stride": 4, "fill": 0.0}
    fast = jaxviz.occlusion_map(apply, params, IMAGES, **options)
    full = jaxviz.occlusion_map(apply, params, IMAGES, **options, method="full")
    assert_close(fast.scores, full.scores)
    assert jaxviz.filter_tiles(network.kernel("stem"), scaling="shared").shape == (4, 3, 3, 3)
    found = jaxviz.top_patches(apply, params, [IMAGES], layers=["layer1/0/add"], k=2)
    assert found["layer1/0/add"].values.shape == (4, 2)
    field = jaxviz.receptive_field(apply, params, SHAPE, layer="layer1/0/conv1")
    assert field.size == (8, 8)
    assert jaxviz.features(apply, params, IMAGES, layer="pool2").shape == (3, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jaxviz.from_nnx(unet, image_shape=SHAPE), "expected a flax.nnx.Module"),
        (lambda: jaxviz.from_linen(Mobile(), jnp.ones(3), image_shape=SHAPE), "module.init"),
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
