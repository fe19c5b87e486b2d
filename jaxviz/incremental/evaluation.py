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

from ..cpu.compilation import compiled
from ..jaxpr.tape import Constant, Slot, Step, Tape, read_slot, record
from .planning import Group, groups, one_group, schedule
from .rules import RULES
from .windows import Box, Region, Value, cut, needed, read, whole


class WindowedOutputs(NamedTuple):
    """clean: the outputs of the image itself; outputs: the same with an axis of positions first."""

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
        tuple(int(top) for top in tops), tuple(int(left) for left in lefts), (window[0], window[1])
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
    changed = {tape.inputs[-1]: positions.region(image.shape[-1])}
    count = len(positions.tops)
    values = tape.evaluate([*constants, image[None]])
    pasted = jnp.broadcast_to(fill, image.shape)[None]
    prepared = [
        RULES[step.name].prepare(step, [read_slot(values, slot) for slot in step.inputs])
        if step.name in RULES
        else None
        for step in tape.steps
    ]
    every = one_group(tape, changed, np.arange(count))
    found = groups(tape, changed, every)
    tail, kept, loops, joint = schedule(tape, found, every, chunk_size)
    ends = [slot for slot in tape.outputs if isinstance(slot, int) and slot in every.boxes]
    parts: list[dict[int, Array]] = []
    for one, loop in zip(found, loops, strict=True):
        walk = _Walk(tape, one, values, prepared, pasted, tail, kept)
        rows = jnp.asarray(loop.rows(len(one.positions)), jnp.int32)
        results = lax.map(walk.wholes if joint else walk.outputs, rows)
        parts.append(
            {
                slot: results[slot].reshape(-1, *tape.avals[slot].shape)[: len(one.positions)]
                if slot in results
                else jnp.broadcast_to(values[slot], (len(one.positions), *tape.avals[slot].shape))
                for slot in (kept if joint else ends)
            }
        )
    joined = {slot: jnp.concatenate([part[slot] for part in parts]) for slot in parts[0]}
    back = np.argsort(np.concatenate([one.positions for one in found]))
    if joint:
        walk = _Walk(tape, every, values, prepared, pasted, tail, kept)
        rows = jnp.asarray(back[joint.rows(count)].reshape(joint.outer, -1), jnp.int32)
        results = lax.map(lambda r: walk.rest({slot: v[r] for slot, v in joined.items()}, r), rows)
        joined = {slot: v.reshape(-1, *v.shape[2:])[:count] for slot, v in results.items()}
    else:
        joined = {slot: v[back] for slot, v in joined.items()}
    clean = [jnp.asarray(read_slot(values, slot)) for slot in tape.outputs]
    return clean, [
        joined[slot]
        if isinstance(slot, int) and slot in joined
        else jnp.broadcast_to(value, (count, *value.shape))
        for slot, value in zip(tape.outputs, clean, strict=True)
    ]


_evaluate = compiled(_evaluate_positions, static_argnames=("tape", "positions", "chunk_size"))


class _Walk(NamedTuple):
    """The walk through the tape for one group of positions."""

    tape: Tape
    group: Group
    values: Mapping[int, Any]
    prepared: Sequence[Any]
    pasted: Array
    tail: int
    kept: Sequence[int]

    def wholes(self, chunks: Array) -> dict[int, Array]:
        """What the tail reads, by slot; `chunks` (num_chunks, chunk) are rows of the group."""

        def head(chunk: Array) -> dict[int, Array]:
            contents = self.advance(self.start(chunk), slice(0, self.tail), chunk)
            return {
                slot: read(self.value(slot, contents), self.everything(slot), chunk)[0]
                for slot in self.kept
                if slot in contents
            }

        return {
            slot: value.reshape(-1, *value.shape[2:])
            for slot, value in lax.map(head, chunks).items()
        }

    def rest(self, contents: dict[int, Array], rows: Array) -> dict[int, Array]:
        """The outputs that change, by slot."""
        contents = self.advance(contents, slice(self.tail, None), rows)
        return {
            slot: contents[slot]
            for slot in self.tape.outputs
            if isinstance(slot, int) and slot in contents
        }

    def outputs(self, chunks: Array) -> dict[int, Array]:
        return self.rest(self.wholes(chunks), chunks.reshape(-1))

    def start(self, chunk: Array) -> dict[int, Array]:
        image = self.tape.inputs[-1]
        box, _ = cut(self.pasted, self.group.boxes[image], chunk)
        return {image: jnp.broadcast_to(box, (len(chunk), *self.group.boxes[image].sizes))}

    def everything(self, slot: int) -> Box:
        return whole(self.tape.avals[slot].shape, len(self.group.boxes[slot].starts))

    def value(self, slot: Slot, contents: Mapping[int, Array]) -> Value:
        if isinstance(slot, Constant) or slot not in contents:
            return Value(read_slot(self.values, slot))
        return Value(self.values[slot], contents[slot], self.group.boxes[slot])

    def advance(self, contents: dict[int, Array], part: slice, chunk: Array) -> dict[int, Array]:
        """The contents after the steps in `part`."""
        for i in range(*part.indices(len(self.tape.steps))):
            step, windows = self.tape.steps[i], self.group.plan.windows[i]
            if windows is not None:
                operands = [self.value(slot, contents) for slot in step.inputs]
                clean = [self.values[slot] for slot in step.outputs]
                frames = [self.group.boxes[slot] for slot in step.outputs]
                results = _evaluate_step(
                    step, windows, operands, clean, frames, chunk, self.prepared[i]
                )
                contents.update(zip(step.outputs, results, strict=True))
        return contents


def _evaluate_step(
    step: Step,
    windows: Any,
    operands: Sequence[Value],
    clean: Sequence[Any],
    outlines: Sequence[Box],
    chunk: Array,
    prepared: Any,
) -> list[Array]:
    count = len(outlines[0].starts)
    if isinstance(windows, str):
        parts = [
            (operand.clean, False)
            if operand.box is None
            else read(operand, whole(operand.clean.shape, count), chunk)
            for operand in operands
        ]
        results: list[Array] = _map_positions(step.bind, parts)
        return results
    rule, box = RULES[step.name], outlines[0]
    if rule.increment is not None:
        result = rule.increment(step, operands, clean[0], box, chunk, prepared)
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
