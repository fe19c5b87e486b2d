"""Convolutions and pools, with the channels behind all other axes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .values import Node, Operator, Value, channels_last, moved

_SPACES = {3: "W", 4: "HW", 5: "DHW"}


def _padding(
    node: Node, sizes: Sequence[int], window: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:  # fmt: skip
    """How many pixels are added before and behind, along each axis."""
    auto, space = node.get("auto_pad", "NOTSET"), len(sizes)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pairs = []
        for size, width, step, gap in zip(sizes, window, strides, dilations, strict=True):
            total = max(0, (-(-size // step) - 1) * step + (width - 1) * gap + 1 - size)
            small, large = total // 2, total - total // 2
            pairs.append((small, large) if auto == "SAME_UPPER" else (large, small))
        return pairs
    pads = node.get("pads", [0] * (2 * space)) if auto == "NOTSET" else [0] * (2 * space)
    if len(pads) != 2 * space:
        raise node.refuse(f"pads {pads} for {space} axes")
    pairs = [*zip(pads[:space], pads[space:], strict=True)]
    node.bounded([size + max(0, *pair) for size, pair in zip(sizes, pairs, strict=True)])
    return pairs


def convolution(node: Node, inputs: Sequence[Any]) -> Value:
    x, kernel, *bias = inputs
    if x.rank not in _SPACES or kernel.rank != x.rank:
        raise node.refuse(f"shapes {x.shape} and {kernel.shape}")
    space = x.rank - 2
    strides = node.get("strides", [1] * space)
    dilations = node.get("dilations", [1] * space)
    groups = node.get("group", 1)
    if x.shape[1] != kernel.shape[1] * groups:
        raise node.refuse(f"{x.shape[1]} channels, expected {kernel.shape[1] * groups}")
    axes = _SPACES[x.rank]
    result = lax.conv_general_dilated(
        x.last, moved(kernel.array, [kernel.order[i] for i in (*range(2, x.rank), 1, 0)]),
        strides, _padding(node, x.shape[2:], kernel.shape[2:], strides, dilations),
        rhs_dilation=dilations, feature_group_count=groups,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )  # fmt: skip
    if bias and bias[0] is not None:
        result = result + bias[0].logical
    return channels_last(result)


def transposed_convolution(node: Node, inputs: Sequence[Any]) -> Value:
    x, kernel, *bias = inputs
    space = x.rank - 2
    strides = node.get("strides", [1] * space)
    dilations = node.get("dilations", [1] * space)
    extra = node.get("output_padding", [0] * space)
    groups, reach = node.get("group", 1), [
        (size - 1) * gap + 1 for size, gap in zip(kernel.shape[2:], dilations, strict=True)
    ]  # fmt: skip
    wanted = node.get("output_shape")
    auto = node.get("auto_pad", "NOTSET")
    if wanted is None and auto.startswith("SAME"):
        wanted = [size * step for size, step in zip(x.shape[2:], strides, strict=True)]
    if wanted is not None:
        pairs = []
        for size, step, width, more, goal in zip(
            x.shape[2:], strides, reach, extra, wanted[-space:], strict=True
        ):
            total = step * (size - 1) + more + width - goal
            small, large = total // 2, total - total // 2
            pairs.append((small, large) if auto == "SAME_UPPER" else (large, small))
    else:
        pads = node.get("pads", [0] * (2 * space)) if auto == "NOTSET" else [0] * (2 * space)
        pairs = [*zip(pads[:space], pads[space:], strict=True)]
    padding = [
        (width - 1 - low, width - 1 - high + more)
        for width, (low, high), more in zip(reach, pairs, extra, strict=True)
    ]
    into, out = kernel.shape[:2]
    weights = jnp.flip(kernel.logical, range(2, x.rank))
    weights = weights.reshape(groups, into // groups, out, *kernel.shape[2:])
    weights = jnp.moveaxis(weights, 2, 1).reshape(groups * out, into // groups, *kernel.shape[2:])
    axes = _SPACES[x.rank]
    result = lax.conv_general_dilated(
        x.last, weights, [1] * space, padding, lhs_dilation=strides, rhs_dilation=dilations,
        feature_group_count=groups,
        dimension_numbers=(f"N{axes}C", f"OI{axes}", f"N{axes}C"),
    )  # fmt: skip
    if bias and bias[0] is not None:
        result = result + bias[0].logical
    return channels_last(result)


def _pool(node: Node, x: Value, fill: Any, combine: Any) -> tuple[Any, list[tuple[int, int]], Any]:
    """The pooled array, its padding, and a function that pools other arrays alike."""
    window = node.get("kernel_shape")
    space = x.rank - 2
    if window is None or len(window) != space:
        raise node.refuse(f"kernel_shape {window} for shape {x.shape}")
    strides = node.get("strides", [1] * space)
    dilations = node.get("dilations", [1] * space)
    pairs = _padding(node, x.shape[2:], window, strides, dilations)
    if node.get("ceil_mode", 0) and node.get("auto_pad", "NOTSET") == "NOTSET":
        widened = []
        for size, width, step, gap, (low, high) in zip(
            x.shape[2:], window, strides, dilations, pairs, strict=True
        ):
            reach = (width - 1) * gap + 1
            count = -(-(size + low + high - reach) // step) + 1
            if (count - 1) * step >= size + low:  # a window that sees padding alone
                count -= 1
            widened.append((low, max(high, (count - 1) * step + reach - size - low)))
    else:
        widened = pairs

    def pooled(array: Any, fill: Any, combine: Any, padding: Sequence[tuple[int, int]]) -> Any:
        return lax.reduce_window(
            array, np.asarray(fill, array.dtype), combine, (1, *window, 1), (1, *strides, 1),
            ((0, 0), *padding, (0, 0)), window_dilation=(1, *dilations, 1),
        )  # fmt: skip

    return pooled(x.last, fill, combine, widened), pairs, lambda array, inner: pooled(
        array, 0, lax.add,
        [(b - a, d - c) for (a, c), (b, d) in zip(inner, widened, strict=True)],
    )  # fmt: skip


def _least(dtype: Any) -> Any:
    return -np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def max_pool(node: Node, inputs: Sequence[Any]) -> Value:
    (x,) = inputs
    if len(node.outputs) > 1:
        raise node.refuse("indices of the largest numbers are not supported")
    return channels_last(_pool(node, x, _least(x.dtype), lax.max)[0])


def average_pool(node: Node, inputs: Sequence[Any]) -> Value:
    """The mean of the numbers in each window: of those on the map, or of its padding too."""
    (x,) = inputs
    total, pairs, pooled = _pool(node, x, 0, lax.add)
    ones = np.ones((1, *x.shape[2:], 1), x.dtype)
    inner = [(0, 0)] * len(pairs)
    if node.get("count_include_pad", 0):
        ones = np.pad(ones, [(0, 0), *pairs, (0, 0)], constant_values=1)
        inner = pairs
    with jax.ensure_compile_time_eval():
        count = np.asarray(pooled(jnp.asarray(ones), inner))
    if (count == count.flat[0]).all():
        count = count.flat[0]
    return channels_last(total / count)


def _global(reduce: Any) -> Operator:
    def pool(node: Node, inputs: Sequence[Any]) -> Value:
        (x,) = inputs
        axes = tuple(range(1, x.rank - 1))
        return channels_last(reduce(x.last, axis=axes, keepdims=True))

    return pool


WINDOWS: dict[str, Operator] = {
    "Conv": convolution, "ConvTranspose": transposed_convolution, "MaxPool": max_pool,
    "AveragePool": average_pool, "GlobalAveragePool": _global(jnp.mean),
    "GlobalMaxPool": _global(jnp.max),
}  # fmt: skip
