"""Evaluate a network for many boxes pasted into one image, recomputing only what each box changes.

The walk reads the network's jaxpr, so the network may be written in any way. In it each value is
clean (no box reaches it), differs from its clean value inside a box, or may differ anywhere; a
primitive without a rule makes its result the latter, and evaluation goes on.

Results equal whole forward passes within the round-off of the network's type, relative to the
largest number of each value; also where a box hides the largest.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..cpu.compilation import compiled, inside_a_trace
from ..jaxpr.known import with_reads
from ..jaxpr.recording import record
from ..jaxpr.tape import Step, Tape, read_slot, run, run_steps
from .changes import allowing_bfloat16
from .planning import Group, Loop, groups, one_group, schedule
from .reading import Value, cut_each, read
from .rules import RULES
from .steps import evaluate_step
from .windows import Region, whole

ACCURATE = -1  # the slot that says of which positions all is accurate, where changes are rounded


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
    rounded: bool = False,
) -> WindowedOutputs:
    """The outputs of `fun` for the image with a box replaced, for every position of the box.

    fun: pure function of images (1, H, W, C) to a pytree of arrays.
    image: (H, W, C).
    fill: what replaces the box; broadcasts to (H, W, C), and the box is cut from there.
    tops, lefts: (positions,) host integers, the upper left corners of the boxes.
    window: (height, width) of the box, in pixels.
    chunk_size: positions evaluated at a time; bounds the memory, does not change the results.
    rounded: whether changes may be multiplied as bfloat16, where that is faster, but not in a
        trace: it takes compiler options that only the outermost `jit` may have, and a look at
        whether a box hides numbers so large that too little is left. If so, nothing is rounded.

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
    # A tracer may vary over the axes of a `shard_map`, which a shape and a type do not say.
    traced = isinstance(image, jax.core.Tracer)
    like = image[None] if traced else jax.ShapeDtypeStruct((1, *image.shape), image.dtype)
    recording = with_reads(record(fun, like))
    arrays = recording.constants, image, jnp.asarray(fill, image.dtype)
    how = {"positions": positions, "chunk_size": chunk_size}
    is_accurate, tape = False, recording.tape
    if rounded and not inside_a_trace():
        tape = allowing_bfloat16(tape)
    if tape.is_rounded:
        clean, outputs, is_accurate = _evaluate_rounded(*arrays, tape=tape, **how)
    if not is_accurate:
        clean, outputs, _ = _evaluate(*arrays, tape=recording.tape, **how)
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
) -> tuple[list[Array], list[Array], Array]:
    """The outputs of the image itself, and of all positions, (positions, ...).

    And whether all are accurate, although changes were rounded.
    """
    count = len(positions.tops)
    changed = {tape.inputs[-1]: positions.region(image.shape[-1])}
    every = one_group(tape, changed, np.arange(count))
    found = groups(tape, changed, every)
    plan = schedule(tape, found, every, chunk_size)

    values = run(tape, [*map(jnp.asarray, constants), image[None]])
    pasted = jnp.broadcast_to(fill, image.shape)[None]
    walk = _Walk(tape, values, _prepared(tape, values), pasted, plan.tail, plan.kept)
    evaluate, slots = walk.outputs, tuple(walk.changing_outputs(every))
    if plan.joint:
        evaluate, slots = walk.wholes, plan.kept
    if tape.is_rounded:
        slots = (*slots, ACCURATE)
    parts = []
    for group, loop in zip(found, plan.loops, strict=True):
        results = looped(partial(evaluate, group), loop, len(group.positions))
        parts.append(walk.with_clean(results, slots, len(group.positions)))
    joined = {slot: jnp.concatenate([part[slot] for part in parts]) for slot in slots}
    order = np.concatenate([group.positions for group in found])
    if plan.joint:

        def rest(rows: Array) -> dict[int, Array]:
            rows = rows.reshape(-1)
            contents = {slot: value[rows] for slot, value in joined.items()}
            return walk.rest(every, contents, jnp.asarray(order, jnp.int32)[rows])

        results = looped(rest, plan.joint, count)
    else:
        results = joined
    back = np.argsort(order)
    in_order = {slot: value[back] for slot, value in results.items()}
    clean = [jnp.asarray(read_slot(values, slot)) for slot in tape.outputs]
    outputs = [
        in_order[slot]
        if isinstance(slot, int) and slot in in_order
        else jnp.broadcast_to(value, (count, *value.shape))
        for slot, value in zip(tape.outputs, clean, strict=True)
    ]
    return clean, outputs, in_order.get(ACCURATE, jnp.ones(count, bool)).all()


_evaluate, _evaluate_rounded = (
    compiled(  # For one image the rewritten network takes longer to compile than it saves.
        _evaluate_positions,
        static_argnames=("tape", "positions", "chunk_size"),
        rewrite=False,
        lasting=True,
        rounded=rounded,
    )
    for rounded in (False, True)
)


def _prepared(tape: Tape, values: Mapping[int, Any]) -> dict[int, Any]:
    """What rules make of clean operands once for all positions, by each step's first output."""
    return {
        step.outputs[0]: RULES[step.name].prepare(
            step, [read_slot(values, slot) for slot in step.inputs]
        )
        for step in tape.steps
        if step.name in RULES
    }


