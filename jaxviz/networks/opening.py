"""`open_network`: a network's name, FILE.onnx, MODULE:FUNCTION or FILE.py:FUNCTION."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from .._checks import InputError, image_type, type_name, unknown, what_was_raised
from .._independence import independent
from .catalog import networks
from .described import Description, description_beside
from .loading import load
from .modules import from_equinox, from_linen, from_nnx
from .named import name_activations
from .network import Network, replaced
from .onnx.loading import fixed_size, load_onnx
from .roles import output_roles
from .sources import file_digest
from .tokens import with_token_maps

_WAYS = "expected a network's name, FILE.onnx, MODULE:FUNCTION or FILE.py:FUNCTION"


def open_network(
    text: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    described: Mapping[str, Any] | None = None,
) -> Network:
    """Load a network that is named, or open one's own.

    Args:
        text: one of `jaxviz.networks()`; the name of an ONNX file; or a function that is called
            without arguments, as MODULE:FUNCTION or FILE.py:FUNCTION. It returns a
            `jaxviz.Network`, (apply, params), a Flax NNX module, (Linen module, variables), or an
            Equinox module. A TOML beside the file, as `jaxviz network describe` writes it, says
            how pictures become images.
        weights: a safetensors file, for a network that is named.
        described: what is to be taken in place of what that TOML says, under its keys: `size`,
            `resize`, `range`, `mean`, `std`, `channel_order` and `labels`.

    Raises:
        InputError: there is no such network, the function fails, or it returns something else.

    >>> open_network("squeezenet").name
    'squeezenet'
    """
    described = described or {}
    if text in networks():
        if described:
            said = ", ".join(described)
            raise InputError(f"{said}: {text} is known to jaxviz, which needs no description")
        return load(text, weights=weights)
    if weights is not None:
        raise InputError(f"weights: {text} brings its own")
    if text.lower().endswith(".onnx"):
        size = fixed_size(Path(text)) if described else None
        options = description_beside(Path(text), described, size).options()
        network = load_onnx(text, **options)
        return with_token_maps(network) if network.spec.preprocessing else network
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise InputError(f"network: {unknown(text, networks())}; {_WAYS}")
    path = Path(place)
    is_file = place.endswith(".py")
    description = description_beside(path if is_file else None, described)
    try:
        module = _module_at(path) if is_file else _imported(place)
    except InputError as error:
        raise InputError(f"network: {place}: {error}") from None
    except (Exception, SystemExit) as error:  # whatever a user's code raises
        raise InputError(f"network: {place}: {what_was_raised(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"network: {place} has no function {name!r}")
    try:
        made = function()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"network: {text}: {what_was_raised(error)}") from error
    options = {
        **description.options(),
        "name": path.stem if is_file else name,
        "provenance": {"weights": text, "sha256": file_digest(path, "sha256")} if is_file else {},
    }
    try:
        network = _network(made, options, text)
        if network.spec.preprocessing:  # it takes the images that its description says
            return with_token_maps(network)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"network: {text}: {_images(description)}{what_was_raised(error)}"
        ) from error
    return network


def _images(description: Description) -> str:
    """The images on which a network failed, of which its description may be wrong."""
    if description.preprocessing is None:
        return ""
    sizes = " x ".join(map(str, description.preprocessing.input_shape))
    return f"described as taking images of {sizes} (size and channel_order), on which it fails: "


def _module_at(path: Path) -> Any:
    if not path.is_file():
        raise InputError("no such file")
    sys.path.insert(0, str(path.parent.resolve()))  # its neighbors are imported as by python FILE
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _imported(name: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _network(made: Any, options: dict[str, Any], text: str) -> Network:
    """What a user's function returned, as a network."""
    if isinstance(made, Network):
        return _described(made, options)
    kinds = _packages(made)
    if "equinox" in kinds:
        return _with_shape(text, options, lambda **rest: from_equinox(made, **rest))
    if "flax" in kinds:
        return _with_shape(text, options, lambda **rest: from_nnx(made, **rest))
    if isinstance(made, tuple) and len(made) == 2:
        first, second = made
        if "flax" in _packages(first):
            return _with_shape(text, options, lambda **rest: from_linen(first, second, **rest))
        if callable(first):
            return _of_function(first, second, text, options)
    raise InputError(
        f"network: {text} returns {type_name(made)}; expected a jaxviz.Network, (apply, params), a "
        "Flax NNX module, (Linen module, variables) or an Equinox module"
    )


def _described(network: Network, options: Mapping[str, Any]) -> Network:
    """A network that says itself what it is, where its description does not say otherwise."""
    told = {key: options[key] for key in ("title", "preprocessing", "labels", "roles")}
    if not any(told.values()):
        return network
    return replaced(
        network,
        preprocessing=told["preprocessing"] or network.spec.preprocessing,
        labels=told["labels"] or network.labels,
        roles={**network.spec.roles, **told["roles"]},
        title=told["title"] or network.spec.title,
    )


def _packages(value: Any) -> set[str]:
    """The packages that a value's classes come from, which need not be imported to know."""
    return {base.__module__.partition(".")[0] for base in type(value).__mro__}


def _with_shape(text: str, options: dict[str, Any], make: Any) -> Network:
    if options["preprocessing"] is None:
        raise InputError(
            f"network: the size of the images of {text} is not known; say it with `jaxviz network "
            "describe`, or return a jaxviz.Network"
        )
    network: Network = make(**options)
    return network


def _of_function(apply: Any, params: Any, text: str, options: dict[str, Any]) -> Network:
    """One that gives its layers by name already is taken as it is."""
    preprocessing = options["preprocessing"]
    if preprocessing is not None:
        images = jax.ShapeDtypeStruct((1, *preprocessing.input_shape), image_type(params))
        found = jax.eval_shape(apply, params, images)
        if not isinstance(found, dict) or not all(hasattr(one, "shape") for one in found.values()):
            return name_activations(apply, params, **options)
        independent(apply, params, preprocessing.input_shape)
        guessed = output_roles(apply, params, preprocessing.input_shape)
        options = {**options, "roles": guessed | dict(options["roles"])}
    return Network(apply, params, **options)
