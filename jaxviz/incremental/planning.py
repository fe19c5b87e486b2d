"""What changes in each step of a tape, and positions grouped by how much does."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..cpu import policy
from ..jaxpr.tape import Slot, Step, Tape
from . import (  # noqa: F401
    rules_convolution,
    rules_elementwise,
    rules_pool,
    rules_reduce,
    rules_shape,
)
from .rules import RULES, Windows
from .windows import Box, Region, bounding_box, reach, union, whole

# A group of positions is split in two if that saves so many multiply-adds over the whole call, for
# each step that has any: one more program must be compiled, in 0.05 s to 0.1 s a step.
_WORTH_A_STEP = 1e9
_MOST_GROUPS = 3

_MOST_BLOCK = 1024  # positions that share a dense tail


class Plan(NamedTuple):
    """The regions of all slots that change, by slot, and each step's windows by its first output.

    A step has windows, or None (it is clean), or the reason why it is evaluated whole.
    """

    regions: dict[int, Region]
    windows: dict[int, Windows | str | None]


def windows_of(step: Step, changed: list[int]) -> Windows | str:
    rule = RULES.get(step.name)
    if rule is None:
        return f"no rule for {step.name}"
    windows = rule.windows(step)
    if not isinstance(windows, str) and any(windows[i] is None for i in changed):
        return "an operand other than the map changes"
    return windows


def plan(tape: Tape, changed: Mapping[int, Region]) -> Plan:
    """Follow the regions that change from the slots `changed` through the tape."""
    regions = dict(changed)
    all_windows: dict[int, Windows | str | None] = {}
    for step in tape.steps:
        operands = {
            i: regions[slot]
            for i, slot in enumerate(step.inputs)
            if isinstance(slot, int) and slot in regions
        }
        windows = windows_of(step, list(operands)) if operands else None
        if isinstance(windows, str):
            count = len(operands[min(operands)].low)
            for slot, aval in zip(step.outputs, step.output_avals, strict=True):
                box = whole(aval.shape, count)
                regions[slot] = Region(box.starts, box.starts + np.array(aval.shape, int))
        elif windows is not None:
            shape = step.output_avals[0].shape
            region = union([reach(windows[i] or (), operands[i], shape) for i in operands])
            if region.is_empty:
                windows = None
            else:
                regions[step.outputs[0]] = region
        all_windows[step.outputs[0]] = windows
    return Plan(regions, all_windows)


class Group(NamedTuple):
    """Positions whose boxes have common sizes: their indices, their plan, and the boxes by slot."""

    positions: np.ndarray
    plan: Plan
    boxes: dict[int, Box]


def one_group(tape: Tape, changed: Mapping[int, Region], index: np.ndarray) -> Group:
    own = plan(tape, {slot: region.rows(index) for slot, region in changed.items()})
    boxes = {
        slot: bounding_box(region, tape.avals[slot].shape) for slot, region in own.regions.items()
    }
    return Group(index, own, boxes)


def groups(tape: Tape, changed: Mapping[int, Region], every: Group) -> list[Group]:
    """All positions, in groups. In some a slot may be clean that changes in others."""
    indices = grouped(costs(tape, every.plan.regions), len(every.positions))
    return [one_group(tape, changed, index) for index in indices]


def multiply_adds(step: Step, sizes: Sequence[int], into: Sequence[int] | None = None) -> int:
    """Of an output box of the given sizes, got by recomputing a box `into` of the first operand."""
    return RULES[step.name].multiply_adds(step, sizes, into) if step.name in RULES else 0


class Costs(NamedTuple):
    """What positions cost: `steps` have multiply-adds, of boxes of so many rows and columns.

    `extents` holds the different ones, (extents, positions); `axes` says which are a slot's.
    """

    steps: list[Step]
    extents: np.ndarray
    axes: dict[Slot, list[int]]

    def of_group(self, rows: np.ndarray) -> int:
        """Multiply-adds of these positions as one group, whose boxes have the largest extents."""
        largest = self.extents[:, rows].max(axis=1).tolist()
        sizes = {slot: [largest[axis] for axis in axes] for slot, axes in self.axes.items()}
        each = (
            multiply_adds(step, sizes[step.outputs[0]], sizes.get(step.inputs[0]))
            for step in self.steps
        )
        return len(rows) * sum(each)


def costs(tape: Tape, regions: Mapping[int, Region]) -> Costs:
    steps = [
        step
        for step in tape.steps
        if step.outputs[0] in regions and multiply_adds(step, step.output_avals[0].shape)
    ]
    measured = {slot for step in steps for slot in (step.outputs[0], step.inputs[0])}
    numbers: dict[bytes, int] = {}
    axes: dict[Slot, list[int]] = {}
    kept: list[np.ndarray] = []
    for slot in sorted(regions.keys() & measured):
        axes[slot] = []
        for extent in np.maximum(regions[slot].high - regions[slot].low, 0).T:
            if extent.tobytes() not in numbers:
                numbers[extent.tobytes()] = len(kept)
                kept.append(extent)
            axes[slot].append(numbers[extent.tobytes()])
    return Costs(steps, np.array(kept), axes)


class Split(NamedTuple):
    """Positions in two parts, and the cost that this saves; no parts if nothing is saved."""

    rows: np.ndarray
    saved: int
    parts: list[np.ndarray]


def best_split(rows: np.ndarray, columns: np.ndarray, cost: Callable[[np.ndarray], int]) -> Split:
    """The split at a threshold of one column that saves the most.

    >>> columns = np.array([[1, 1, 5]])
    >>> best_split(np.arange(3), columns, lambda rows: len(rows) * int(columns[0, rows].max()))
    Split(rows=array([0, 1, 2]), saved=8, parts=[array([0, 1]), array([2])])
    """
    together = cost(rows)
    best = Split(rows, 0, [])
    for column in columns[:, rows]:
        for threshold in np.unique(column)[:-1]:
            parts = [rows[column <= threshold], rows[column > threshold]]
            saved = together - sum(map(cost, parts))
            if saved > best.saved:
                best = Split(rows, saved, parts)
    return best


def grouped(of: Costs, count: int) -> list[np.ndarray]:
    """Positions in groups of similar box sizes, so that each group's boxes can be small.

    At the borders boxes are cut off, and they shrink with the phase of the network's strides.
    """
    if not of.steps:
        return [np.arange(count)]
    found = [best_split(np.arange(count), of.extents, of.of_group)]
    while len(found) < _MOST_GROUPS:
        best = max(found, key=lambda split: split.saved)
        if best.saved <= _WORTH_A_STEP * len(of.steps):
            break
        found = [split for split in found if split is not best]
        found.extend(best_split(rows, of.extents, of.of_group) for rows in best.parts)
    return [split.rows for split in found]


class Loop(NamedTuple):
    """`outer` blocks of `num_chunks * chunk` positions, the last filled up with repeats."""

    outer: int
    num_chunks: int
    chunk: int

    def rows(self, count: int) -> np.ndarray:
        return np.minimum(np.arange(math.prod(self)), count - 1).reshape(self)


class Schedule(NamedTuple):
    """How all positions are looped over.

    Steps before `tail` act on boxes, group by group, a chunk of positions at a time, so that they
    stay in cache; they hand on the whole values of the slots `kept`. The rest acts on these a block
    at a time, so that large matrices are read rarely: on all groups together as `joint` says, or
    if that is None, as the values of all positions are too many, on each group by itself.
    """

    tail: int
    kept: tuple[int, ...]
    loops: tuple[Loop, ...]
    joint: Loop | None


def schedule(tape: Tape, found: Sequence[Group], every: Group, chunk_size: int | None) -> Schedule:
    """`every` is all positions in one group."""
    tail = max(_first_whole(tape, group) for group in found)
    earlier = {tape.inputs[-1], *(slot for step in tape.steps[:tail] for slot in step.outputs)}
    later = [slot for step in tape.steps[tail:] for slot in step.inputs]
    kept = [
        slot
        for slot in dict.fromkeys((*later, *tape.outputs))
        if isinstance(slot, int) and slot in every.boxes and slot in earlier
    ]
    count = len(every.positions)
    kept_size = sum(math.prod(tape.avals[slot].shape) for slot in kept)
    tail_size = max(kept_size, _most_held(tape, every, range(tail, len(tape.steps))))
    numbers = policy.numbers_held()
    block = max(1, numbers // max(1, tail_size))
    joined = 2 * count * kept_size <= numbers
    loops = []
    for group in found:
        most = numbers // max(1, _most_held(tape, group, range(tail)))
        chunk = chunk_size or max(1, min(policy.positions_together(), most))
        loops.append(_loop(len(group.positions), count if joined else block, chunk))
    joint = _loop(count, block, min(block, count)) if joined else None
    return Schedule(tail, tuple(kept), tuple(loops), joint)


def _loop(count: int, block: int, chunk: int) -> Loop:
    outer = -(-count // max(chunk, min(_MOST_BLOCK, block)))
    num_chunks = -(-count // (outer * chunk))
    return Loop(outer, num_chunks, -(-count // (outer * num_chunks)))


def _changed(step: Step, group: Group) -> list[int]:
    slots: tuple[Slot, ...] = (*step.inputs, *step.outputs)
    return [slot for slot in slots if isinstance(slot, int) and slot in group.boxes]


def _first_whole(tape: Tape, group: Group) -> int:
    """The step from which on all that changes is whole values."""
    for i in reversed(range(len(tape.steps))):
        if group.plan.windows[tape.steps[i].outputs[0]] is not None and any(
            group.boxes[slot].sizes != tape.avals[slot].shape
            for slot in _changed(tape.steps[i], group)
        ):
            return i + 1
    return 0


def _most_held(tape: Tape, group: Group, indices: Iterable[int]) -> int:
    """Numbers a position, during the step that holds the most."""
    most = 1
    for i in indices:
        step = tape.steps[i]
        if group.plan.windows[step.outputs[0]] is not None:
            numbers = sum(math.prod(group.boxes[slot].sizes) for slot in _changed(step, group))
            rule = RULES.get(step.name)
            scratch = rule.scratch(step, group.boxes[step.outputs[0]].sizes) if rule else 0
            most = max(most, numbers + scratch)
    return most
