"""Names for what a network computes, and the values they stand for, read from its tape."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

from ..jaxpr.axes import follow
from ..jaxpr.axis import BATCH, CHANNEL, COLUMN, ROW, Axes, image_axes, label_of
from ..jaxpr.tape import Slot, Step, Tape
from .anchors import ACTIVE, Anatomy, Anchor, dissect, room_of

# Collections of Flax, which no one means by a layer's name.
_COLLECTIONS = ("params", "batch_stats")
# What a parameter itself is called, behind its layer's name.
_OWN = re.compile(
    r"[._-]?(w|b|s|rm|riv|kernel|weights?|bias|scale|filters?|gamma|beta|mean|var|variance"
    r"|(running|moving)_(mean|var|variance))(_\d+)?$",
    re.IGNORECASE,
)
_MOVES = ("reshape", "transpose", "squeeze", "broadcast_in_dim")
ROOM = "/"  # at the end of a scope: it names the block that an operation is in, not a layer
_WITH_KERNEL = ("conv", "conv_transpose", "dense")
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
    for number, name in _names(anatomy).items():
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


def parameter_paths(params: Any) -> list[str]:
    """The places of all arrays in a tree of parameters, as names."""
    return [parameter_path(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def parameter_path(path: Sequence[Any]) -> str:
    """A parameter's place in its tree, as a name: block1/conv/kernel."""
    name = jax.tree_util.keystr(tuple(path), simple=True, separator="/").removesuffix("/value")
    for collection in _COLLECTIONS:
        name = name.removeprefix(f"{collection}/")
    return name


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
    """The value before it was padded for the next layer, flattened, or cut into tokens."""
    slot = _unpadded(anatomy, slot, anchor)
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


def _unpadded(anatomy: Anatomy, slot: int, anchor: Anchor) -> int:
    """The value before the last steps of a layer, where these pad it."""
    for step, operand in _moved_back(anatomy, slot, (*_MOVES, "pad")):
        if operand not in anchor.slots:
            break
        slot = operand if step.name == "pad" else slot
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


class _Place(NamedTuple):
    """Where a layer stands: the name its parameters or scopes give it, or the room it is in."""

    own: str
    room: str


def _names(anatomy: Anatomy) -> dict[int, str]:
    """A name for each anchor that is no mere statistic, each different."""
    root = _root(anatomy)
    places: dict[int, _Place] = {}
    kept = [number for number, anchor in enumerate(anatomy.anchors) if anchor.kind]
    for number in kept:
        places[number] = _place(anatomy, anatomy.anchors[number], places, root)
    for number in kept:  # a pool at the end of a block is not in it
        anchor, place = anatomy.anchors[number], places[number]
        if len(anchor.operands) == 1 and not place.own and not _scope(anchor, root):
            later = [places[one].room for one in kept if number in anatomy.anchors[one].operands]
            places[number] = _Place("", _common([place.room, *later]))
    own = Counter(place.own for place in places.values() if place.own)
    names: dict[int, str] = {}
    for number, place in places.items():
        kind = anatomy.anchors[number].kind
        is_own = bool(place.own) and own[place.own] == 1
        names[number] = (
            place.own if is_own else "/".join([*filter(None, (place.own or place.room,)), kind])
        )
    # Several of one name get numbers, and so do kinds alone, of which there will be more.
    total, used = Counter(names.values()), set(names.values())
    seen: Counter[str] = Counter()
    for number, name in names.items():
        is_kind = not (places[number].own or places[number].room)
        if total[name] > 1 or is_kind:
            seen[name] += 1
            while f"{name}{seen[name]}" in used:
                seen[name] += 1
            names[number] = f"{name}{seen[name]}"
    return names


def _root(anatomy: Anatomy) -> str:
    """The scope that all of a network is in, which tells nothing apart."""
    firsts = {anchor.steps[0].scopes[:1] for anchor in anatomy.anchors if anchor.kind}
    return next(iter(firsts))[0] if len(firsts) == 1 and all(firsts) else ""


def _scope(anchor: Anchor, root: str) -> str:
    """The scope of an anchor, without the classes that Equinox names and the formulas of einsum."""
    scopes = anchor.steps[0].scopes[1 if root else 0 :]
    return "/".join(name for name in scopes if not name.startswith("eqx.") and "->" not in name)


def _place(anatomy: Anatomy, anchor: Anchor, places: dict[int, _Place], root: str) -> _Place:
    own, scope = _of_parameters(anchor.origins), _scope(anchor, root)
    scopes = anchor.steps[0].scopes
    if scope.endswith(ROOM):  # of a room, not of the layer itself
        return _Place("", scope.removesuffix(ROOM))
    if own and anchor.kind in _WITH_KERNEL:  # an exporter may give a scope to what it merged
        return _Place(own, room_of(own))
    alone = sum(bool(one.kind) and one.steps[0].scopes == scopes for one in anatomy.anchors)
    if scope and alone == 1:
        return _Place(scope, scope if not own else room_of(scope))
    if own:
        return _Place(own, room_of(own))
    if scope:
        return _Place("", scope)
    rooms = [places[one].room for one in sorted(anchor.operands) if one in places]
    shallow = min((room.count("/") for room in rooms if room), default=0)
    near = [room for room in rooms if room and room.count("/") == shallow]
    return _Place("", near[-1] if near else "")


def _of_parameters(origins: Sequence[str]) -> str:
    """The branch of the parameters that a layer reads: the part its paths have in common."""
    branches = []
    for path in origins:
        room, leaf = room_of(path), path.rpartition("/")[2]
        stripped = _OWN.sub("", leaf)
        kept = stripped if stripped not in ("", leaf) else ""  # conv1 of conv1_w; none of weight
        branches.append("/".join(filter(None, (room, kept))))
    if not branches or "::" in origins[0]:  # torch's exporter has names such as onnx::Conv_12
        return ""
    name = _common(branches)
    return name if re.search(r"[^\W\d_]", name) else ""


def _common(names: Sequence[str]) -> str:
    """The first parts that all names share.

    >>> _common(["block1/conv/a", "block1/conv/b"])
    'block1/conv'
    """
    levels = zip(*(name.split("/") for name in names), strict=False)
    return "/".join(level[0] for level in itertools.takewhile(lambda x: len(set(x)) == 1, levels))
