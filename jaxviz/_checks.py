"""Checks of arguments; each mistake raises one clear line.

Every message names the argument, what was got and what is valid. `InputError` is a `ValueError`;
the command line prints its message and exits with code 2.
"""

import difflib
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


class InputError(ValueError):
    """A mistake in the input. The message is one line, even if a file name has line breaks."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


def image_batch(images: Any, name: str = "images") -> Any:
    """Return `images` if it is a float array (batch, height, width, channel), else refuse."""
    if not isinstance(images, jax.Array | np.ndarray | jax.ShapeDtypeStruct):
        raise InputError(
            f"{name}: expected an array of NumPy or JAX (batch, height, width, channel), got "
            f"{type_name(images)}"
        )
    if len(images.shape) != 4 or 0 in images.shape:
        expected = "expected (batch, height, width, channel)"
        raise InputError(f"{name}: {expected}, got shape {images.shape}")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(
            f"{name}: expected normalized float values, got {images.dtype}; see preprocess"
        )
    return images


def type_name(value: Any) -> str:
    """What a value is, for a message: its class, with the module of all but Python's own."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def finite(values: Any, name: str) -> Any:
    """Return `values` if they are all finite numbers; those that are traced cannot be looked at."""
    if not isinstance(values, jax.core.Tracer) and not np.isfinite(np.asarray(values)).all():
        raise InputError(f"{name}: expected finite numbers, got others among them")
    return values


def checked_heatmap(heatmap: Any, shape: tuple[int, ...]) -> Any:
    """A heatmap (batch, height, width) as floats, all finite."""
    if not hasattr(heatmap, "shape") or not hasattr(heatmap, "dtype"):
        raise InputError(f"heatmap: expected an array {shape}, got {type_name(heatmap)}")
    is_number = jnp.issubdtype(heatmap.dtype, jnp.number) or heatmap.dtype == bool
    if tuple(heatmap.shape) != tuple(shape) or not is_number:
        raise InputError(
            f"heatmap: expected {shape}, one number a pixel, got {heatmap.dtype} {heatmap.shape}"
        )
    if jnp.issubdtype(heatmap.dtype, jnp.complexfloating):
        raise InputError(f"heatmap: expected real numbers, got {heatmap.dtype}")
    if not jnp.issubdtype(heatmap.dtype, jnp.floating):  # before JAX cuts what is too long for it
        heatmap = heatmap.astype(np.float32)
    return finite(jnp.asarray(heatmap), "heatmap")


def image_fill(fill: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """What replaces pixels, as an array: a number, one for each channel, or an image."""
    expected = f"fill: expected a number, {shape[2:]} or {shape}"
    try:
        with np.errstate(over="ignore"):  # what is too large is refused below
            filling = jnp.asarray(fill, jax.dtypes.canonicalize_dtype(dtype))
    except (TypeError, ValueError):
        raise InputError(f"{expected}, got {fill!r}") from None
    if filling.shape not in ((), shape[2:], shape):
        raise InputError(f"{expected}, got shape {filling.shape}")
    return finite(filling, "fill")


def whole_fill(fill: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """The same as an image, (height, width, channel)."""
    return jnp.broadcast_to(image_fill(fill, shape, dtype), shape)


def is_finite(value: Any) -> bool:
    """Whether a value is one finite real number, of Python, NumPy or JAX.

    >>> is_finite(2), is_finite(np.float32(2)), is_finite(True), is_finite(float("nan"))
    (True, True, False, False)
    """
    value = _plain(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # of an int that no float holds
        return False


def _plain(value: Any) -> Any:
    """A number of NumPy or JAX as Python's; anything else as it is."""
    is_array = isinstance(value, np.ndarray | np.generic | jax.Array)
    is_known = is_array and not isinstance(value, jax.core.Tracer)
    return value.item() if is_known and value.ndim == 0 and not is_key(value) else value


def image_shape(value: Any) -> tuple[int, int, int]:
    """Return (height, width, channel) of three positive whole numbers."""
    try:
        sizes = tuple(operator.index(one) for one in value)
    except TypeError:
        sizes = ()
    if len(sizes) != 3 or min(sizes) <= 0:
        got = " ".join(str(value).split())[:60]
        raise InputError(f"image_shape: expected (height, width, channel), got {got}")
    return sizes


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
    value = _plain(value)
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def channels(asked: Sequence[int], most: int) -> list[int]:
    """Return channel numbers, each at least 0 and less than `most`."""
    if any(not 0 <= channel < most for channel in asked):
        raise InputError(f"channel: expected 0 to {most - 1}, got {list(asked)}")
    return list(asked)


def number_list(asked: Any, name: str, length: int) -> list[int]:
    """Which of so many are asked for: whole numbers from 0, by default all.

    >>> number_list(None, "channels", 3), number_list(np.array([2, 0]), "channels", 3)
    ([0, 1, 2], [2, 0])
    """
    if asked is None:
        return list(range(length))
    try:
        chosen = np.asarray(asked)
    except ValueError:  # lists of several lengths
        chosen = np.zeros(())
    if chosen.ndim != 1 or not chosen.size or chosen.dtype.kind not in "iu":
        raise InputError(f"{name}: expected some whole numbers, got {asked!r}")
    if chosen.min() < 0 or chosen.max() >= length:
        raise InputError(f"{name}: expected 0 to {length - 1}, got {chosen.tolist()}")
    return chosen.tolist()


def choice(value: str, name: str, valid: Iterable[str]) -> str:
    """Return `value` if it is one of `valid`."""
    names = list(valid)
    if value not in names:
        raise InputError(f"{name}: {unknown(value, names)}")
    return value


_LONG = 80  # letters of a name that is quoted


def unknown(value: str, names: Sequence[str], *, most: int = 40) -> str:
    """The message that `value` is not among `names`, with the nearest ones where there are many."""
    if len(str(value)) > _LONG:
        value = f"{str(value)[:_LONG]}…"
    near = difflib.get_close_matches(str(value), names, n=3, cutoff=0.6)
    hint = f" (nearest: {', '.join(near)})" if near and len(names) > 3 else ""
    listed = f"; valid: {', '.join(names)}" if len(names) <= most else ""
    return f"unknown name {value!r}{hint}{listed}"


def image_type(params: Any) -> Any:
    """The type of images that go with parameters: that of their floating-point numbers."""
    types = [leaf.dtype for leaf in jax.tree.leaves(params) if hasattr(leaf, "dtype")]
    floats = [one for one in types if jnp.issubdtype(one, jnp.floating)]
    return jnp.result_type(*floats) if floats else jnp.dtype(jnp.float32)


def is_key(leaf: Any) -> bool:
    """Whether an array is a key for random numbers, of the new kind or of the old."""
    dtype = getattr(leaf, "dtype", None)
    if dtype == np.uint32:
        return leaf.shape[-1:] == (2,)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def random_key(key: Any) -> Any:
    """Return `key` if it is one random key."""
    is_old = getattr(key, "dtype", None) == np.uint32
    if not is_key(key) or jnp.ndim(key) != is_old:
        got = f"keys of shape {jnp.shape(key)}" if is_key(key) else repr(key)
        raise InputError(f"key: expected a random key, such as jax.random.key(0), got {got}")
    return key


def what_was_raised(error: BaseException) -> str:
    """What another's code raised, in one line.

    >>> what_was_raised(KeyError("conv1"))
    "KeyError: 'conv1'"
    """
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
