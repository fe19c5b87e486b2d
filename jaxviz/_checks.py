"""Checks of arguments and of what `apply` returns; each mistake raises one clear line.

Every message names the argument, what was got and what is valid. `InputError` is a `ValueError`;
the command line prints its message and exits with code 2.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._typing import Apply, Params, Score


class InputError(ValueError):
    """A mistake in the input. The message is one line, even if a file name has line breaks."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


def image_batch(images: Any, name: str = "images") -> Any:
    """Return `images` if it is a float array (batch, height, width, channel), else refuse."""
    shape, dtype = np.shape(images), getattr(images, "dtype", None)
    if len(shape) != 4 or 0 in shape:
        raise InputError(f"{name}: expected (batch, height, width, channel), got shape {shape}")
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        raise InputError(f"{name}: expected normalized float values, got {dtype}; see preprocess")
    return images


def pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    """Return (rows, cols) of one positive whole number or two."""
    values: Any = (value, value) if np.ndim(value) == 0 else value
    if len(values) != 2 or not all(_is_count(v) for v in values):
        raise InputError(f"{name}: expected one or two positive whole numbers, got {value!r}")
    return int(values[0]), int(values[1])


def count(value: Any, name: str, *, most: int | None = None) -> int:
    """Return `value` if it is a positive whole number, at most `most`."""
    if not _is_count(value) or (most is not None and value > most):
        limit = "" if most is None else f" from 1 to {most}"
        raise InputError(f"{name}: expected a positive whole number{limit}, got {value!r}")
    return int(value)


def _is_count(value: Any) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and value > 0


def channels(asked: Sequence[int], most: int) -> list[int]:
    """Return channel numbers, each at least 0 and less than `most`."""
    if any(not 0 <= channel < most for channel in asked):
        raise InputError(f"channel: expected 0 to {most - 1}, got {list(asked)}")
    return list(asked)


def choice(value: str, name: str, valid: Iterable[str]) -> str:
    """Return `value` if it is one of `valid`."""
    names = list(valid)
    if value not in names:
        raise InputError(f"{name}: {unknown(value, names)}")
    return value


def unknown(value: str, names: Sequence[str], *, most: int = 40) -> str:
    """The message that `value` is not among `names`, with the nearest ones where there are many."""
    near = difflib.get_close_matches(str(value), names, n=3, cutoff=0.6)
    hint = f" (nearest: {', '.join(near)})" if near and len(names) > 3 else ""
    listed = f"; valid: {', '.join(names)}" if len(names) <= most else ""
    return f"unknown name {value!r}{hint}{listed}"


def image_type(params: Any) -> Any:
    """The type of images that go with parameters: that of their floating-point numbers."""
    types = [leaf.dtype for leaf in jax.tree.leaves(params) if hasattr(leaf, "dtype")]
    floats = [one for one in types if jnp.issubdtype(one, jnp.floating)]
    return jnp.result_type(*floats) if floats else jnp.dtype(jnp.float32)


def activation_shapes(apply: Any, params: Any, images: Any) -> dict[str, tuple[int, ...]]:
    """Return {layer: shape} in the order the data flows, without computing anything."""
    shapes: dict[str, tuple[int, ...]] = {}

    def record(params: Any, images: Any) -> None:
        shapes.update({name: value.shape for name, value in apply(params, images).items()})

    jax.eval_shape(record, params, images)
    return shapes


def known_layers(apply: Any, params: Any, images: Any, layers: Any) -> tuple[str, ...]:
    """Return `layers` (one name or several) as a tuple; each must be a key of the outputs."""
    asked = layer_names(layers)
    selected(apply, activation_shapes(apply, params, images), asked)
    return asked


def layer_names(layers: Any) -> tuple[str, ...]:
    """Return `layers` (one name or several) as a tuple; refuse none."""
    asked = (layers,) if isinstance(layers, str) else tuple(layers)
    if not asked:
        raise InputError("layers: expected at least one name, got none")
    return asked


def selected(apply: Any, outputs: Any, layers: Iterable[str]) -> list[Any]:
    """Return the outputs of these layers, each of which must be there.

    An `apply` may carry a `note` that says why layers one would look for are not there.
    """
    for layer in layers:
        if layer not in outputs:
            message = f"layer: {unknown(layer, list(outputs), most=80)}"
            note = getattr(apply, "note", "")
            raise InputError(f"{message}; {note}" if note else message)
    return [outputs[layer] for layer in layers]


def score_shape(score: Score, apply: Apply, params: Params, images: Any) -> tuple[int, ...]:
    """Return the shape of what `score` returns, without computing it; refuse what is no score.

    `images` may be a `jax.ShapeDtypeStruct`. An `apply` may carry a `note` that says why a layer is
    missing; the message quotes it.
    """

    def scored(params: Params, images: Any) -> Any:
        outputs = apply(params, images)
        try:
            return score(outputs)
        except KeyError as error:
            asked = error.args[0] if error.args else None
            if not isinstance(asked, str) or asked in outputs:
                raise
            raise InputError(f"score: {unknown(asked, list(outputs), most=80)}") from error

    try:
        value = jax.eval_shape(scored, params, images)
    except InputError as error:
        note = getattr(apply, "note", "")
        raise InputError(f"{error}; {note}" if note else str(error)) from error.__cause__
    expected = f"score: expected one array (batch, ...) with batch {images.shape[0]}"
    if not isinstance(value, jax.ShapeDtypeStruct):
        raise InputError(f"{expected}, got {type(value).__name__}")
    if value.shape[:1] != images.shape[:1]:
        raise InputError(f"{expected}, got shape {value.shape}")
    return value.shape
