"""The same function, evaluated the way a CPU is quicker at.

XLA's convolutions on CPUs make all products, and its max-pooling looks at numbers one by one. Here
convolutions of many channels take fewer products (see `toom_cook`), and max-pooling is the maximum
of whole slices. Everything else stays as it is.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from ..jaxpr.tape import Constant, Step, read_slot, record
from . import toom_cook

_CHANNELS = {3: 40, 5: 20}  # in * out / (in + out): products for each number that is moved
_BYTES = 2**26  # of all pixels and outputs at points; more do not stay in caches
_WINDOW = 5  # pixels an axis: so many slices


class Rewritten(NamedTuple):
    """`run(prepare(known), *arguments)` is the function of the arguments.

    `prepare` does what depends on the known argument alone. Both are to be compiled.
    """

    prepare: Callable[[Any], list[Any]]
    run: Callable[..., Any]


def suited(function: Callable[..., Any], *examples: Any, known: int) -> Rewritten:
    """The function rewritten on a CPU, and as it is elsewhere."""
    if jax.default_backend() == "cpu":
        return rewritten(function, *examples, known=known)
    return Rewritten(lambda argument: [], lambda prepared, *arguments: function(*arguments))


def rewritten(function: Callable[..., Any], *examples: Any, known: int) -> Rewritten:
    """Rewrite `function` for arguments like the examples (arrays, or their shapes and types).

    `known` is the place of the argument that stays the same from call to call, the parameters.
    Results are those of the function to round-off.

    >>> prepare, run = rewritten(lambda scale, x: scale * x, 1.0, jnp.ones(2), known=0)
    >>> run(prepare(3.0), 3.0, jnp.ones(2)).tolist()
    [3.0, 3.0]
    """
    leaves, tree = jax.tree.flatten(examples)
    unflatten = jax.tree.unflatten
    tape, constants, result = record(lambda *x: function(*unflatten(tree, x)), *leaves)
    slots = unflatten(tree, tape.inputs[len(constants) :])
    given = {*tape.inputs[: len(constants)], *jax.tree.leaves(slots[known])}
    first = [step for step in tape.steps if _becomes_known(step, given)]
    quick = [i for i, step in enumerate(tape.steps) if _pays(step) and step.inputs[1] in given]

    def prepare(argument: Any) -> list[Any]:
        values = dict(zip(tape.inputs, constants, strict=False))
        values |= zip(jax.tree.leaves(slots[known]), jax.tree.leaves(argument), strict=True)
        for step in first:
            _evaluate(step, values)
        kernels = (read_slot(values, tape.steps[i].inputs[1]) for i in quick)
        return [toom_cook.kernel_at_points(kernel) for kernel in kernels]

    def run(prepared: list[Any], *arguments: Any) -> Any:
        kernels = dict(zip(quick, prepared, strict=True))
        values = dict(zip(tape.inputs, [*constants, *jax.tree.leaves(arguments)], strict=True))
        for i, step in enumerate(tape.steps):
            if i in kernels:
                images = read_slot(values, step.inputs[0])
                values[step.outputs[0]] = _correlation(step, images, kernels[i])
            elif _is_small_max(step):
                values[step.outputs[0]] = _max_pool(step, read_slot(values, step.inputs[0]))
            else:
                _evaluate(step, values)
        return unflatten(result, [read_slot(values, slot) for slot in tape.outputs])

    return Rewritten(prepare, run)


def _becomes_known(step: Step, given: set[int]) -> bool:
    """Whether a step's inputs are known; then its outputs are, too."""
    known = all(isinstance(slot, Constant) or slot in given for slot in step.inputs)
    if known:
        given.update(step.outputs)
    return known


def _evaluate(step: Step, values: dict[int, Any]) -> None:
    results = step.bind(*(read_slot(values, slot) for slot in step.inputs))
    values.update(zip(step.outputs, results, strict=True))


def _pays(step: Step) -> bool:
    """Whether a step is a plain convolution, channels last, that fewer products make quicker."""
    if step.name != "conv_general_dilated" or len(step.input_avals[0].shape) != 4:
        return False
    given, (images, kernel) = step.params, step.input_avals
    numbers = given["dimension_numbers"]
    plain = (
        numbers.lhs_spec == numbers.out_spec == (0, 3, 1, 2)
        and numbers.rhs_spec == (3, 2, 0, 1)
        and {*given["window_strides"], *given["lhs_dilation"], *given["rhs_dilation"]} == {1}
        and given["feature_group_count"] == given["batch_group_count"] == 1
        and images.dtype == kernel.dtype == step.output_avals[0].dtype == jnp.float32
    )
    size, width, inputs, outputs = kernel.shape
    if not plain or size != width or size not in _CHANNELS or isinstance(step.inputs[1], Constant):
        return False
    moved = toom_cook.growth(size) * math.prod(step.output_avals[0].shape[:3]) * (inputs + outputs)
    return inputs * outputs >= _CHANNELS[size] * (inputs + outputs) and 4 * moved <= _BYTES


def _correlation(step: Step, images: Array, kernel: list[Any]) -> Array:
    """The barrier keeps XLA from making the outputs again for each of their uses."""
    none = (0, 0, 0)
    margins = [none, *((low, high, 0) for low, high in step.params["padding"]), none]
    padded = lax.pad(images, jnp.zeros((), images.dtype), margins)
    size = step.input_avals[1].shape[0]
    return lax.optimization_barrier(toom_cook.correlate(padded, kernel, size))


def _is_small_max(step: Step) -> bool:
    if step.name != "reduce_window_max":
        return False
    given = step.params
    plain = {*given["base_dilation"], *given["window_dilation"]} == {1}
    plain = plain and jnp.issubdtype(step.input_avals[0].dtype, jnp.number)
    return plain and max(given["window_dimensions"]) <= _WINDOW


def _max_pool(step: Step, x: Array) -> Array:
    given = step.params
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    x = lax.pad(x, jnp.array(lowest, x.dtype), [(*margins, 0) for margins in given["padding"]])
    for axis, size in enumerate(given["window_dimensions"]):
        stride = given["window_strides"][axis]
        last = x.shape[axis] - size + 1
        slices = [lax.slice_in_dim(x, i, i + last, stride, axis=axis) for i in range(size)]
        x = lax.optimization_barrier(functools.reduce(jnp.maximum, slices))
    return x
