"""A digest of what a tape does, the same in every process, where all of it can be said so."""

import hashlib
from collections.abc import Iterator
from typing import Any

from jax.extend.core import primitives

from .keys import Derivative, stands_for_itself
from .tape import Aval, Constant, Step, Tape


class NotLastingError(Exception):
    """A value is known by where it lies in memory, such as a Python function."""


_KNOWN = {value for name, value in vars(primitives).items() if name.endswith("_p")}


def digest(*values: Any) -> str:
    """A sha256 of tapes and of other values that are hashed for a compilation, by what they hold.

    Raises `NotLastingError` if one holds what another process cannot know.

    >>> digest(1, ("mean", None)) == digest(1, ("mean", None)), digest(1) == digest("1")
    (True, False)
    """
    found = hashlib.sha256()
    for part in _parts(values):
        found.update(part)
        found.update(b"\0")
    return found.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    yield f"{type(value).__name__}(".encode()
    if isinstance(value, Tape):
        yield from _parts((value.inputs, value.outputs, value.steps, value.avals))
    elif isinstance(value, Step):
        if value.jaxpr.eqns[0].primitive not in _KNOWN:  # its parameters may not say what it does
            raise NotLastingError(value.name)
        yield from _parts(
            (value.name, value.inputs, value.outputs, value.key, value.reads, value.rounded)
        )
    elif isinstance(value, Aval):
        yield f"{value.dtype}{value.shape}".encode()
    elif isinstance(value, Constant):
        yield f"{value.aval.dtype}{value.value.shape}".encode()
        yield value.value.tobytes()
    elif isinstance(value, Derivative):
        yield from _parts(value.steps)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _parts(one)
    else:
        text = repr(value)
        is_function = callable(value) and not isinstance(value, type)
        if is_function or stands_for_itself(value) or " at 0x" in text:
            raise NotLastingError(text)
        yield text.encode()
    yield b")"
