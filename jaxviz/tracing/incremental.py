"""Evaluate a network for many boxes pasted into one image, recomputing only what each box changes.

The walk reads the network's jaxpr, so the network may be written in any way. In it each value is
clean (no box reaches it), differs from its clean value inside a box, or may differ anywhere; a
primitive without a rule makes its result the latter, and evaluation goes on.

Results equal whole forward passes within the round-off of the network's type. One limit: where a
clean activation is infinite, sums over it may give nan.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._compilation import compiled
from .planning import Plan, boxes, groups, plan
from .rules import RULES
from .tape import Constant, Step, Tape, read_slot, record
from .windows import Box, Region, Value, cut, needed, read, whole


class WindowedOutputs(NamedTuple):
    """clean: the outputs of the image as it is; outputs: the same with an axis of positions first."""

    clean: Any
    outputs: Any


class Positions(NamedTuple):
    """Boxes of one size; hashable, so that it can be a static argument of `jit`."""

    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    window: tuple[int, int]

    def region(self, channels: int) -> Region:
        """On images (1, H, W, C)."""
        zeros = np.zeros(len(self.tops), int)
        low = np.stack([zeros, self.tops, self.lefts, zeros], axis=1)
        return Region(low, low + np.array([1, *self.window, channels], int))


def windowed_outputs(
    fun: Callable[[Array], Any],
    image: Any,
    fill: Any,
    tops: Sequence[int] | np.ndarray,
    lefts: Sequence[int] | np.ndarray,
    *,
    window: tuple[int, int],
    chunk_size: int | None = None,
) -> WindowedOutputs:
    """The outputs of `fun` for the image with a box replaced, for every position of the box.

    fun: pure function of images (1, H, W, C) to a pytree of arrays.
    image: (H, W, C).
    fill: what replaces the box; broadcasts to (H, W, C), and the box is cut from there.
    tops, lefts: (positions,) host integers, the upper left corners of the boxes.
    window: (height, width) of the box, in pixels.
    chunk_size: positions evaluated at a time; bounds the memory, does not change the results.

    Called on arrays it is compiled once for each structure of `fun`, not for each function object.
    It may be called inside `jit` and `vmap` (over `image`, `fill` and what `fun` closes over).

    >>> image = jnp.arange(12.0).reshape(2, 3, 2)
    >>> clean, outputs = windowed_outputs(jnp.sum, image, 0.0, [0, 1], [0, 2], window=(1, 1))
    >>> float(clean), outputs.tolist()
    (66.0, [65.0, 45.0])
    """
    image = jnp.asarray(image)
    positions = Positions(
        tuple(int(top) for top in tops), tuple(int(left) for left in lefts), tuple(window)
    )
    recording = record(fun, jax.ShapeDtypeStruct((1, *image.shape), image.dtype))
    clean, outputs = _evaluate(
        recording.constants,
        image,
        jnp.asarray(fill, image.dtype),
        tape=recording.tape,
        positions=positions,
        chunk_size=chunk_size,
    )
    return WindowedOutputs(
        jax.tree.unflatten(recording.tree, clean), jax.tree.unflatten(recording.tree, outputs)
    )


def _evaluate_positions(
    constants: Sequence[Any],
    image: Array,
    fill: Array,
    *,
    tape: Tape,
    positions: Positions,
    chunk_size: int | None,
) -> tuple[list[Array], list[Array]]:
    image_slot = tape.inputs[-1]
    count = len(positions.tops)
    region = positions.region(image.shape[-1])
    walk = plan(tape, {image_slot: region})
    values = tape.evaluate([*constants, image[None]])
    clean = [jnp.asarray(read_slot(values, slot)) for slot in tape.outputs]
    changed = [slot for slot in tape.outputs if slot in walk.regions]
    pasted = jnp.broadcast_to(fill, image.shape)[None]
    parts, order = [], []
    for rows in groups(tape, walk.regions, count):
        size = _chunk_size(len(rows)) if chunk_size is None else min(chunk_size, len(rows))
        num_chunks = -(-len(rows) // size)
        index = np.minimum(np.arange(num_chunks * size), len(rows) - 1).reshape(num_chunks, size)
        results = lax.map(
            partial(_evaluate_chunk, tape, walk, boxes(tape, walk.regions, rows), values, pasted),
            jnp.asarray(index, jnp.int32),
        )
        parts.append([r.reshape(-1, *r.shape[2:])[: len(rows)] for r in results])
        order.append(rows)
    back = np.argsort(np.concatenate(order))
    merged = {
        slot: jnp.concatenate(pieces)[back] if len(pieces) > 1 else pieces[0]
        for slot, *pieces in zip(changed, *parts, strict=True)
    }
    outputs = [
        merged[slot] if slot in merged else jnp.broadcast_to(value, (count, *value.shape))
        for slot, value in zip(tape.outputs, clean, strict=True)
    ]
    return clean, outputs


_evaluate = compiled(_evaluate_positions, static_argnames=("tape", "positions", "chunk_size"))


def _chunk_size(count: int) -> int:
    most = 64
    return -(-count // -(-count // most))


def _evaluate_chunk(
    tape: Tape,
    walk: Plan,
    outlines: Mapping[int, Box],
    values: Mapping[int, Any],
    pasted: Array,
    chunk: Array,
) -> list[Array]:
    image_slot = tape.inputs[-1]
    start, batched = cut(pasted, outlines[image_slot], chunk)
    if not batched:
        start = jnp.broadcast_to(start, (len(chunk), *start.shape))
    contents: dict[int, Array] = {image_slot: start}

    def value_of(slot: int | Constant) -> Value:
        if isinstance(slot, Constant) or slot not in contents:
            return Value(read_slot(values, slot))
        return Value(values[slot], contents[slot], outlines[slot])

    for step, windows in zip(tape.steps, walk.windows, strict=True):
        if windows is not None:
            operands = [value_of(slot) for slot in step.inputs]
            clean = [values[slot] for slot in step.outputs]
            frames = [outlines[slot] for slot in step.outputs]
            results = _evaluate_step(step, windows, operands, clean, frames, chunk)
            contents.update(zip(step.outputs, results, strict=True))
    return [
        read(value_of(slot), whole(tape.avals[slot].shape, len(outlines[slot].starts)), chunk)[0]
        for slot in tape.outputs
        if slot in contents
    ]


def _evaluate_step(
    step: Step,
    windows: Any,
    operands: Sequence[Value],
    clean: Sequence[Any],
    outlines: Sequence[Box],
    chunk: Array,
) -> list[Array]:
    count = len(outlines[0].starts)
    if isinstance(windows, str):
        parts = [read(v, whole(jnp.shape(v.clean), count), chunk) for v in operands]
        return _map_positions(step.bind, parts)
    rule, box = RULES[step.name], outlines[0]
    if rule.increment is not None:
        result = rule.increment(step, operands, clean[0], box, chunk)
        if result is not None:
            return [result]
    fill = rule.fill(step, operands)
    parts = [
        (operand.clean, False)
        if seen is None
        else read(operand, needed(seen, box, jnp.shape(operand.clean)), chunk, fill)
        for operand, seen in zip(operands, windows, strict=True)
    ]
    return [_map_positions(partial(rule.evaluate, step, box.sizes), parts)]


def _map_positions(fun: Callable[..., Any], parts: Sequence[tuple[Any, bool]]) -> Any:
    axes = [0 if batched else None for _, batched in parts]
    return jax.vmap(fun, in_axes=axes)(*(part for part, _ in parts))
