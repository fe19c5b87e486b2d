"""Hypothesis strategies: small random convolutional networks as pure functions, and occlusions."""

import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from jax import Array, lax

# Of properties of these: the same few networks each time, and others where more are asked for.
SETTINGS = settings(
    max_examples=int(os.environ.get("JAXVIZ_NUM_CASES", "8")),
    deadline=None,
    derandomize="JAXVIZ_NUM_CASES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)

# A layer maps activations (batch, height, width, channel) to the same; it is drawn for one shape.
Layer = Callable[[Array], Array]


class Network(NamedTuple):
    """layers: drawn in order; `apply` names their outputs "0", "1", ... and the last "head"."""

    description: list[str]
    layers: list[Layer]
    image_shape: tuple[int, int, int]

    @property
    def last(self) -> str:
        """The name of the last output."""
        return str(len(self.layers) - 1)

    def apply(self, images: Array) -> dict[str, Array]:
        outputs = {}
        x = images
        for i, layer in enumerate(self.layers):
            x = outputs[str(i)] = layer(x)
        return outputs


class Occlusion(NamedTuple):
    window: tuple[int, int]
    tops: list[int]
    lefts: list[int]
    fill: Any


def _out(extent: int, size: int, stride: int, padding: tuple[int, int]) -> int:
    return (extent + sum(padding) - size) // stride + 1


def _generator(draw: Any) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**16)))


def _window(draw: Any, shape: tuple[int, ...], most: int = 3, dilations: int = 2) -> dict[str, Any]:
    """Size, stride, padding and dilation an axis, such that the output is not empty."""
    chosen: dict[str, list[Any]] = {"size": [], "stride": [], "padding": [], "dilation": []}
    for extent in shape[1:3]:
        size = draw(st.integers(1, most))
        dilation = draw(st.integers(1, dilations))
        reach = (size - 1) * dilation + 1
        padding = tuple(draw(st.integers(0, max(reach - 1, 1))) for _ in range(2))
        if extent + sum(padding) < reach:
            padding = (reach, reach)
        for name, value in zip(
            chosen, (size, draw(st.integers(1, 3)), padding, dilation), strict=True
        ):
            chosen[name].append(value)
    return chosen


