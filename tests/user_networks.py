"""Networks as users write them: in Flax NNX, Linen, Equinox, and as plain functions."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

import jaxviz

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


def mobile():
    module = Mobile()
    return module, module.init(jax.random.key(0), IMAGES, train=False)


def equinox_module():
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

    return Net(jax.random.key(0))


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


def unet_params():
    shapes = {"w1": (3, 3, 3, 4), "b1": (4,), "w2": (3, 3, 4, 6), "t": (3, 3, 6, 2)}
    shapes["w3"] = (1, 1, 12, 2)
    keys = iter(jax.random.split(jax.random.key(1), 9))
    return {name: jax.random.normal(next(keys), shape) for name, shape in shapes.items()}


def vit(params, images):
    """Patches of 4 x 4 pixels as tokens, two blocks of attention, and their mean."""
    tokens = convolve(images, params["patches"], 4)
    x = tokens.reshape(len(images), -1, tokens.shape[3]) + params["places"]
    for block in params["blocks"]:
        y = normalized(x)
        query, key, value = (y @ block[name] for name in ("query", "key", "value"))
        weights = jax.nn.softmax(query @ key.swapaxes(1, 2) / query.shape[2] ** 0.5, -1)
        x = x + (weights @ value) @ block["project"]
        x = x + jax.nn.gelu(normalized(x) @ block["up"]) @ block["down"]
    return normalized(x).mean(1) @ params["head"]


def normalized(x):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-5)


def vit_params(width=8):
    keys = iter(jax.random.split(jax.random.key(2), 20))

    def weights(*shape):
        return jax.random.normal(next(keys), shape) / shape[-2] ** 0.5

    def block():
        square = {name: weights(width, width) for name in ("query", "key", "value", "project")}
        return square | {"up": weights(width, 16), "down": weights(16, width)}

    return {
        "patches": weights(4, 4, 3, width), "places": weights(16, width),
        "blocks": [block(), block()], "head": weights(width, 5),
    }  # fmt: skip


def of_nnx():
    module = ResNet(nnx.Rngs(0))
    network = jaxviz.from_nnx(module, image_shape=SHAPE)
    module.eval()
    return network, module


def of_linen():
    module, variables = mobile()
    network = jaxviz.from_linen(module, variables, image_shape=SHAPE)
    return network, lambda images: module.apply(variables, images, train=False)


def of_equinox():
    module = equinox_module()
    call = jax.vmap(module)
    return jaxviz.from_equinox(module, image_shape=SHAPE), lambda x: call(jnp.moveaxis(x, 3, 1))


def of_a_function(function, params):
    return jaxviz.name_activations(function, params, SHAPE), lambda x: function(params, x)


# Each gives a network, and the call that its user would write.
NETWORKS = {
    "NNX": of_nnx,
    "Linen": of_linen,
    "Equinox": of_equinox,
    "U-Net": lambda: of_a_function(unet, unet_params()),
    "ViT": lambda: of_a_function(vit, vit_params()),
}
