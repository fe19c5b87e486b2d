"""Modules of Flax NNX, Flax Linen and Equinox as networks. Only what the user uses is imported."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._checks import InputError, type_name
from .named import name_activations
from .network import Network

# How modules are told that they are not being trained.
_EVALUATION = {
    "train": False, "training": False, "is_training": False, "deterministic": True,
    "use_running_average": True, "inference": True,
}  # fmt: skip


def from_nnx(
    module: Any, *, call: Callable[[Any, Any], Any] | None = None, **options: Any
) -> Network:
    """Make a network of a Flax NNX module, in evaluation mode; the module itself stays as it is.

    Args:
        module: takes (batch, height, width, channel), returns an array or a pytree of arrays.
        call: `call(module, images)`, where the module wants more than images. Arguments such as
            `train` and `deterministic` are set to evaluation without it.
        options: those of `jaxviz.name_activations`: `image_shape`, `preprocessing`, `labels`, ...

    The params are a dict of arrays, the running averages among them.

    >>> from flax import nnx
    >>> class Small(nnx.Module):
    ...     def __init__(self, rngs):
    ...         self.stem = nnx.Conv(3, 4, (3, 3), rngs=rngs)
    ...         self.norm = nnx.BatchNorm(4, rngs=rngs)
    ...         self.head = nnx.Linear(4, 10, rngs=rngs)
    ...     def __call__(self, images):
    ...         return self.head(nnx.relu(self.norm(self.stem(images))).mean(axis=(1, 2)))
    >>> network = from_nnx(Small(nnx.Rngs(0)), image_shape=(8, 8, 3))
    >>> list(network.layers((8, 8, 3)))
    ['stem', 'norm', 'pool1', 'head']
    """
    from flax import nnx

    if not isinstance(module, nnx.Module):
        raise InputError(f"module: expected a flax.nnx.Module, got {type_name(module)}")
    own = nnx.clone(module)
    own.eval()
    split: Any = nnx.split(own, nnx.RngState, ...)
    graph, random, state = split
    evaluate = call or _evaluated(type(module).__call__)

    def function(params: Any, images: Any) -> Any:
        filled = jax.tree.map(lambda leaf: leaf, state)
        nnx.replace_by_pure_dict(filled, params)
        return evaluate(nnx.merge(graph, random, filled), images)

    return _named(function, nnx.to_pure_dict(state), module, options)


def from_linen(
    module: Any, variables: Any, *, call: Callable[[Any, Any, Any], Any] | None = None,
    **options: Any,
) -> Network:  # fmt: skip
    """Make a network of a Flax Linen module and its variables, in evaluation mode.

    Args:
        module: takes (batch, height, width, channel), returns an array or a pytree of arrays.
        variables: what `module.init` returns: the collections params, batch_stats, ...
        call: `call(module, variables, images)`, where the module wants more than images. Arguments
            such as `train` and `deterministic` are set to evaluation without it.
        options: those of `jaxviz.name_activations`: `image_shape`, `preprocessing`, `labels`, ...

    >>> from flax import linen
    >>> module = linen.Sequential([linen.Conv(4, (3, 3)), linen.relu])
    >>> variables = module.init(jax.random.key(0), jnp.ones((1, 8, 8, 3)))
    >>> from_linen(module, variables, image_shape=(8, 8, 3)).layers((8, 8, 3))
    {'layers_0': (8, 8, 4)}
    """
    from flax import linen

    if not isinstance(module, linen.Module):
        raise InputError(f"module: expected a flax.linen.Module, got {type_name(module)}")
    if not hasattr(variables, "keys") or "params" not in variables:
        raise InputError(
            'variables: expected what module.init returns, such as {"params": ...}, got '
            f"{type_name(variables)}"
        )

    def function(params: Any, images: Any) -> Any:
        if call is not None:
            return call(module, params, images)
        flags: dict[str, Any] = _flags(type(module).__call__)
        return module.apply(params, images, **flags)

    return _named(function, dict(variables), module, options)


def from_equinox(
    module: Any, *, state: Any = None, call: Callable[[Any, Any], Any] | None = None, **options: Any
) -> Network:
    """Make a network of an Equinox module, in inference mode.

    Args:
        module: takes one image (channel, height, width), as Equinox's layers do.
        state: the `equinox.nn.State` of a module with batch normalization, which is then called
            with (image, state).
        call: `call(module, image)` for one image, where the module wants anything else.
        options: those of `jaxviz.name_activations`: `image_shape` (height, width, channel), ...

    The params are the module with None for what is no array of floating-point numbers.

    >>> import equinox
    >>> module = equinox.nn.Conv2d(3, 4, 3, key=jax.random.key(0))
    >>> network = from_equinox(equinox.nn.Sequential([module]), image_shape=(8, 8, 3))
    >>> network.layers((8, 8, 3)), network.kernel("layers/0").shape
    ({'layers/0': (6, 6, 4)}, (3, 3, 3, 4))
    """
    import equinox

    if not isinstance(module, equinox.Module):
        raise InputError(f"module: expected an equinox.Module, got {type_name(module)}")
    module = equinox.nn.inference_mode(module)
    params, fixed = equinox.partition(module, equinox.is_inexact_array)
    names = inspect.signature(type(module).__call__).parameters
    given = {} if "key" not in names else {"key": None}

    def evaluate(module: Any, image: Any) -> Any:
        if call is not None:
            return call(module, image)
        return module(image, **given) if state is None else module(image, state, **given)[0]

    def function(params: Any, images: Any) -> Any:
        whole = equinox.combine(params, fixed)
        images = jnp.transpose(images, (0, 3, 1, 2))
        return jax.vmap(lambda image: evaluate(whole, image), axis_name="batch")(images)

    return _named(function, params, module, options)


def _named(function: Any, params: Any, module: Any, options: dict[str, Any]) -> Network:
    options.setdefault("name", type(module).__name__)
    return name_activations(function, params, **options)


def _evaluated(method: Any) -> Callable[[Any, Any], Any]:
    flags = _flags(method)
    return lambda module, images: module(images, **flags)


def _flags(method: Any) -> dict[str, bool]:
    """The arguments of a module's call that say whether it is being trained."""
    names = inspect.signature(method).parameters
    return {name: value for name, value in _EVALUATION.items() if name in names}
