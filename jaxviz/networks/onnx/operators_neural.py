"""Convolutions, pools, normalizations and products, with the channels behind all other axes."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .values import Node, Operator, Value, channels_last, moved, plain

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
    return [*zip(pads[:space], pads[space:], strict=True)]


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


def batch_normalization(node: Node, inputs: Sequence[Any]) -> Value:
    x = inputs[0]
    scale, bias, mean, variance = (one.logical for one in inputs[1:5])
    if node.get("training_mode", 0) or node.get("is_test", 1) == 0 or len(node.outputs) > 1:
        raise node.refuse("is in training mode; export the network in evaluation mode")
    if node.get("spatial", 1) == 0:
        raise node.refuse("spatial=0 is not supported")
    factor = scale * lax.rsqrt(variance + np.asarray(node.get("epsilon", 1e-5), variance.dtype))
    array = x.last if x.rank > 1 else x.array
    result = (array - mean) * factor + bias
    result = result.astype(x.dtype)
    return channels_last(result) if x.rank > 1 else plain(result)


def _standardized(array: Any, axes: Sequence[int], epsilon: float) -> tuple[Any, Any, Any]:
    """The array with mean 0 and variance 1 along some axes, its mean, 1 / standard deviation."""
    mean = jnp.mean(array, axis=axes, keepdims=True)
    apart = array - mean
    variance = jnp.mean(apart * apart, axis=axes, keepdims=True)
    inverse = lax.rsqrt(variance + epsilon)
    return apart * inverse, mean, inverse


def instance_normalization(node: Node, inputs: Sequence[Any]) -> Value:
    x, scale, bias = inputs
    axes = tuple(range(1, x.rank - 1))
    result, _, _ = _standardized(x.last, axes, node.get("epsilon", 1e-5))
    return channels_last(result * scale.logical + bias.logical)


def group_normalization(node: Node, inputs: Sequence[Any]) -> Value:
    x, scale, bias = inputs
    groups, array = node.get("num_groups"), x.last
    if x.shape[1] % groups or scale.shape != (x.shape[1],):
        raise node.refuse(f"{groups} groups of {x.shape[1]} channels, scale {scale.shape}")
    parts = array.reshape(*array.shape[:-1], groups, -1)
    axes = (*range(1, x.rank - 1), x.rank)
    parts, _, _ = _standardized(parts, axes, node.get("epsilon", 1e-5))
    return channels_last(parts.reshape(array.shape) * scale.logical + bias.logical)


def layer_normalization(node: Node, inputs: Sequence[Any]) -> list[Value]:
    x, scale, *bias = inputs
    first = node.get("axis", -1) % x.rank
    axes = tuple(sorted(x.order[axis] for axis in range(first, x.rank)))
    result, mean, inverse = _standardized(x.array, axes, node.get("epsilon", 1e-5))

    def spread(operand: Value) -> Any:
        shape = (1,) * (x.rank - operand.rank) + operand.shape
        back = [x.order.index(axis) for axis in range(x.rank)]
        return moved(jnp.reshape(operand.logical, shape), back)

    result = result * spread(scale)
    if bias and bias[0] is not None:
        result = result + spread(bias[0])
    return [x.like(one) for one in (result, mean, inverse)]


def local_response_normalization(node: Node, inputs: Sequence[Any]) -> Value:
    (x,) = inputs
    array, size = x.last, node.get("size")
    pairs = [(0, 0)] * (x.rank - 1) + [((size - 1) // 2, size - 1 - (size - 1) // 2)]
    window = (1,) * (x.rank - 1) + (size,)
    squares = lax.reduce_window(
        array * array, np.asarray(0, x.dtype), lax.add, window, (1,) * x.rank, pairs
    )
    scale = node.get("bias", 1.0) + node.get("alpha", 1e-4) / size * squares
    return channels_last(array / scale ** node.get("beta", 0.75))


def gemm(node: Node, inputs: Sequence[Any]) -> Value:
    x, y, *rest = inputs
    left = x.logical.T if node.get("transA", 0) else x.logical
    right = moved(y.array, y.order[::-1] if node.get("transB", 0) else y.order)
    result = jnp.matmul(left, right)
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    if alpha != 1:
        result = (result * alpha).astype(result.dtype)
    if rest and rest[0] is not None:
        bias = rest[0].logical
        result = result + (bias if beta == 1 else (bias * beta).astype(result.dtype))
    return plain(result)


def matmul(node: Node, inputs: Sequence[Any]) -> Value:
    x, y = inputs
    if y.rank == 2 and x.rank > 2 and x.order[-1] == x.rank - 1:  # a dense layer of every place
        return x.like(jnp.matmul(x.array, y.logical))
    return plain(jnp.matmul(x.logical, y.logical))


def _reduction(reduce: Any) -> Operator:
    def operator(node: Node, inputs: Sequence[Any]) -> Value:
        x, axes = inputs[0], node.ints(inputs, 1, "axes")
        if not axes:
            if node.get("noop_with_empty_axes", 0):
                result: Value = x
                return result
            axes = [*range(x.rank)]
        places = tuple(x.axis(axis) for axis in axes)
        if node.get("keepdims", 1):
            return x.like(reduce(x.array, axis=places, keepdims=True))
        left = [i for i in x.order if i not in places]
        return Value(
            reduce(x.array, axis=places, keepdims=False), tuple(sorted(left).index(i) for i in left)
        )

    return operator


def arg_max(node: Node, inputs: Sequence[Any]) -> Value:
    (x,) = inputs
    axis, array = node.get("axis", 0), x.logical
    options = {"axis": axis, "keepdims": bool(node.get("keepdims", 1))}
    if node.get("select_last_index", 0):
        last = jnp.argmax(jnp.flip(array, axis), **options)
        return plain(array.shape[axis] - 1 - last)
    return plain(jnp.argmax(array, **options))


def _softmax(function: Any) -> Operator:
    def operator(node: Node, inputs: Sequence[Any]) -> Value:
        (x,) = inputs
        if node.opset >= 13:
            return x.like(function(x.array, axis=x.axis(node.get("axis", -1))))
        first = node.get("axis", 1) % x.rank  # older: over all axes from this one on
        flat = x.logical.reshape(math.prod(x.shape[:first]), -1)
        return plain(function(flat, axis=-1).reshape(x.shape))

    return operator


NEURAL: dict[str, Operator] = {
    "Conv": convolution, "ConvTranspose": transposed_convolution, "MaxPool": max_pool,
    "AveragePool": average_pool, "GlobalAveragePool": _global(jnp.mean),
    "GlobalMaxPool": _global(jnp.max), "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization, "GroupNormalization": group_normalization,
    "LayerNormalization": layer_normalization, "LRN": local_response_normalization, "Gemm": gemm,
    "MatMul": matmul, "ReduceMean": _reduction(jnp.mean), "ReduceSum": _reduction(jnp.sum),
    "ReduceMax": _reduction(jnp.max), "ReduceMin": _reduction(jnp.min),
    "ReduceProd": _reduction(jnp.prod),
    "ReduceL2": _reduction(lambda x, **options: jnp.sqrt(jnp.sum(x * x, **options))),
    "ArgMax": arg_max, "Softmax": _softmax(jax.nn.softmax),
    "LogSoftmax": _softmax(jax.nn.log_softmax),
}  # fmt: skip
