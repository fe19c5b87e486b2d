"""Where the axes of the images go: along which axis of a value the batch runs, rows, channels...

An operation that mixes the images of a batch is refused, as results would depend on what else a
batch holds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .axis import BATCH, OTHER, Axes, MixedImagesError, axis_of, has_batch, mixed
from .axis_rules import RULES
from .tape import Constant, Step, Tape


class Followed(NamedTuple):
    """The axes of all values that depend on the images, by slot, and the first unknown step.

    What depends on that step is not followed any further.
    """

    axes: dict[int, Axes]
    unknown: Step | None


def follow(tape: Tape, images: Mapping[int, Axes], *, strict: bool = True) -> Followed:
    """The axes of every value, from those of the images, by slot.

    strict: raise `MixedImagesError` where one image's values come to depend on another's; else
    such a step counts as one without a rule.

    >>> import jax.numpy as jnp
    >>> from jaxviz.jaxpr.axis import image_axes
    >>> from jaxviz.jaxpr.recording import record
    >>> tape = record(lambda x: x.transpose(0, 3, 1, 2).reshape(2, -1), jnp.ones((2, 3, 3, 5))).tape
    >>> followed = follow(tape, {tape.inputs[-1]: image_axes((2, 3, 3, 5))})
    >>> [factor.label for factor in followed.axes[tape.outputs[0]][1]]
    ['channel', 'row', 'column']
    """
    axes = dict(images)
    lost: set[int] = set()
    unknown = None
    for step in tape.steps:
        slots = [None if isinstance(slot, Constant) else slot for slot in step.inputs]
        operands = [axes.get(slot) if slot is not None else None for slot in slots]
        if any(slot in lost for slot in slots):
            lost.update(step.outputs)
            continue
        if all(operand is None for operand in operands):
            continue
        try:
            found = _outputs(step, operands)
        except MixedImagesError:
            if strict:
                raise
            found = None
        if found is None:
            unknown = unknown or step
            lost.update(step.outputs)
        else:
            axes.update(zip(step.outputs, found, strict=True))
    return Followed(axes, unknown)


def _outputs(step: Step, operands: Sequence[Axes | None]) -> list[Axes] | None:
    """The axes of a step's outputs; each image must be along one axis, and along that once."""
    rule = RULES.get(step.name)
    found = rule(step, operands) if rule else None
    if found is None:
        return None
    checked = []
    for axes, aval in zip(found, step.output_avals, strict=True):
        if sum(factor.label == BATCH for axis in axes for factor in axis) != 1:
            raise mixed(step)
        sizes = [math.prod(factor.size for factor in axis) for axis in axes]
        pairs = [*zip(axes, sizes, aval.shape, strict=True)]
        if any(has_batch(axis) and size != actual for axis, size, actual in pairs):
            return None
        checked.append(
            tuple(
                axis if size == actual else axis_of(OTHER, actual) for axis, size, actual in pairs
            )
        )
    return checked
