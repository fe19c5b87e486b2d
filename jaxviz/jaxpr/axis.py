"""What the axes of a value run along: the batch of images, their rows, columns and channels."""

from collections.abc import Sequence
from typing import NamedTuple

from .._checks import InputError
from .tape import Step

BATCH, ROW, COLUMN, CHANNEL = "batch", "row", "column", "channel"
OTHER = ""


class Factor(NamedTuple):
    """A part of an axis: what it runs along, and its extent. (8 * 8) pixels in one axis are two."""

    label: str
    size: int


# An axis is the product of its factors, the slowest first; an axis of extent 1 has none, or one
# that is the batch. For each axis of a value one; None for a value that has no images in it.
Axis = tuple[Factor, ...]
Axes = tuple[Axis, ...]


class MixedImagesError(InputError):
    """An operation reads several images of a batch at a time."""


def mixed(step: Step) -> MixedImagesError:
    return MixedImagesError(
        f"apply: images of a batch depend on one another: {step.place} mixes them; evaluate the "
        "network with running averages (evaluation mode), or statistics of each image alone"
    )


def image_axes(shape: Sequence[int]) -> Axes:
    """The axes of images (batch, height, width, channel), or of values of them that have fewer.

    The last is that of channels: (batch, channel), (batch, width, channel).
    """
    labels = (BATCH, *(ROW, COLUMN, CHANNEL)[4 - len(shape) :])
    return tuple(axis_of(label, size) for label, size in zip(labels, shape, strict=True))


def axis_of(label: str, size: int) -> Axis:
    return (Factor(label, size),) if size != 1 or label == BATCH else ()


def has_batch(axis: Axis) -> bool:
    return any(factor.label == BATCH for factor in axis)


def label_of(axis: Axis) -> str:
    """What an axis runs along, if all of it runs along the same."""
    labels = {factor.label for factor in axis}
    return labels.pop() if len(labels) == 1 else OTHER
