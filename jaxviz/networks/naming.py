"""The layers of a network, by name, and the values they stand for, read from its tape."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..jaxpr.axes import follow
from ..jaxpr.axis import BATCH, CHANNEL, COLUMN, ROW, Axes, image_axes, label_of
from ..jaxpr.tape import Slot, Step, Tape
from .anchors import ACTIVE, Anatomy, Anchor, dissect
from .layer_names import layer_names, parameter_paths

_MOVES = ("reshape", "transpose", "squeeze", "broadcast_in_dim")
_CUTS = ("pad", "slice", "rev", "gather", "dynamic_slice", "concatenate")
_IMAGE_LIKE = (BATCH, ROW, COLUMN, CHANNEL)


class Named(NamedTuple):
    """A layer: its name, what it is, and where its value is found.

    value: the slot after the activation function, and before, the one before it, if it has one.
    order: the axes of the value in the order (batch, height, width, channel), or (batch, ...).
    kernel: of a convolution the slot of its weights, and their axes as (height, width, in, out).
    is_map: whether the value has rows and columns.
    """

    name: str
    kind: str
    value: int
    before: int | None
    order: tuple[int, ...]
    kernel: tuple[Slot, tuple[int, ...]] | None
    is_map: bool


def named_layers(tape: Tape, paths: Sequence[str]) -> list[Named]:
    """The layers of a tape whose last inputs are the parameters, with these paths, and the images.

    What has no axis of images of its own is left out.
    """
    anatomy, axes = _dissected(tape, paths)
    layers: list[Named] = []
    for number, name in layer_names(anatomy).items():
        layer = _layer(anatomy, number, name, axes)
        if layer:
            layers.append(layer)
    order = {slot: i for i, step in enumerate(tape.steps) for slot in step.outputs}
    layers.sort(key=lambda layer: order[layer.value])
    output = tape.outputs[0]
    if isinstance(output, int) and not any(_shows(anatomy, layer, output) for layer in layers):
        moves = _order(axes.get(output))
        if moves:
            layers.append(
                Named("output", "output", output, None, moves, None, is_map(axes[output]))
            )
    return layers


def _dissected(tape: Tape, paths: Sequence[str]) -> tuple[Anatomy, dict[int, Axes]]:
    images = tape.inputs[-1]
    axes = follow(tape, {images: image_axes(tape.avals[images].shape)}, strict=False).axes
    slots = tape.inputs[len(tape.inputs) - 1 - len(paths) : -1]
    origins = {slot: (path,) for slot, path in zip(slots, paths, strict=True)}
    return dissect(tape, images, axes, origins), axes


def _shows(anatomy: Anatomy, layer: Named, slot: int) -> bool:
    """Whether a layer's value is that of a slot, perhaps in another shape."""
    return layer.value == slot or any(
        one == layer.value for _, one in _moved_back(anatomy, slot, _MOVES)
    )


def _moved_back(anatomy: Anatomy, slot: int, kinds: Sequence[str]) -> Iterator[tuple[Step, int]]:
    """The steps of these kinds that end in a value, from the last, each with what it reads."""
    step = anatomy.producer(slot)
    while step and step.name in kinds and isinstance(operand := step.inputs[0], int):
        yield step, operand
        step = anatomy.producer(operand)


def kinds_of(tape: Tape, params: Any) -> list[str]:
    """What each output of a tape is: conv, pool, ...; "other" for what begins nothing of its own.

    The tape's last inputs are the leaves of params and the images.
    """
    paths = parameter_paths(params)
    anatomy, _ = _dissected(tape, paths)
    owners = [
        anatomy.owners.get(slot, -1) if isinstance(slot, int) else -1 for slot in tape.outputs
    ]
    return [anatomy.anchors[owner].kind if owner >= 0 else "other" for owner in owners]


