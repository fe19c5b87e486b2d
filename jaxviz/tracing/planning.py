"""What changes in each step of a tape, and positions grouped by how much does."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from . import rules_elementwise, rules_reduce, rules_shape, rules_window  # noqa: F401
from .rules import RULES, Windows
from .tape import Constant, Step, Tape
from .windows import Box, Region, bounding_box, reach, union, whole

# A group of positions is split in two if that saves so many multiply-adds over the whole call: it
# costs one more compiled program.
_WORTH_A_PROGRAM = 1e10
_MOST_GROUPS = 6


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
        operands = [
            i
            for i, slot in enumerate(step.inputs)
            if not isinstance(slot, Constant) and slot in regions
        ]
        windows = windows_of(step, operands) if operands else None
        if isinstance(windows, str):
            count = len(regions[step.inputs[operands[0]]].low)
            for slot, aval in zip(step.outputs, step.output_avals, strict=True):
                box = whole(aval.shape, count)
                regions[slot] = Region(box.starts, box.starts + np.array(aval.shape, int))
        elif windows is not None:
            region = union(
                [
                    reach(windows[i] or (), regions[step.inputs[i]], step.output_avals[0].shape)
                    for i in operands
                ]
            )
            if region.is_empty:
                windows = None
            else:
                regions[step.outputs[0]] = region
        all_windows.append(windows)
    return Plan(regions, tuple(all_windows))


def boxes(tape: Tape, regions: Mapping[int, Region], rows: np.ndarray) -> dict[int, Box]:
    return {
        slot: bounding_box(region.rows(rows), tape.avals[slot].shape)
        for slot, region in regions.items()
    }


def multiply_adds(step: Step, sizes: tuple[int, ...]) -> int:
    return RULES[step.name].multiply_adds(step, sizes) if step.name in RULES else 0


def groups(tape: Tape, regions: Mapping[int, Region], count: int) -> list[np.ndarray]:
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
        if saved <= _WORTH_A_PROGRAM:
            break
        found = [group for group in found if group is not best]
        found.extend((*best_split(rows), rows) for rows in parts)
    return [rows for _, _, rows in found]