def convolution(draw: Any, shape: tuple[int, ...]) -> tuple[str, Layer]:
    channels = shape[-1]
    groups = draw(st.sampled_from([g for g in (1, 1, 2, 3, 4) if channels % g == 0]))
    window = _window(draw, shape)
    features = groups * draw(st.integers(1, 3))
    if draw(st.booleans()):  # the form that the increment rule takes: no stride, many channels
        window["stride"], features = [1, 1], 16 * groups
    generator = _generator(draw)
    kernel = generator.normal(size=(*window["size"], channels // groups, features))
    bias = jnp.asarray(generator.normal(size=(1, 1, 1, features)), jnp.float32)
    layout = draw(st.sampled_from(["NHWC", "NHWC", "NCHW", "NWHC"]))
    order = ["NHWC".index(letter) for letter in layout]

    def layer(x: Array) -> Array:
        y = lax.conv_general_dilated(
            x.transpose(order),
            jnp.asarray(kernel / np.sqrt(kernel[..., 0].size), jnp.float32),
            window["stride"],
            window["padding"],
            rhs_dilation=window["dilation"],
            dimension_numbers=(layout, "HWIO", layout),
            feature_group_count=groups,
        )
        return y.transpose(np.argsort(order)) + bias

    return f"convolution {window} groups {groups} features {features} {layout}", layer


def pooling(draw: Any, shape: tuple[int, ...]) -> tuple[str, Layer]:
    window = _window(draw, shape)
    kind = draw(st.sampled_from(["max", "min", "sum"]))
    initial, computation = {
        "max": (-jnp.inf, lax.max),
        "min": (jnp.inf, lax.min),
        "sum": (0.0, lax.add),
    }[kind]
    # A window that lies in the padding alone would put an infinity on the map.
    padding = [
        tuple(
            min(p, (size - 1) * d) if kind == "sum" else min(p, d * (size - 1) // 2) for p in pair
        )
        for pair, size, d in zip(window["padding"], window["size"], window["dilation"], strict=True)
    ]
    dilation = window["dilation"] if kind == "sum" else [1, 1]
    extents = [(s - 1) * d + 1 for s, d in zip(window["size"], dilation, strict=True)]
    for axis in range(2):
        if shape[1 + axis] + sum(padding[axis]) < extents[axis] or kind != "sum":
            padding[axis] = tuple(min(p, window["size"][axis] - 1) for p in padding[axis])

    def layer(x: Array) -> Array:
        return lax.reduce_window(
            x,
            initial,
            computation,
            (
                1,
                *[
                    min(s, n + sum(p))
                    for s, n, p in zip(window["size"], x.shape[1:3], padding, strict=True)
                ],
                1,
            ),
            (1, *window["stride"], 1),
            [(0, 0), *padding, (0, 0)],
            window_dilation=(
                1,
                *[
                    d if x.shape[1 + i] + sum(padding[i]) >= extents[i] else 1
                    for i, d in enumerate(dilation)
                ],
                1,
            ),
        )

    return f"{kind} pooling {window} {padding}", layer


def pointwise(draw: Any, shape: tuple[int, ...]) -> tuple[str, Layer]:
    scale = jnp.asarray(_generator(draw).normal(size=(1, 1, 1, shape[-1])), jnp.float32)
    layers: dict[str, Layer] = {
        "relu": jax.nn.relu,
        "tanh": jnp.tanh,
        "gelu": jax.nn.gelu,
        "where": lambda x: jnp.where(x > scale, x, 0.1 * x),
        "norm": lambda x: (x - scale) / jnp.sqrt(scale**2 + 1) * scale,
        "clip": lambda x: jnp.clip(x, -1, 1),
        "checkpoint": jax.checkpoint(lambda x: jnp.sin(x) * scale),
        "gate": lambda x: x * jax.nn.sigmoid(x[..., :1]),
    }
    name = draw(st.sampled_from(sorted(layers)))
    return name, layers[name]


def across_channels(draw: Any, shape: tuple[int, ...]) -> tuple[str, Layer]:
    size = draw(st.integers(1, 5))
    mix = jnp.asarray(_generator(draw).normal(size=(shape[-1], 4)), jnp.float32)

    def response_norm(x: Array) -> Array:
        margins = (size // 2, size - 1 - size // 2)
        sums = lax.reduce_window(
            x**2, 0.0, lax.add, (1, 1, 1, size), (1,) * 4, [(0, 0)] * 3 + [margins]
        )
        return x / (1 + 0.1 * sums) ** 0.75

    layers: dict[str, Layer] = {
        "response norm": response_norm,
        "shifts": lambda x: x + jnp.pad(x, [(0, 0)] * 3 + [(1, 0)])[..., :-1] ** 2,
        "matrix": lambda x: x @ mix,
        "einsum": lambda x: jnp.einsum("bhwc,cd->bdwh", x, mix).transpose(0, 3, 2, 1),
        "softmax": lambda x: jax.nn.softmax(x, axis=-1),
        "layer norm": lambda x: x - x.mean(-1, keepdims=True),
        "maximum": lambda x: x.max(-1, keepdims=True) + x.min(-1, keepdims=True),
        "split": lambda x: jnp.concatenate(jnp.split(jnp.tile(x, 2) * 1.5, 2, axis=-1)[::-1], -1),
        "grouped": lambda x: jnp.tile(x, 2).reshape(*x.shape[:-1], 2, -1).sum(-2),
        "strongest": lambda x: (
            jnp.concatenate([x, jnp.argmax(x, axis=-1, keepdims=True).astype(x.dtype)], axis=-1)
            if size == 1
            else x
        ),
    }
    name = draw(st.sampled_from(sorted(layers)))
    return name, layers[name]


def spatial(draw: Any, shape: tuple[int, ...]) -> tuple[str, Layer]:
    _, height, width, _ = shape
    top, left = draw(st.integers(0, (height - 1) // 2)), draw(st.integers(0, (width - 1) // 2))
    stride = draw(st.integers(1, 2))
    pads = [draw(st.integers(-1 if height > 2 else 0, 2)) for _ in range(4)]
    if min(height, width) <= 2:
        pads = [abs(p) for p in pads]
    blocks = [next(b for b in (3, 2, 1) if n % b == 0) for n in (height, width)]

    def adaptive(x: Array) -> Array:
        batch, height, width, channels = x.shape
        rows, columns = height // blocks[0], width // blocks[1]
        return x.reshape(batch, rows, blocks[0], columns, blocks[1], channels).mean((2, 4))

    layers: dict[str, Layer] = {
        "slice": lambda x: x[:, top::stride, left:],
        "pad": lambda x: lax.pad(
            x,
            x.dtype.type(0.5),
            [(0, 0, 0), (pads[0], pads[1], 0), (pads[2], pads[3], 0), (0, 0, 0)],
        ),
        "interior pad": lambda x: lax.pad(
            x, x.dtype.type(0), [(0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)]
        ),
        "swap": lambda x: x.swapaxes(1, 2),
        "adaptive": adaptive,
        "rows joined": lambda x: jnp.concatenate([x, 2 * x], axis=1),
        "upsample": lambda x: jnp.repeat(x, 2, axis=2),
        "sort": lambda x: jnp.sort(x, axis=1),
        "reverse": lambda x: x[:, ::-1],
        "cumulative": lambda x: jnp.cumsum(x, axis=2) / x.shape[2],
        "fft": lambda x: jnp.abs(jnp.fft.fft2(x, axes=(1, 2))) / math.sqrt(height * width),
        "instance norm": lambda x: x - x.mean((1, 2), keepdims=True),
        "squeeze and excite": lambda x: x * jax.nn.sigmoid(x.max((1, 2), keepdims=True)),
        "row mean": lambda x: x + x.mean(1, keepdims=True),
        "row maximum": lambda x: x + x.max(2, keepdims=True),
    }
    name = draw(st.sampled_from(sorted(layers)))
    return f"{name} {top} {left} {stride} {pads}", layers[name]


def resampling(draw: Any, shape: tuple[int, ...]) -> tuple[str, Layer]:
    """Transposed convolutions and resized maps; their numbers are positive, so nothing cancels."""
    _, height, width, channels = shape
    sides = st.tuples(st.integers(1, 4), st.integers(1, 4))
    size, stride, padding = draw(sides), draw(sides), draw(st.sampled_from(["SAME", "VALID"]))
    groups = channels if draw(st.booleans()) else 1
    generator = _generator(draw)
    kernel = jnp.asarray(generator.uniform(0.1, 1, (*size, channels // groups, channels)), "f")
    new = draw(st.tuples(st.integers(1, 2 * height), st.integers(1, 2 * width)))
    rows = generator.integers(0, height, new[0])
    pads = [tuple(draw(st.integers(0, 2)) for _ in range(3)) for _ in range(2)]

    def transposed(x: Array) -> Array:
        before = [
            (n - 1, n - 1 + s) if padding == "VALID" else (n // 2, n // 2 + 1)
            for n, s in zip(size, stride, strict=True)
        ]
        return lax.conv_general_dilated(
            x, kernel, (1, 1), before, lhs_dilation=stride,
            dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
        )  # fmt: skip

    def resized(method: str) -> Layer:
        return lambda x: jax.image.resize(x, (x.shape[0], *new, channels), method)

    layers: dict[str, Layer] = {
        "transposed convolution": transposed,
        "nearest": resized("nearest"),
        "linear": resized("linear"),
        "cubic": resized("cubic"),
        "repeat": lambda x: jnp.repeat(x, stride[0], axis=1),
        "take": lambda x: x[:, rows],
        "interior pad": lambda x: lax.pad(x, x.dtype.type(0.5), [(0, 0, 0), *pads, (0, 0, 0)]),
        "reverse": lambda x: x[:, ::-1],
    }
    name = draw(st.sampled_from(sorted(layers)))
    return f"{name} {size} {stride} {padding} {groups} {new} {pads}", layers[name]


_SIMPLE = [convolution, convolution, pooling, pointwise, across_channels]


def branches(draw: Any, shape: tuple[int, ...]) -> tuple[str, Layer]:
    """Two same-sized paths, added or joined, and the map itself."""
    odd = draw(st.sampled_from([1, 3]))
    generator = _generator(draw)
    channels = shape[-1]
    kernels = [
        jnp.asarray(generator.normal(size=(*size, channels, channels)) / channels, jnp.float32)
        for size in ((odd, odd), (3, 1))
    ]
    join = draw(st.sampled_from(["add", "concatenate", "multiply"]))

    def layer(x: Array) -> Array:
        one, two = (
            lax.conv_general_dilated(
                x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            for k in kernels
        )
        if join == "concatenate":
            return jnp.concatenate([jax.nn.relu(one), two, x], axis=-1)
        return jax.nn.relu(one) + x if join == "add" else one * two

    return f"branches {odd} {join}", layer


def head(draw: Any, shape: tuple[int, ...]) -> tuple[str, Layer]:
    generator = _generator(draw)
    flat = jnp.asarray(generator.normal(size=(int(np.prod(shape[1:])), 3)), jnp.float32)
    deep = jnp.asarray(generator.normal(size=(shape[-1], 3)), jnp.float32)
    row, column = draw(st.integers(0, shape[1] - 1)), draw(st.integers(0, shape[2] - 1))
    layers: dict[str, Layer] = {
        "flatten": lambda x: x.reshape(x.shape[0], -1) @ flat / math.sqrt(len(flat)),
        "mean": lambda x: jnp.tanh(x.mean((1, 2))) @ deep,
        "maximum": lambda x: x.max((1, 2)) @ deep,
        "sum": lambda x: x.sum((1, 2, 3)),
        "unit": lambda x: x[:, row, column, 0],
        "softmax": lambda x: jax.nn.softmax(x.reshape(x.shape[0], -1)),
        "map": lambda x: x,
    }
    name = draw(st.sampled_from(sorted(layers)))
    return name, layers[name]


@st.composite
def networks(
    draw: Any,
    *,
    kinds: tuple[Any, ...] = (*_SIMPLE, spatial, branches, resampling),
    depth: int = 4,
    with_head: bool = True,
) -> Network:
    image_shape = (draw(st.integers(4, 14)), draw(st.integers(4, 14)), draw(st.integers(1, 3)))
    shape: tuple[int, ...] = (1, *image_shape)
    descriptions, layers = [], []
    for _ in range(draw(st.integers(1, depth))):
        description, layer = draw(st.sampled_from(kinds))(draw, shape)
        result = jax.eval_shape(layer, jax.ShapeDtypeStruct(shape, jnp.float32)).shape
        if 0 in result or int(np.prod(result)) > 20_000:
            continue
        shape = result
        descriptions.append(description)
        layers.append(layer)
    if with_head or not layers:
        description, layer = head(draw, shape)
        descriptions.append(description)
        layers.append(layer)
    return Network(descriptions, layers, image_shape)


@st.composite
def occlusions(draw: Any, image_shape: tuple[int, int, int]) -> Occlusion:
    """A grid whose last boxes touch the edges, as occlusion uses it."""
    window = tuple(draw(st.integers(1, max(1, extent * 2 // 3))) for extent in image_shape[:2])
    axes = []
    for extent, size in zip(image_shape[:2], window, strict=True):
        starts = list(range(0, extent - size + 1, draw(st.integers(1, 5))))
        axes.append(sorted({*starts, extent - size}))
    tops, lefts = (grid.ravel().tolist() for grid in np.meshgrid(*axes, indexing="ij"))
    generator = _generator(draw)
    fill = {
        "scalar": 0.3,
        "vector": generator.normal(size=image_shape[2]).astype(np.float32),
        "image": generator.normal(size=image_shape).astype(np.float32),
    }[draw(st.sampled_from(["scalar", "vector", "image"]))]
    return Occlusion(window, tops, lefts, fill)