def looped(
    evaluate: Callable[[Array], dict[int, Array]], loop: Loop, count: int
) -> dict[int, Array]:
    """`evaluate` for the rows of each block in turn; the answers of the first `count` rows.

    evaluate: (num_chunks, chunk) rows -> arrays (num_chunks * chunk, ...), by slot.

    >>> looped(lambda rows: {0: 10 * rows.reshape(-1)}, Loop(2, 1, 2), 3)[0].tolist()
    [0, 10, 20]
    """
    results = lax.map(evaluate, jnp.asarray(loop.rows(count), jnp.int32))
    return {slot: value.reshape(-1, *value.shape[2:])[:count] for slot, value in results.items()}


class _Walk(NamedTuple):
    """The walk through the tape: steps before `tail` on boxes, the rest on the slots `kept`."""

    tape: Tape
    values: Mapping[int, Any]
    prepared: Mapping[int, Any]
    pasted: Array
    tail: int
    kept: Sequence[int]

    def changing_outputs(self, group: Group) -> list[int]:
        outputs = self.tape.outputs
        return [slot for slot in outputs if isinstance(slot, int) and slot in group.boxes]

    def with_clean(
        self, results: Mapping[int, Array], slots: Iterable[int], count: int
    ) -> dict[int, Array]:
        """All of `slots`: those that do not change in a group have their clean values."""

        def clean(slot: int) -> Array:
            if slot == ACCURATE:
                return jnp.ones(count, bool)
            return jnp.broadcast_to(self.values[slot], (count, *self.tape.avals[slot].shape))

        return {slot: results[slot] if slot in results else clean(slot) for slot in slots}

    def outputs(self, group: Group, chunks: Array) -> dict[int, Array]:
        """The outputs that change, by slot; `chunks` (num_chunks, chunk) are rows of the group."""
        return self.rest(group, self.wholes(group, chunks), chunks.reshape(-1))

    def wholes(self, group: Group, chunks: Array) -> dict[int, Array]:
        """The whole values of what the tail reads, by slot."""

        def head(chunk: Array) -> dict[int, Array]:
            contents = self.advance(group, self.start(group, chunk), slice(0, self.tail), chunk)
            found = {}
            for slot in self.kept:
                if slot in contents:
                    everything = whole(self.tape.avals[slot].shape, len(group.positions))
                    value = Value(self.values[slot], contents[slot], group.boxes[slot])
                    found[slot] = read(value, everything, chunk)[0]
            return found | self.accuracy(contents)

        results = lax.map(head, chunks)
        return {slot: value.reshape(-1, *value.shape[2:]) for slot, value in results.items()}

    def rest(self, group: Group, contents: Mapping[int, Array], rows: Array) -> dict[int, Array]:
        """The outputs that change, by slot, from what the tail reads."""
        contents = self.advance(group, contents, slice(self.tail, None), rows)
        found = {slot: contents[slot] for slot in self.changing_outputs(group) if slot in contents}
        return found | self.accuracy(contents)

    def accuracy(self, contents: Mapping[int, Array]) -> dict[int, Array]:
        """Of the contents, what says where they are accurate."""
        return {ACCURATE: contents[ACCURATE]} if ACCURATE in contents else {}

    def start(self, group: Group, chunk: Array) -> dict[int, Array]:
        image = self.tape.inputs[-1]
        box = group.boxes[image]
        part = cut_each(self.pasted, box, chunk)
        return {image: jnp.broadcast_to(part, (len(chunk), *box.sizes))}

    def advance(
        self, group: Group, contents: Mapping[int, Array], part: slice, chunk: Array
    ) -> dict[int, Array]:
        """The contents of boxes, by slot, after the steps in `part`; and if they are accurate."""
        all_accurate = [contents[ACCURATE]] if ACCURATE in contents else []

        def value(slot: int, contents: Array) -> Value:
            return Value(self.values[slot], contents, group.boxes[slot])

        def evaluate(step: Step, operands: Sequence[Any]) -> list[Value]:
            windows, outputs = group.plan.windows[step.outputs[0]], step.outputs
            clean = [self.values[slot] for slot in outputs]
            if windows is None:
                return [Value(one) for one in clean]
            boxes = [group.boxes[slot] for slot in outputs]
            read = [one if isinstance(one, Value) else Value(jnp.asarray(one)) for one in operands]
            prepared = self.prepared.get(outputs[0])
            results, are_accurate = evaluate_step(
                step, windows, read, clean, boxes, chunk, prepared
            )
            if are_accurate is not None:
                all_accurate.append(are_accurate)
            return [value(*pair) for pair in zip(outputs, results, strict=True)]

        known = {slot: Value(clean) for slot, clean in self.values.items()}
        known |= {slot: value(slot, one) for slot, one in contents.items() if slot != ACCURATE}
        found = run_steps(self.tape.steps[part], known, evaluate)
        changed = {slot: one.contents for slot, one in found.items() if one.box is not None}
        if all_accurate:
            changed[ACCURATE] = reduce(jnp.logical_and, all_accurate)
        return changed
