"""The network that a sweep runs, recorded, and hashed so that it can be told from any other."""

import dataclasses
import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from .._checks import selected
from .._typing import Apply, Params
from ..jaxpr.tape import Constant, Recording, record


def recorded(
    apply: Apply, params: Params, images: Any, *, prepare: Callable[[Any], Any],
    layers: Sequence[str],
) -> Recording:  # fmt: skip
    """Record a list of the layers' activations as a function of (params, images).

    `images` may be their shape and type alone. Raises `InputError` if a layer is unknown.
    """

    def network(params: Params, images: Any) -> list[Any]:
        return selected(apply, apply(params, prepare(images)), layers)

    return record(network, params, images)


def network_hash(recording: Recording) -> str:
    """A sha256 of all operations and of the arrays that the network closes over.

    It is the same in every process and run of Python. A Python function that the network calls back
    counts by its name alone.
    """
    found = hashlib.sha256()
    _add_recording(found, recording)
    return found.hexdigest()


def array_hash(leaves: Mapping[str, Any]) -> str:
    """A sha256 of arrays: their names, shapes, types and values. Random keys are arrays, too."""
    found = hashlib.sha256()
    for name, value in leaves.items():
        found.update(name.encode())
        _add(found, value)
    return found.hexdigest()


def _add_recording(found: Any, recording: Recording) -> None:
    tape = recording.tape
    _add(found, recording.constants)
    for step in tape.steps:
        _add(found, [step.name, step.inputs, step.outputs, dict(step.params)])
        _add(found, [[str(aval.dtype), aval.shape] for aval in step.output_avals])
    _add(found, [tape.inputs, tape.outputs])


def _add(found: Any, value: Any) -> None:
    """Add a value by what it holds, never by where it is in memory."""
    found.update(f"{type(value).__name__}(".encode())
    if isinstance(value, core.Jaxpr):
        value = core.ClosedJaxpr(value, ())
    if isinstance(value, core.ClosedJaxpr):
        _add_recording(found, record(core.jaxpr_as_fun(value), *value.in_avals))
    elif isinstance(value, Constant):
        _add(found, value.value)
    elif isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        found.update(str(value.dtype).encode())
        _add(found, jax.random.key_data(value))
    elif isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        found.update(f"{array.shape} {array.dtype}\n".encode())
        found.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    elif isinstance(value, Mapping):
        for name in sorted(value, key=str):
            _add(found, [name, value[name]])
    elif isinstance(value, tuple | list):
        for item in value:
            _add(found, item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _add(found, [(one.name, getattr(value, one.name)) for one in dataclasses.fields(value)])
    elif isinstance(value, str | bytes | int | float | complex | enum.Enum | np.dtype | None):
        found.update(repr(value).encode())
    else:  # of which Python need not know more than its address
        found.update(getattr(value, "__qualname__", type(value).__qualname__).encode())
    found.update(b")")
