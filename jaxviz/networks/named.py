"""`name_activations`: from any function of images to a network that names what it computes."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._checks import InputError, image_type, what_was_raised
from .._checks import image_shape as checked_shape
from .._independence import independent
from .._typing import Outputs, Params
from ..cpu.compilation import compiled
from ..jaxpr.recording import Recording, record
from ..jaxpr.tape import Tape, read_slot, run, run_steps
from ..pictures.preprocessing import Preprocessing
from .layer_names import parameter_path, parameter_paths
from .naming import Named, named_layers
from .network import Network
from .roles import guessed_roles

PRE = ":pre"  # behind a layer's name: its value before the activation function


class Reading(NamedTuple):
    """A function's tape for a batch of this size, and the layers that it computes."""

    recording: Recording
    layers: list[Named]
    batch: int


@dataclasses.dataclass(frozen=True)
class NamedFunction:
    """An `apply` of the contract, made of a function by naming what it computes.

    Called with (params, images) it gives {name: activations} in the order the data flows.
    """

    function: Callable[[Params, Any], Any]
    image_shape: tuple[int, ...]
    pre: bool = False

    def __call__(self, params: Params, images: Any) -> Outputs:
        """Evaluate the function: compiled, and on CPUs rewritten, outside of any trace."""
        outputs = self._compiled(params, images)  # compiled, a dict comes out by the alphabet
        return {name: outputs[name] for name in self._order}

    @functools.cached_property
    def _compiled(self) -> Callable[[Params, Any], Outputs]:
        return compiled(self.plain)

    @functools.cached_property
    def _order(self) -> list[str]:
        """The names of the layers, as the data flows; filled when the function is traced."""
        return []

    def plain(self, params: Params, images: Any) -> Outputs:
        """Evaluate the function as it is written, and hand out what it computed by name."""
        reading = self.read(params, images)
        count = images.shape[0]
        if reading.batch > count:
            images = jnp.concatenate([images] * reading.batch)
        recording = reading.recording
        leaves = [*recording.constants, *jax.tree.leaves(params), images]
        values = run(recording.tape, leaves)
        outputs = {}
        for layer in reading.layers:
            for name, slot in ((layer.name + PRE, layer.before), (layer.name, layer.value)):
                if slot is not None and (self.pre or slot == layer.value):
                    outputs[name] = _ordered(read_slot(values, slot), layer.order)[:count]
        self._order[:] = outputs
        return outputs

    def read(self, params: Params, images: Any) -> "Reading":
        """What the function does with arrays of these shapes, and its layers."""
        paths = parameter_paths(params)
        recording = record(self.function, params, images)
        if images.shape[0] > 1:
            return Reading(recording, named_layers(recording.tape, paths), images.shape[0])
        # The axis of one image looks like any other axis of one number, so two images are followed.
        pair = jax.ShapeDtypeStruct((2, *images.shape[1:]), images.dtype)
        other = record(self.function, params, pair)
        layers = named_layers(other.tape, paths)
        if _wiring(other.tape) == _wiring(recording.tape):
            return Reading(recording, layers, 1)
        return Reading(other, layers, 2)

    def kernel(self, params: Params, layer: str) -> Any:
        """The weights of a convolution: (height, width, channels in, filters)."""
        images = jax.ShapeDtypeStruct((1, *self.image_shape), image_type(params))
        recording, layers, _ = self.read(params, images)
        kernels = {one.name: one.kernel for one in layers if one.kernel}
        if layer not in kernels:
            valid = ", ".join(kernels) or "none"
            raise InputError(f"layer: no convolution {layer!r}; valid: {valid}")
        slot, order = kernels[layer]
        wanted, needed = {slot}, []
        for step in reversed(recording.tape.steps):
            if wanted.intersection(step.outputs):
                needed.append(step)
                wanted.update(step.inputs)
        leaves = [*recording.constants, *jax.tree.leaves(params)]
        known = dict(zip(recording.tape.inputs, leaves, strict=False))
        return jnp.transpose(read_slot(run_steps(reversed(needed), known), slot), order)


