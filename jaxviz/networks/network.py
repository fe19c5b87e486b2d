"""A network as every technique takes it: a function, its parameters, how to feed and read it."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp

from .._checks import InputError, choice, image_type
from .._checks import image_shape as checked_shape
from .._contract import activation_shapes
from .._typing import Apply, Params
from ..pictures.decoding import Source
from ..pictures.preprocessing import Preprocessing, preprocess
from .spec import ROLES, NetworkSpec, checked_roles

_FEW = 20  # classes, that a message lists


class Network:
    """A pure function with its parameters and all that is needed to feed and read it.

    Attributes: `name`, `apply`, `params`, `spec`, `labels`, `provenance`.
    """

    def __init__(
        self,
        apply: Apply,
        params: Params,
        *,
        preprocessing: Preprocessing | None = None,
        labels: Sequence[str] = (),
        roles: Mapping[str, Any] | None = None,
        name: str = "network",
        title: str | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a network together; everything but the function and its parameters may be missing.

        Args:
            apply: `apply(params, images)` takes normalized float32 (batch, height, width, channel)
                and returns {layer: activations} in the order the data flows.
            params: any pytree of arrays.
            preprocessing: how pictures become images.
            labels: the class names, in the order of the logits; synonyms separated by commas.
            roles: which layer is `first_layer`, `middle_layer`, `feature_layer` or `logits`, which
                are the `deep_layers`; and the `mean_fill`, a number for each channel. What needs
                one that is missing says so.
            name: a short name, for files and commands.
            title: the name that captions show; `name` if not given.
            provenance: where the network is from; stored with every result.

        >>> def apply(params, images):
        ...     return {"brightness": (images * params["gain"]).mean(axis=(1, 2))}
        >>> network = Network(apply, {"gain": jnp.float32(2)}, roles={"logits": "brightness"})
        >>> network.layers((32, 32, 3))
        {'brightness': (3,)}
        """
        if isinstance(labels, str):
            raise InputError(f"labels: expected a list of class names, got {labels!r}")
        if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
            kind = type(preprocessing).__name__
            raise InputError(f"preprocessing: expected jaxviz.Preprocessing or None, got {kind}")
        roles = checked_roles(dict(roles or {}), preprocessing)
        self.name = name
        self.apply = apply
        self.params = params
        self.spec = NetworkSpec(title or name, preprocessing, **roles)
        self.labels = tuple(labels)
        self.provenance: dict[str, Any] = {
            "network": name,
            **(provenance or {}),
            "preprocessing": preprocessing and dataclasses.asdict(preprocessing),
        }

    def __repr__(self) -> str:
        return f"Network({self.name!r}, spec={self.spec})"

    def role(self, name: str) -> Any:
        """The layer, layers or fill with this role, an attribute of `spec`; refuse if missing."""
        value = getattr(self.spec, choice(name, "role", ROLES))
        if value is None:
            note = getattr(self.apply, "note", "")
            hint = note or (
                f"name it: Network(..., roles={{{name!r}: ...}}), or in the TOML beside the file, "
                f"roles = {{ {name} = ... }}"
            )
            raise InputError(f"{name}: {self.spec.title} has none; {hint}")
        return value

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures become images; refuse if that is not known."""
        if self.spec.preprocessing is None:
            raise InputError(
                f"preprocessing: {self.spec.title} has none; make it with "
                "Network(..., preprocessing=jaxviz.Preprocessing(...)), or describe its file with "
                "`jaxviz network describe`"
            )
        return self.spec.preprocessing

    def preprocess(self, sources: Iterable[Source]) -> jax.Array:
        """Decode, resize, crop and normalize pictures: float32 (batch, height, width, 3).

        `sources` is a list of paths, PIL images or uint8 arrays. Raises `InputError` for what
        cannot be read, and if the network has no preprocessing.
        """
        return jnp.asarray(preprocess(sources, self.preprocessing))

    def layers(self, image_shape: tuple[int, ...] | None = None) -> dict[str, tuple[int, ...]]:
        """All layers, in order, with the shape of their activations for one image.

        `image_shape` is (height, width, channels); the preprocessing says it where there is one, or
        what the network was made for.
        """
        if image_shape is None and self.spec.preprocessing is None:
            image_shape = getattr(self.apply, "image_shape", None)
        if image_shape is None:
            if self.spec.preprocessing is None:
                raise InputError(
                    f"image_shape: {self.spec.title} has no preprocessing that says it; "
                    "pass layers((height, width, channels))"
                )
            image_shape = self.spec.preprocessing.input_shape
        image = jax.ShapeDtypeStruct((1, *checked_shape(image_shape)), image_type(self.params))
        shapes = activation_shapes(self.apply, self.params, image)
        return {name: shape[1:] for name, shape in shapes.items()}

    def kernel(self, layer: str) -> Any:
        """The weights of a convolution: (height, width, channels in, filters).

        An `apply` may have a method `kernel(params, layer)` that gives them. Else they are found in
        the parameters as the array `kernel` of the layer of this name, as Flax and our own networks
        store them; a `/` in the layer's name goes one level deeper.
        """
        own = getattr(self.apply, "kernel", None)
        if own is not None:
            return own(self.params, layer)
        kernels: dict[str, Any] = {}
        for path, value in jax.tree_util.tree_leaves_with_path(self.params):
            name = jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/value")
            if name.endswith("/kernel") and value.ndim == 4:
                kernels[name.removesuffix("/kernel")] = value
        if layer in kernels:
            return kernels[layer]
        inner = [name for name in kernels if name.endswith(f"/{layer}")]  # Linen's "params/conv1"
        if len(inner) == 1:
            return kernels[inner[0]]
        valid = f"valid: {', '.join(inner or kernels)}" if kernels else (
            "params holds no array 'kernel' of 4 axes in a branch named after its layer; "
            "give filter_tiles or filter_slices the array itself"
        )  # fmt: skip
        raise InputError(f"layer: no convolution {layer!r}; {valid}")

    def label(self, index: SupportsIndex) -> str:
        """The first name of a class, as captions show it; "class 3" where classes have no names."""
        return self.labels[index].split(",")[0] if self.labels else f"class {index.__index__()}"

    def class_index(self, target: str | int) -> int:
        """Find a class by its index or by one of its names, in any case."""
        text = str(target).strip()
        if not self.labels:
            text = text.removeprefix("class ").lstrip()  # as `label` calls it
        is_number = text.removeprefix("-").isdecimal()
        count = len(self.labels)
        if is_number and not count and self.spec.logits and self.spec.preprocessing:
            count = self.layers()[self.spec.logits][-1]
        if not count:
            hint = getattr(self.apply, "note", "") or "make it with Network(..., labels=[...])"
            raise InputError(f"target: {self.spec.title} has no class names; {hint}")
        if is_number:
            if not 0 <= int(text) < count:
                raise InputError(f"target: class {text} is not from 0 to {count - 1}")
            return int(text)
        synonyms = [[name.strip().lower() for name in label.split(",")] for label in self.labels]
        indices = [i for i, names in enumerate(synonyms) if text.lower() in names]
        if len(indices) == 1:
            return indices[0]
        if indices:
            numbers = " or ".join(map(str, indices))
            raise InputError(f"target: {text!r} names several classes; say {numbers}")
        everything = [name for names in synonyms for name in names]
        near = [name for name in everything if text.lower() in name.split()][:5]
        near += difflib.get_close_matches(text.lower(), everything, n=3)
        hint = f" (nearest: {', '.join(dict.fromkeys(near))})" if near else ""
        if len(everything) <= _FEW:
            hint = f"; there are {', '.join(everything)}"
        raise InputError(f"target: no class is called {text!r}{hint}")


def replaced(network: Network, **changes: Any) -> Network:
    """The network with other arguments of `Network` in place of its own."""
    kept = {
        "apply": network.apply, "params": network.params, "labels": network.labels,
        "preprocessing": network.spec.preprocessing, "roles": network.spec.roles,
        "name": network.name, "title": network.spec.title, "provenance": network.provenance,
    }  # fmt: skip
    return Network(**(kept | changes))
