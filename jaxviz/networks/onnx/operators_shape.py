"""Operators on shapes and axes: moving, joining, cutting and repeating numbers."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .values import Node, Operator, Value, moved, plain, static

_TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip


def identity(node: Node, inputs: Sequence[Any]) -> Value:
    """Identity, and Dropout, which does nothing in evaluation."""
    if len(node.outputs) > 1:
        raise node.refuse("a mask of what was dropped is not supported")
    if node.kind == "Dropout" and len(inputs) > 2 and inputs[2] is not None:
        training = node.fixed(inputs[2], "training_mode")
        if training is not None and bool(training):
            raise node.refuse("is in training mode; export the network in evaluation mode")
    value: Value = inputs[0]
    return value


def cast(node: Node, inputs: Sequence[Any]) -> Value:
    (x,) = inputs
    kind = _TYPES.get(node.get("to"))
    if kind is None:
        raise node.refuse(f"to type {node.get('to')} is not supported")
    if x.is_static:
        return static(x.known.astype(jnp.dtype(kind)))
    return x.like(x.array.astype(jnp.dtype(kind)))


def constant(node: Node, inputs: Sequence[Any]) -> Value:
    for name in ("value", "value_int", "value_ints", "value_float", "value_floats"):
        if name in node.attributes:
            value = node.get(name)
            kind = {"i": np.int64, "f": np.float32}.get(name[6:7])
            return static(np.asarray(value, kind))
    raise node.refuse("has no number in it")


def constant_of_shape(node: Node, inputs: Sequence[Any]) -> Value:
    shape = node.fixed(inputs[0], "shape")
    value = np.asarray(node.get("value", np.zeros(1, np.float32))).ravel()[0]
    return static(np.full(node.bounded(shape), value))


def shape_of(node: Node, inputs: Sequence[Any]) -> Value:
    shape = inputs[0].shape
    return static(np.asarray(shape[slice(node.get("start", 0), node.get("end"))], np.int64))


def size_of(node: Node, inputs: Sequence[Any]) -> Value:
    return static(np.asarray(math.prod(inputs[0].shape), np.int64))


def reshape(node: Node, inputs: Sequence[Any]) -> Value:
    x, shape = inputs[0], node.ints(inputs, 1, "shape")
    if shape is None:
        raise node.refuse("has no shape")
    if not node.get("allowzero", 0):
        shape = [x.shape[i] if size == 0 else size for i, size in enumerate(shape)]
    size, fixed = math.prod(x.shape), math.prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and fixed and size % fixed == 0:
        shape[shape.index(-1)] = size // fixed
    if math.prod(shape) != size or any(n < 0 for n in shape):
        raise node.refuse(f"of {x.shape} to {shape}")
    return _reshaped(x, shape)


def _reshaped(x: Value, shape: Sequence[int]) -> Value:
    if x.is_static and x.known is not None:
        return static(x.known.reshape(shape))
    if [n for n in x.shape if n != 1] == [n for n in shape if n != 1] and x.rank > len(shape):
        kept = [axis for axis in range(x.rank) if x.shape[axis] != 1]
        order = [x.order[axis] for axis in kept]
        if order == sorted(order):  # empty axes alone go: nothing moves
            return plain(jnp.reshape(x.array, shape))
    return plain(jnp.reshape(x.logical, shape))


def flatten(node: Node, inputs: Sequence[Any]) -> Value:
    (x,) = inputs
    axis = node.get("axis", 1)
    axis = axis % x.rank if axis < 0 else axis
    return _reshaped(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def transpose(node: Node, inputs: Sequence[Any]) -> Value:
    (x,) = inputs
    axes = node.get("perm", tuple(reversed(range(x.rank))))
    if sorted(axes) != [*range(x.rank)]:
        raise node.refuse(f"perm {axes} for shape {x.shape}")
    if x.is_static:
        return static(np.transpose(x.known, axes))
    return Value(x.array, tuple(x.order[axis] for axis in axes))


def squeeze(node: Node, inputs: Sequence[Any]) -> Value:
    x, axes = inputs[0], node.ints(inputs, 1, "axes")
    if axes is None:
        axes = [axis for axis, size in enumerate(x.shape) if size == 1]
    dropped = {axis % x.rank for axis in axes}
    if any(x.shape[axis] != 1 for axis in dropped):
        raise node.refuse(f"axes {axes} of shape {x.shape}")
    return _reshaped(x, [size for axis, size in enumerate(x.shape) if axis not in dropped])


def unsqueeze(node: Node, inputs: Sequence[Any]) -> Value:
    x, axes = inputs[0], node.ints(inputs, 1, "axes") or []
    rank = x.rank + len(axes)
    added = {axis % rank for axis in axes}
    sizes = iter(x.shape)
    return _reshaped(x, [1 if axis in added else next(sizes) for axis in range(rank)])


def concat(node: Node, inputs: Sequence[Any]) -> Value:
    axis = node.get("axis", 1)
    if all(one.is_static for one in inputs):
        node.bounded([sum(one.array.size for one in inputs)])
        return static(np.concatenate([one.known for one in inputs], axis))
    lead = next(one for one in inputs if one.known is None or one is inputs[-1])
    rank = lead.rank
    arrays = []
    for one in inputs:
        array = moved(one.logical, [lead.order.index(i) for i in range(rank)])
        arrays.append(array if one.order != lead.order or one.is_static else one.array)
    return lead.like(jnp.concatenate(arrays, lead.axis(axis)))


def split(node: Node, inputs: Sequence[Any]) -> list[Value]:
    x, sizes = inputs[0], node.ints(inputs, 1, "split")
    axis = node.get("axis", 0)
    total = x.shape[axis]
    if sizes is None:
        count = len(node.outputs)
        each = -(-total // count)
        sizes = [min(each, total - i * each) for i in range(count)]
    if sum(sizes) != total or min(sizes) < 0:
        raise node.refuse(f"{total} numbers into {sizes}")
    parts = np.split(x.known, np.cumsum(sizes)[:-1], axis) if x.is_static else jnp.split(
        x.array, np.cumsum(sizes)[:-1], x.axis(axis)
    )  # fmt: skip
    return [static(part) if x.is_static else x.like(part) for part in parts]


def cut(node: Node, inputs: Sequence[Any]) -> Value:
    """Slice: along some axes, from starts to ends, which may be beyond the last number."""
    x = inputs[0]
    starts, ends = node.ints(inputs, 1, "starts"), node.ints(inputs, 2, "ends")
    if starts is None or ends is None:
        raise node.refuse("has no starts or no ends")
    axes = node.ints(inputs, 3, "axes") or [*range(len(starts))]
    steps = node.ints(inputs, 4, "steps") or [1] * len(starts)
    index = [slice(None)] * x.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis]
        low, high = (0, size) if step > 0 else (-1, size - 1)
        first = min(max(start + size if start < 0 else start, 0), high)
        last = min(max(end + size if end < 0 else end, low), size)
        index[axis % x.rank] = slice(first, None if last < 0 else last, step)
    if x.is_static:
        return static(x.known[tuple(index)])
    moves: list[Any] = [slice(None)] * x.rank
    for axis, one in enumerate(index):
        moves[x.order[axis]] = one
    return x.like(x.array[tuple(moves)])


def gather(node: Node, inputs: Sequence[Any]) -> Value:
    x, axis = inputs[0], node.get("axis", 0)
    indices = node.fixed(inputs[1], "indices")
    indices = np.where(indices < 0, indices + x.shape[axis], indices)
    if x.is_static:
        node.bounded([indices.size, *(n for i, n in enumerate(x.shape) if i != axis % x.rank)])
        return static(np.take(x.known, indices, axis))
    place = axis % x.rank
    if np.array_equal(indices.ravel(), np.arange(x.shape[place])):  # as exporters write as_strided
        return _reshaped(x, [*x.shape[:place], *indices.shape, *x.shape[place + 1 :]])
    if indices.ndim == 0:  # one of them: a cut, whose axis goes
        place = x.axis(axis)
        order = [i - (i > place) for i in x.order if i != place]
        return Value(lax.index_in_dim(x.array, int(indices), place, keepdims=False), tuple(order))
    return plain(jnp.take(x.logical, indices, axis))


def pad(node: Node, inputs: Sequence[Any]) -> Value:
    x, mode = inputs[0], node.get("mode", "constant")
    widths = node.ints(inputs, 1, "pads") or node.get("paddings")
    if widths is None:
        raise node.refuse("has no pads")
    value = inputs[2] if len(inputs) > 2 and inputs[2] is not None else None
    fill = node.get("value", 0.0) if value is None else node.fixed(value, "constant_value")
    axes = [axis % x.rank for axis in node.ints(inputs, 3, "axes") or range(x.rank)]
    low, high = widths[: len(axes)], widths[len(axes) :]
    pairs = [(0, 0)] * x.rank
    for axis, *pair in zip(axes, low, high, strict=True):
        pairs[x.order[axis]] = (pair[0], pair[1])
    node.bounded([max(0, n + sum(pair)) for n, pair in zip(x.array.shape, pairs, strict=True)])
    array = x.array
    if any(n < 0 for pair in pairs for n in pair):
        sizes = array.shape
        array = array[
            tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(pairs, sizes, strict=True))
        ]
        pairs = [(max(0, a), max(0, b)) for a, b in pairs]
    if mode == "constant":
        return x.like(jnp.pad(array, pairs, constant_values=np.asarray(fill).ravel()[0]))
    modes = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
    if mode not in modes:
        raise node.refuse(f"mode {mode!r} is not supported")
    return x.like(jnp.pad(array, pairs, mode=modes[mode]))


def expand(node: Node, inputs: Sequence[Any]) -> Value:
    x, shape = inputs[0], node.ints(inputs, 1, "shape")
    target = tuple(node.bounded(np.broadcast_shapes(x.shape, tuple(shape or ()))))
    if x.is_static:
        return static(np.broadcast_to(x.known, target))
    return plain(jnp.broadcast_to(x.logical, target))


def tile(node: Node, inputs: Sequence[Any]) -> Value:
    repeats = node.ints(inputs, 1, "repeats") or []
    node.bounded([size * times for size, times in zip(inputs[0].shape, repeats, strict=True)])
    return plain(jnp.tile(inputs[0].logical, repeats))


def numbers(node: Node, inputs: Sequence[Any]) -> Value:
    """Range: from a start to a limit, by steps."""
    bounds = [node.fixed(one, "bounds").item() for one in inputs]
    node.bounded([max(0, math.ceil((bounds[1] - bounds[0]) / bounds[2]))])
    return static(np.arange(*bounds).astype(inputs[0].dtype))


def scatter(node: Node, inputs: Sequence[Any]) -> Value:
    """ScatterND: numbers, or whole parts, put where the indices say."""
    x, _, updates = inputs
    indices = node.fixed(inputs[1], "indices")
    changed = jnp.asarray(x.logical).at[tuple(np.moveaxis(indices, -1, 0))]
    how: dict[str, Any] = {"none": changed.set, "add": changed.add, "mul": changed.multiply,
           "max": changed.max, "min": changed.min}  # fmt: skip
    if node.get("reduction", "none") not in how:
        raise node.refuse(f"reduction {node.get('reduction')!r} is not supported")
    return plain(how[node.get("reduction", "none")](updates.logical))


def depth_to_space(node: Node, inputs: Sequence[Any]) -> Value:
    x, block = inputs[0], node.get("blocksize")
    n, c, h, w = x.shape
    depth = c // block**2
    if node.get("mode", "DCR") == "DCR":
        parts = jnp.transpose(x.logical.reshape(n, block, block, depth, h, w), (0, 3, 4, 1, 5, 2))
    else:
        parts = jnp.transpose(x.logical.reshape(n, depth, block, block, h, w), (0, 1, 4, 2, 5, 3))
    return plain(parts.reshape(n, depth, h * block, w * block))


SHAPES: dict[str, Operator] = {
    "Identity": identity, "Dropout": identity, "Cast": cast, "Constant": constant,
    "ConstantOfShape": constant_of_shape, "Shape": shape_of, "Size": size_of, "Reshape": reshape,
    "Flatten": flatten, "Transpose": transpose, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Concat": concat, "Split": split, "Slice": cut, "Gather": gather, "Pad": pad,
    "Expand": expand, "ScatterND": scatter, "Tile": tile, "Range": numbers,
    "DepthToSpace": depth_to_space,
}  # fmt: skip
