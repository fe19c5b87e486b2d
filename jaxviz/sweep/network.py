"""The network that a sweep runs, recorded, and hashed so that it can be told from any other."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from .._contract import outputs_of, selected
from .._independence import independent
from .._typing import Apply, Params
from ..jaxpr.recording import Recording, record
from ..jaxpr.tape import Constant, Slot


def recorded(
    apply: Apply, params: Params, images: Any, *, prepare: Callable[[Any], Any],
    layers: Sequence[str],
) -> Recording:  # fmt: skip
    """Record a list of the layers' activations as a function of (params, images).

    `images` may be their shape and type alone. Raises `InputError` if a layer is unknown, or if the
    images of a batch depend on one another.
    """

    def network(params: Params, images: Any) -> list[Any]:
        prepared = prepare(images)
        return selected(apply, outputs_of(apply, params, prepared), layers, len(prepared))

    recording = record(network, params, images)
    image = jax.eval_shape(prepare, images)
    independent(apply, params, image.shape[1:], image.dtype)
    return recording


def network_hash(recording: Recording) -> str:
    """A sha256 of all operations and of the arrays that the network closes over.

    It is the same in every process and run of Python. Of a Python function that the network calls
    back it holds no more than that there is one.
    """
    found = hashlib.sha256()
    _add_recording(found, recording)
    return found.hexdigest()


def array_hash(leaves: Mapping[str, Any]) -> str:
    """A sha256 of arrays: their names, shapes, types and values. Random keys are arrays, too."""
    found = hashlib.sha256()
    for name, value in leaves.items():
        found.update(name.encode(errors="surrogatepass"))
        _add(found, value)
    return found.hexdigest()


def _add_recording(found: Any, recording: Recording) -> None:
    tape, numbers = recording.tape, dict[int, int]()

    def named(slots: Sequence[Slot]) -> list[Any]:
        """Slots by the order in which they come, in which what was left out does not count."""
        return [
            slot if isinstance(slot, Constant) else numbers.setdefault(slot, len(numbers))
            for slot in slots
        ]

    _add(found, [recording.constants, named(tape.inputs)])
    for step in tape.steps:
        _add(found, [step.name, named(step.inputs), named(step.outputs), step.params])
        _add(found, [(str(aval.dtype), aval.shape) for aval in step.output_avals])
    _add(found, named(tape.outputs))


def _add(found: Any, value: Any) -> None:
    """Add a value by what it holds, never by where it lies in memory."""
    found.update(f"{type(value).__name__}(".encode())
    if isinstance(value, core.Jaxpr):
        value = core.ClosedJaxpr(value, ())
    if isinstance(value, core.ClosedJaxpr):
        _add_recording(found, record(core.jaxpr_as_fun(value), *value.in_avals))
    elif isinstance(value, Constant):
        _add(found, value.value)
    elif isinstance(value, np.ndarray | np.generic | jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            found.update(str(value.dtype).encode())
            value = jax.random.key_data(value)  # type: ignore[arg-type]
        array = np.asarray(value)
        found.update(f"{array.shape} {array.dtype}\n".encode() + array.tobytes())
    elif isinstance(value, Mapping):
        _add(found, sorted(value.items()))
    elif isinstance(value, tuple | list):
        for item in value:
            _add(found, item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _add(found, {one.name: getattr(value, one.name) for one in dataclasses.fields(value)})
    else:
        text = repr(value)
        found.update((text if " at 0x" not in text else type(value).__qualname__).encode())
    found.update(b")")
