"""What changes in each step of a tape, and positions grouped by how much does."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from . import rules_elementwise, rules_reduce, rules_shape, rules_window  # noqa: F401
from .rules import RULES, Windows
from .tape import Slot, Step, Tape
from .windows import Box, Region, bounding_box, reach, union, whole

# A group of positions is split in two if that saves so many multiply-adds over the whole call, for
# each step that has any: one more program must be compiled, in 0.05 s to 0.1 s a step.
_WORTH_A_STEP = 1e9
_MOST_GROUPS = 6

# Positions evaluated at a time, and numbers held meanwhile (of float32: 256 MB).
_MOST_CHUNK = 64
_MOST_BLOCK = 256
_MOST_NUMBERS = 1 << 26


class Plan(NamedTuple):
    """The regions of all slots that change, by slot, and each step's windows.

    A step has windows, or None (it is clean), or the reason why it is evaluated whole.
    """

    regions: dict[int, Region]
    windows: tuple[Windows | str | None, ...]


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
    all_windows: list[Windows | str | None] = []
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
        all_windows.append(windows)
    return Plan(regions, tuple(all_windows))


class Group(NamedTuple):
    """Positions whose boxes have common sizes: their indices, their plan, and the boxes by slot."""

    positions: np.ndarray
    plan: Plan
    boxes: dict[int, Box]


def groups(tape: Tape, changed: Mapping[int, Region], count: int) -> list[Group]:
    """All positions, in groups. In some a slot may be clean that changes in others."""
    found = []
    for index in _alike(tape, plan(tape, changed).regions, count):
        own = plan(tape, {slot: region.rows(index) for slot, region in changed.items()})
        boxes = {
            slot: bounding_box(region, tape.avals[slot].shape)
            for slot, region in own.regions.items()
        }
        found.append(Group(index, own, boxes))
    return found


def multiply_adds(step: Step, sizes: Sequence[int]) -> int:
    return RULES[step.name].multiply_adds(step, sizes) if step.name in RULES else 0


def _alike(tape: Tape, regions: Mapping[int, Region], count: int) -> list[np.ndarray]:
    """Positions in groups of similar box sizes, so that each group's boxes can be small.

    At the borders boxes are cut off, and they shrink with the phase of the network's strides.
    """
    costly = [
        (step, np.maximum(regions[slot].high - regions[slot].low, 0))
        for step in tape.steps
        for slot in step.outputs
        if slot in regions and multiply_adds(step, tape.avals[slot].shape)
    ]
    if not costly:
        return [np.arange(count)]
    columns = np.unique(np.concatenate([extents for _, extents in costly], axis=1), axis=1).T

    def cost(rows: np.ndarray) -> int:
        largest = ((step, extents[rows].max(axis=0)) for step, extents in costly)
        return len(rows) * sum(multiply_adds(step, sizes.tolist()) for step, sizes in largest)

    def best_split(rows: np.ndarray) -> tuple[int, list[np.ndarray]]:
        best: tuple[int, list[np.ndarray]] = (0, [])
        for column in columns[:, rows]:
            for threshold in np.unique(column)[:-1]:
                parts = [rows[column <= threshold], rows[column > threshold]]
                best = max(best, (cost(rows) - sum(map(cost, parts)), parts), key=lambda b: b[0])
        return best

    found = [(*best_split(np.arange(count)), np.arange(count))]
    while len(found) < _MOST_GROUPS:
        saved, parts, _ = best = max(found, key=lambda group: group[0])
        if saved <= _WORTH_A_STEP * len(costly):
            break
        found = [group for group in found if group is not best]
        found.extend((*best_split(rows), rows) for rows in parts)
    return [rows for _, _, rows in found]


class Schedule(NamedTuple):
    """How one group of positions is looped over.

    Steps before `tail` act on boxes, `chunk` positions at a time, so that they stay in cache; the
    rest act on whole values, `num_chunks * chunk` positions at a time, so that large matrices are
    read rarely. `outer` such blocks make up the group, the last filled up with repeats.
    """

    tail: int
    outer: int
    num_chunks: int
    chunk: int


def schedule(tape: Tape, group: Group, chunk_size: int | None) -> Schedule:
    count, boxes = len(group.positions), group.boxes

    def changed(step: Step) -> list[int]:
        slots: tuple[Slot, ...] = (*step.inputs, *step.outputs)
        return [slot for slot in slots if isinstance(slot, int) and slot in boxes]

    def is_whole(step: Step) -> bool:
        return all(boxes[slot].sizes == tape.avals[slot].shape for slot in changed(step))

    def held(step: Step) -> int:
        """Numbers a position, while the step runs."""
        numbers = sum(math.prod(boxes[slot].sizes) for slot in changed(step))
        rule = RULES.get(step.name)
        return numbers + (rule.scratch(step, boxes[step.outputs[0]].sizes) if rule else 0)

    steps = [(i, step) for i, step in enumerate(tape.steps) if group.plan.windows[i] is not None]
    tail = 1 + max((i for i, step in steps if not is_whole(step)), default=-1)

    head_size = max((held(step) for i, step in steps if i < tail), default=1)
    tail_size = max((held(step) for i, step in steps if i >= tail), default=1)
    chunk = chunk_size or max(1, min(_MOST_CHUNK, _MOST_NUMBERS // head_size))
    block = max(chunk, min(_MOST_BLOCK, _MOST_NUMBERS // tail_size))
    outer = -(-count // block)
    num_chunks = -(-count // (outer * chunk))
    return Schedule(tail, outer, num_chunks, -(-count // (outer * num_chunks)))
