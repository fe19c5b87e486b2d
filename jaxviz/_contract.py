"""Checks of a network's and a score's side of the contract: what they return, and for whom.

An `apply` gives {layer: activations}, a score one number an image, or many. Each mistake raises one
line that says what was found and what to return.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ._checks import InputError, unknown
from ._remembered import Remembered
from ._typing import Apply, Outputs, Params, Score

_known = Remembered()


def outputs_of(apply: Apply, params: Params, images: Any) -> Outputs:
    """What `apply` returns, which must be a dict of layers by their names."""
    outputs = apply(params, images)
    if not isinstance(outputs, Mapping):
        raise InputError(
            f"apply: expected a dict {{layer: activations}}, got {_described(outputs)}; return a "
            'dict such as {"output": activations}'
        )
    names = [name for name in outputs if not isinstance(name, str)]
    if names or not outputs:
        found = f"the key {names[0]!r}" if names else "an empty one"
        raise InputError(f"apply: expected a dict {{layer: activations}}, got {found}")
    return outputs


def selected(apply: Apply, outputs: Outputs, layers: Iterable[str], batch: int) -> list[Any]:
    """The outputs of these layers, each of which must be there, an array with an axis of images.

    An `apply` may carry a `note` that says why layers one would look for are not there.
    """
    found = []
    for layer in layers:
        if layer not in list(outputs):  # it may be something without a hash
            message = f"layer: {unknown(layer, list(outputs), most=80)}"
            note = getattr(apply, "note", "")
            raise InputError(f"{message}; {note}" if note else message)
        value = outputs[layer]
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            raise InputError(
                f"apply: layer {layer!r} is {_described(value)}, expected an array; return a flat "
                "dict, with names such as block/conv1"
            )
        if tuple(value.shape[:1]) != (batch,):
            raise InputError(
                f"apply: layer {layer!r} has shape {tuple(value.shape)}, expected a first axis of "
                f"{batch}, the images"
            )
        found.append(value)
    return found


def output_types(apply: Apply, params: Params, images: Any) -> dict[str, Any]:
    """What `apply` would return, with shapes and types in place of arrays; nothing is computed.

    It is remembered for each `apply` and the shapes and types of its arguments.
    """
    leaves, tree = jax.tree.flatten((params, images))
    try:
        key = tree, tuple(str(jax.typeof(leaf)) for leaf in leaves)
    except TypeError:  # some are no arrays
        return _output_types(apply, params, images)
    return dict(_known.of(apply, key, lambda: _output_types(apply, params, images)))


def _output_types(apply: Apply, params: Params, images: Any) -> dict[str, Any]:
    kept: dict[str, list[Any]] = {}
    trees: dict[str, Any] = {}

    def record(params: Params, images: Any) -> list[Any]:
        for name, value in outputs_of(apply, params, images).items():
            kept[name], trees[name] = jax.tree.flatten(value)
        arrays = [one for leaves in kept.values() for one in leaves if _is_array(one)]
        for name, leaves in kept.items():
            kept[name] = [None if _is_array(one) else one for one in leaves]
        return arrays

    types = iter(jax.eval_shape(record, params, images))
    return {
        name: jax.tree.unflatten(
            trees[name], [next(types) if one is None else one for one in leaves]
        )
        for name, leaves in kept.items()
    }


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def activation_shapes(apply: Apply, params: Params, images: Any) -> dict[str, tuple[int, ...]]:
    """Return {layer: shape} in the order the data flows, without computing anything."""
    types = output_types(apply, params, images)
    values = selected(apply, types, types, images.shape[0])
    return {name: value.shape for name, value in zip(types, values, strict=True)}


def known_layers(apply: Apply, params: Params, images: Any, layers: Any) -> tuple[str, ...]:
    """Return `layers` (one name or several) as a tuple; each must be a key of the outputs."""
    asked = layer_names(layers)
    selected(apply, output_types(apply, params, images), asked, images.shape[0])
    return asked


def layer_names(layers: Any) -> tuple[str, ...]:
    """Return `layers` (one name or several) as a tuple, each name once; refuse none."""
    asked = (layers,) if isinstance(layers, str) else layers
    names = list(asked) if isinstance(asked, Iterable) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"layers: expected a name or several, got {layers!r}")
    return tuple(dict.fromkeys(names))


def scores_of(score: Score, apply: Apply, params: Params, images: Any) -> Any:
    """The scores of images, as floating-point numbers: a truth counts as 1, a falsehood as 0."""
    return scores_from(score, outputs_of(apply, params, images))


def scores_from(score: Score, outputs: Outputs) -> Any:
    """The same, of outputs that are there."""
    value = score(outputs)
    if hasattr(value, "dtype") and not jnp.issubdtype(value.dtype, jnp.inexact):
        value = value.astype(jnp.float32)
    return value


def score_shape(score: Score, apply: Apply, params: Params, images: Any) -> tuple[int, ...]:
    """Return the shape of what `score` returns, without computing it; refuse what is no score.

    `images` may be a `jax.ShapeDtypeStruct`. An `apply` may carry a `note` that says why a layer is
    missing; the message quotes it.
    """
    if not callable(score):
        example = f"logit({score!r})" if isinstance(score, int) else "logit(281)"
        raise InputError(
            f"score: expected a function of the outputs, such as {example}, got {score!r}"
        )
    types = output_types(apply, params, images)
    shape = _shape_of(score, apply, types, images.shape[0])
    if images.shape[0] > 1:
        one = jax.ShapeDtypeStruct((1, *images.shape[1:]), images.dtype)
        alone = _shape_of(score, apply, output_types(apply, params, one), 1, images.shape[0])
        if alone[1:] != shape[1:]:
            raise InputError(f"score: gives {shape[1:]} an image in a batch, {alone[1:]} alone")
    return shape


def _shape_of(
    score: Score, apply: Apply, types: Mapping[str, Any], number: int, batch: int = 1
) -> tuple[int, ...]:
    """The shape of the scores of `number` images; `batch` is how many there are in all."""
    arrays, tree = jax.tree.flatten(list(types.values()))
    places = [i for i, one in enumerate(arrays) if _is_array(one)]

    def scored(values: Sequence[Any]) -> Any:
        leaves = list(arrays)
        for place, value in zip(places, values, strict=True):
            leaves[place] = value
        outputs = dict(zip(types, jax.tree.unflatten(tree, leaves), strict=True))
        try:
            return scores_from(score, outputs)
        except KeyError as error:
            asked = error.args[0] if error.args else None
            if not isinstance(asked, str) or asked in outputs:
                raise
            raise InputError(f"score: {unknown(asked, list(outputs), most=80)}") from error

    try:
        value = jax.eval_shape(scored, [arrays[place] for place in places])
    except InputError as error:
        note = getattr(apply, "note", "")
        is_place = str(error).startswith(("channel:", "row:", "col:"))  # of a layer that is there
        said = f"{error}; {note}" if note and not is_place else str(error)
        raise InputError(said) from error.__cause__
    expected = f"score: expected one array (batch, ...) with batch {number}"
    if not isinstance(value, jax.ShapeDtypeStruct):
        raise InputError(f"{expected}, got {type(value).__name__}")
    if value.shape[:1] != (number,):
        hint = "; logit([3, 7, ...]) scores a class for each image" if batch > 1 else ""
        raise InputError(f"{expected}, got shape {value.shape}{hint}")
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise InputError(f"score: expected real numbers, got {value.dtype}")
    return value.shape


def _described(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"an array of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"
