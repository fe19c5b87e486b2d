"""Normalizations, matrix products, reductions and softmax."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .values import Node, Operator, Value, channels_last, moved, plain


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


PRODUCTS: dict[str, Operator] = {
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization, "GroupNormalization": group_normalization,
    "LayerNormalization": layer_normalization, "LRN": local_response_normalization, "Gemm": gemm,
    "MatMul": matmul, "ReduceMean": _reduction(jnp.mean), "ReduceSum": _reduction(jnp.sum),
    "ReduceMax": _reduction(jnp.max), "ReduceMin": _reduction(jnp.min),
    "ReduceProd": _reduction(jnp.prod),
    "ReduceL2": _reduction(lambda x, **options: jnp.sqrt(jnp.sum(x * x, **options))),
    "ArgMax": arg_max, "Softmax": _softmax(jax.nn.softmax),
    "LogSoftmax": _softmax(jax.nn.log_softmax),
}  # fmt: skip