def _layer(anatomy: Anatomy, number: int, name: str, axes: dict[int, Axes]) -> Named | None:
    anchor, stages = anatomy.anchors[number], anatomy.stages
    escapes = anatomy.escapes(number)
    active = [slot for slot in escapes if stages[slot] == ACTIVE]
    if not escapes:
        return None
    value = _before_moves(anatomy, (active or escapes[-1:])[0], axes, anchor)
    before = None
    if active:
        first = next(step for step in anchor.steps if stages[step.outputs[0]] == ACTIVE)
        read = [slot for slot in first.inputs if isinstance(slot, int) and slot in anchor.slots]
        before = read[0] if read else None
    order = _order(axes.get(value))
    if order is None:
        return None
    kernel = _kernel(anchor.steps[0])
    return Named(name, anchor.kind, value, before, order, kernel, is_map(axes.get(value)))


def _before_moves(anatomy: Anatomy, slot: int, axes: dict[int, Axes], anchor: Anchor) -> int:
    """The value before it was padded or cut for the next layer, flattened, or made tokens."""
    slot = _uncut(anatomy, slot, anchor)
    stage = anatomy.stages[slot]
    maps = [
        one
        for one in anchor.slots[: anchor.slots.index(slot) + 1]
        if anatomy.stages[one] == stage and is_map(axes.get(one))
    ]
    if maps and is_map(axes.get(anchor.slots[0])):
        return maps[-1]
    producer = anatomy.producer(slot)
    while producer and producer.name in _MOVES and producer.inputs[0] in anchor.slots:
        operand = next(one for one in producer.inputs if isinstance(one, int))
        before, after = axes.get(operand, ()), axes.get(slot, ())
        if len(before) > len(after) or [a for a in before if a] != [a for a in after if a]:
            break
        slot, producer = operand, anatomy.producer(operand)
    return slot


def _uncut(anatomy: Anatomy, slot: int, anchor: Anchor) -> int:
    """The value before the last steps of a layer, where these pad it or take a part of it."""
    for step, operand in _moved_back(anatomy, slot, (*_MOVES, *_CUTS)):
        if operand not in anchor.slots:
            break
        slot = operand if step.name in _CUTS else slot
    return slot


def _order(axes: Axes | None) -> tuple[int, ...] | None:
    """How the axes are to be reordered to (batch, height, width, channel), or (batch, ...).

    Axes of extent 1 that are left out are those that a map has too many, and all of a vector's.
    """
    if axes is None:
        return None
    batch = [i for i, axis in enumerate(axes) if len(axis) == 1 and axis[0].label == BATCH]
    if not batch:
        return None
    kept = [batch[0], *(i for i in range(len(axes)) if i != batch[0])]
    empty = [i for i in kept if not axes[i]]
    while len(kept) > 4 and empty:
        kept.remove(empty.pop(0))
    order = _map_order(axes, kept)
    return order or tuple(i for i in kept if axes[i] or len(axes) == 2)


def _map_order(axes: Axes, kept: Sequence[int]) -> tuple[int, ...] | None:
    """(batch, height, width, channel) among four axes, if each runs along one of these alone."""
    if len(kept) != 4:
        return None
    known = {label_of(axes[i]): i for i in kept if axes[i]}  # shuffled channels are channels
    if not known.keys() <= set(_IMAGE_LIKE) or len(known) < sum(bool(axes[i]) for i in kept):
        return None
    free = [i for i in kept if not axes[i]]
    return tuple(known[label] if label in known else free.pop(0) for label in _IMAGE_LIKE)


def is_map(axes: Axes | None) -> bool:
    """Whether a value has rows, columns and channels of its own, in any order."""
    order = _order(axes)
    return order is not None and axes is not None and _map_order(axes, order) is not None


def _kernel(step: Step) -> tuple[Slot, tuple[int, ...]] | None:
    if step.name != "conv_general_dilated" or len(step.output_avals[0].shape) != 4:
        return None
    out, into, *space = step.params["dimension_numbers"].rhs_spec
    return step.inputs[1], (*space, into, out)
