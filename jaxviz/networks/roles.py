"""Which layer is the first convolution, which gives the classes, and so on, read from a tape."""

import math
from collections.abc import Sequence
from typing import Any

import jax

from .._checks import image_type
from .._typing import Apply, Params
from ..jaxpr.recording import record
from ..jaxpr.tape import Slot, Tape
from .layer_names import parameter_paths
from .naming import Named, named_layers


def guessed_roles(
    layers: Sequence[Named], tape: Tape, channels: int, answers: Sequence[Slot]
) -> dict[str, Any]:
    """Which layer is the first convolution, which gives the classes, and so on.

    The first of the `answers` that is a vector gives the classes, else the last vector.
    """
    shapes = {one.name: [tape.aval(one.value).shape[axis] for axis in one.order] for one in layers}
    reads = {
        one.name: tape.aval(one.kernel[0]).shape[one.kernel[1][2]] for one in layers if one.kernel
    }
    maps = [one.name for one in layers if one.is_map and min(shapes[one.name][1:3]) > 1]
    vectors = [
        one.name
        for one in layers
        if one.kind != "softmax" and math.prod(shapes[one.name][1:]) == shapes[one.name][-1] > 1
    ]
    roles: dict[str, Any] = {}
    first = next((name for name, depth in reads.items() if depth == channels), None)
    if first:
        roles["first_layer"] = first
        later = [name for name, depth in reads.items() if depth > channels]
        roles["middle_layer"] = later[0] if later else None
    if maps:
        roles["deep_layers"] = tuple(dict.fromkeys((maps[len(maps) // 2], maps[-1])))
    if vectors:
        values: dict[Slot, str] = {one.value: one.name for one in layers if one.name in vectors}
        outputs = [values[slot] for slot in answers if slot in values]
        roles["logits"] = [*outputs, vectors[-1]][0]
    features = [*vectors[-2:-1], *maps[-1:]]
    if features:
        roles["feature_layer"] = features[0]
    return roles


def output_roles(apply: Apply, params: Params, image_shape: Sequence[int]) -> dict[str, Any]:
    """The same for an `apply` that gives its layers by name, of those whose kind the tape shows.

    >>> def apply(params, images):
    ...     return {"brightness": images.mean(axis=(1, 2)), "classes": images.sum((1, 2)) @ params}
    >>> output_roles(apply, jax.numpy.ones((3, 10)), (8, 8, 3))
    {'logits': 'classes', 'feature_layer': 'brightness'}
    """
    # Two images, as the axis of one looks like any other axis of one number.
    images = jax.ShapeDtypeStruct((2, *image_shape), image_type(params))
    tape = record(apply, params, images).tape
    named = zip(tape.outputs, sorted(jax.eval_shape(apply, params, images)), strict=True)
    names = {slot: name for slot, name in named if isinstance(slot, int)}
    layers = [
        layer._replace(name=names[slot], value=slot)
        for layer in named_layers(tape, parameter_paths(params))
        for slot in (layer.value, layer.before)
        if slot is not None and slot in names
    ]
    return guessed_roles(layers, tape, image_shape[-1], ())
