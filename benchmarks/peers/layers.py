"""Networks as lists of layers, from which JAX and torch build the same one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxviz.networks.weights_files import flat


class Conv(NamedTuple):
    features: int
    size: int
    stride: int = 1
    padding: int = 0


class Pool(NamedTuple):
    size: int
    stride: int
    ceil: bool = False


class Fire(NamedTuple):
    squeeze: int
    expand: int


class Dense(NamedTuple):
    features: int
    relu: bool = True


class Mean(NamedTuple):
    """Average over space, as logits."""


ALEXNET = [
    *(Conv(64, 11, 4, 2), Pool(3, 2), Conv(192, 5, 1, 2), Pool(3, 2)),
    *(Conv(384, 3, 1, 1), Conv(256, 3, 1, 1), Conv(256, 3, 1, 1), Pool(3, 2)),
    *(Dense(4096), Dense(4096), Dense(1000, relu=False)),
]
SQUEEZENET = [
    *(Conv(64, 3, 2), Pool(3, 2, ceil=True), Fire(16, 64), Fire(16, 64), Pool(3, 2, ceil=True)),
    *(Fire(32, 128), Fire(32, 128), Pool(3, 2, ceil=True)),
    *(Fire(48, 192), Fire(48, 192), Fire(64, 256), Fire(64, 256), Conv(1000, 1), Mean()),
]
VGG16 = [
    *(layer for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
      for layer in (*[Conv(width, 3, 1, 1)] * depth, Pool(2, 2))),
    *(Dense(4096), Dense(4096), Dense(1000, relu=False)),
]  # fmt: skip
ALEXNET_CONVOLUTIONS = ALEXNET[:-3]
LAYERS = {"alexnet": ALEXNET, "squeezenet": SQUEEZENET, "vgg16": VGG16}


def shipped_kernels(network: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """The kernels and biases of a network of ours, in the order of use."""
    tensors = flat(network.params)
    names = [layer.replace("/", ".") for layer in network.layers()]
    names = [name for name in names if f"{name}.kernel" in tensors]
    pairs = [(tensors[f"{name}.kernel"], tensors[f"{name}.bias"]) for name in names]
    return [(np.asarray(kernel), np.asarray(bias)) for kernel, bias in pairs]


def random_kernels(layers: list[Any], image_size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random kernels (HWIO, or (in, out)) and biases in the order of use."""
    generator = np.random.default_rng(0)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    channels, extent, flat = 3, image_size, False

    def add(size: int | None, into: int, out: int) -> None:
        shape = (into, out) if size is None else (size, size, into, out)
        deviation = np.sqrt(2 / np.prod(shape[:-1]))
        kernel = generator.normal(size=shape, scale=deviation).astype(np.float32)
        found.append((kernel, generator.normal(size=out, scale=0.05).astype(np.float32)))

    for layer in layers:
        match layer:
            case Conv(features, size, stride, padding):
                add(size, channels, features)
                channels, extent = features, (extent + 2 * padding - size) // stride + 1
            case Pool(size, stride, ceil):
                extent = (extent - size + (stride - 1) * ceil) // stride + 1
            case Fire(squeeze, expand):
                add(1, channels, squeeze)
                add(1, squeeze, expand)
                add(3, squeeze, expand)
                channels = 2 * expand
            case Dense(features):
                add(None, channels if flat else channels * extent**2, features)
                channels, flat = features, True
    return found


def jax_network(layers: list[Any], params: Any, images: Array) -> Array:
    """Logits (batch, classes) of images (batch, H, W, 3)."""
    rest = iter(params)

    def conv(x: Array, stride: int = 1, padding: int = 0) -> Array:
        kernel, bias = next(rest)
        y = lax.conv_general_dilated(
            x, kernel, [stride] * 2, [[padding] * 2] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jax.nn.relu(y + bias)

    x = images
    for layer in layers:
        match layer:
            case Conv(_, _, stride, padding):
                x = conv(x, stride, padding)
            case Pool(size, stride, ceil):
                extra = -(x.shape[1] - size) % stride if ceil else 0
                x = lax.reduce_window(
                    x,
                    -jnp.inf,
                    lax.max,
                    (1, size, size, 1),
                    (1, stride, stride, 1),
                    [(0, 0), (0, extra), (0, extra), (0, 0)],
                )
            case Fire():
                x = conv(x)
                x = jnp.concatenate([conv(x), conv(x, padding=1)], axis=-1)
            case Dense(_, relu):
                kernel, bias = next(rest)
                x = x.reshape(len(x), -1) @ kernel + bias
                x = jax.nn.relu(x) if relu else x
            case Mean():
                x = x.mean((1, 2))
    return x