def name_activations(
    function: Callable[[Params, Any], Any],
    params: Params,
    image_shape: Sequence[int] | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    labels: Sequence[str] = (),
    roles: Mapping[str, Any] | None = None,
    name: str = "network",
    title: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    pre: bool = False,
) -> Network:
    """Make a network of any function of images, by naming what it computes.

    Each convolution, dense product, normalization, pool, concatenation and residual sum is a layer.
    Its value is the one after the activation function that follows it. It is named after the branch
    of `params` that it reads, else after the scope that JAX's name stack gives it, else by its kind
    and number; a channels-first function's layers come out as (batch, height, width, channel) too.

    Args:
        function: `function(params, images)` takes (batch, height, width, channel) and returns an
            array, or a pytree of arrays. No image may depend on the others of its batch.
        params: any pytree of arrays.
        image_shape: (height, width, channel); by default that of the preprocessing.
        preprocessing: how pictures become images.
        labels: the class names, in the order of the logits.
        roles: as for `jaxviz.Network`; what is left out is the first convolution, and so on.
        name: a short name, for files and commands.
        title: the name that captions show; `name` if not given.
        provenance: where the network is from; stored with every result.
        pre: whether "LAYER:pre" gives the value before the activation function.

    Raises:
        InputError: params holds what is no array, the function fails on images of this shape, it
            names nothing, it mixes the images of a batch, or it gives other values at each call.

    >>> def function(params, images):
    ...     x = jax.lax.conv_general_dilated(images, params["stem"]["w"], (1, 1), "SAME",
    ...                                      dimension_numbers=("NHWC", "HWIO", "NHWC"))
    ...     return jax.nn.relu(x).mean(axis=(1, 2)) @ params["head"]["w"]
    >>> params = {"stem": {"w": jnp.ones((3, 3, 3, 4))}, "head": {"w": jnp.ones((4, 10))}}
    >>> name_activations(function, params, (8, 8, 3)).layers((8, 8, 3))
    {'stem': (8, 8, 4), 'pool1': (4,), 'head': (10,)}
    """
    shape = _shape(image_shape, preprocessing)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise InputError(
                f"params: {parameter_path(path)} is {leaf!r}, expected arrays alone; leave the "
                "rest to the function"
            )
    try:
        independent(function, params, shape)
    except InputError:
        raise
    except Exception as error:  # whatever a user's code raises
        sizes = " x ".join(map(str, shape))
        raise InputError(
            f"function: fails on images of {sizes}: {what_was_raised(error)}"
        ) from error
    apply = NamedFunction(function, shape, pre=pre)
    images = jax.ShapeDtypeStruct((1, *shape), image_type(params))
    recording, layers, _ = apply.read(params, images)
    tape = recording.tape
    if not layers:
        hidden = _hidden(tape)
        raise InputError(f"function: computes nothing of the images that could be named{hidden}")
    return Network(
        apply,
        params,
        preprocessing=preprocessing,
        labels=labels,
        roles=guessed_roles(layers, tape, shape[-1], tape.outputs) | dict(roles or {}),
        name=name,
        title=title,
        provenance=provenance,
    )


def _hidden(tape: Tape) -> str:
    """Which loops and branches may hold what is looked for."""
    places = [step.place for step in tape.steps if step.name in ("scan", "while", "cond")]
    return f"; what is inside of {', '.join(dict.fromkeys(places))} is not read" if places else ""


def _wiring(tape: Tape) -> list[Any]:
    return [
        (step.name, [slot for slot in step.inputs if isinstance(slot, int)], step.outputs)
        for step in tape.steps
    ]


def _ordered(value: Any, order: Sequence[int]) -> Any:
    """The axes in this order, without those of extent 1 that it leaves out."""
    rest = [axis for axis in range(value.ndim) if axis not in order]
    return jnp.transpose(value, (*order, *rest)).reshape([value.shape[axis] for axis in order])


def _shape(
    image_shape: Sequence[int] | None, preprocessing: Preprocessing | None
) -> tuple[int, ...]:
    if image_shape is None and preprocessing is not None:
        return preprocessing.input_shape
    return checked_shape(image_shape)
