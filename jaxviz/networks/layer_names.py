"""Names for what a network computes: by its parameters, by its scopes, else by kind and number."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from .anchors import Anatomy, Anchor, room_of

# Collections of Flax, which no one means by a layer's name.
_COLLECTIONS = ("params", "batch_stats")
# What a parameter itself is called, behind its layer's name.
_OWN = re.compile(
    r"(^|[._-])(w|b|s|rm|riv|kernel|weights?|bias|scale|filters?|gamma|beta|mean|var|variance"
    r"|(running|moving)_(mean|var|variance))(_\d+)?$",
    re.IGNORECASE,
)
ROOM = "/"  # at the end of a scope: it names the block that an operation is in, not a layer
_WITH_KERNEL = ("conv", "conv_transpose", "dense")


def parameter_paths(params: Any) -> list[str]:
    """The places of all arrays in a tree of parameters, as names."""
    return [parameter_path(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def parameter_path(path: Sequence[Any]) -> str:
    """A parameter's place in its tree, as a name: block1/conv/kernel."""
    name = jax.tree_util.keystr(tuple(path), simple=True, separator="/").removesuffix("/value")
    for collection in _COLLECTIONS:
        name = name.removeprefix(f"{collection}/")
    return name


class _Place(NamedTuple):
    """Where a layer stands: the name its parameters or scopes give it, or the room it is in."""

    own: str
    room: str


def layer_names(anatomy: Anatomy) -> dict[int, str]:
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
