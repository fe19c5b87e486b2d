"""The networks that `load` knows: how each is built, fed, and where its weights come from."""

import dataclasses
import difflib
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
from flax import nnx

from .. import images as pictures
from .._checks import InputError, activation_shapes, choice
from .._typing import Outputs, Params
from .alexnet import AlexNet
from .squeezenet import SqueezeNet
from .weights import check_tensors, flat, nested, read_weights


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """What a network expects and offers, besides its function.

    `title` is its name as people write it.
    `mean_fill` is the training-set mean in normalized units, the usual fill of an occluder.
    `first_layer` is the layer whose kernel reads the image, `middle_layer` the next that reads
    more than colors, `deep_layers` two to look for things in, `feature_layer` the one to compare
    images by, `logits` the layer of class scores, or None where the weights end before it.
    """

    title: str
    preprocessing: pictures.Preprocessing
    first_layer: str
    middle_layer: str
    deep_layers: tuple[str, str]
    feature_layer: str
    logits: str | None
    mean_fill: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Network(NamedTuple):
    """A pure function with its parameters and all that is needed to feed and read it.

    `apply(params, images)` takes normalized float32 (batch, height, width, channel) and returns
    {layer: activations} in the order the data flows.
    """

    name: str
    apply: "Apply"
    params: Params
    spec: NetworkSpec
    labels: tuple[str, ...]
    provenance: dict[str, Any]

    def preprocess(self, sources: Iterable[pictures.Source]) -> jax.Array:
        """Decode, resize, crop and normalize pictures: float32 (batch, height, width, 3).

        `sources` is a list of paths, PIL images or uint8 arrays. Raises `InputError` for what
        cannot be read.
        """
        return jnp.asarray(pictures.preprocess(sources, self.spec.preprocessing))

    def layers(self) -> dict[str, tuple[int, ...]]:
        """All layers, in order, with the shape of their activations for one image."""
        shape = (1, *self.spec.preprocessing.input_shape)
        image = jax.ShapeDtypeStruct(shape, jnp.float32)
        shapes = activation_shapes(self.apply, self.params, image)
        return {name: shape[1:] for name, shape in shapes.items()}

    def kernel(self, layer: str) -> Any:
        """The weights of a convolution: (height, width, channels in, filters)."""
        kernels = {
            name.removesuffix(".kernel").replace(".", "/"): value
            for name, value in flat(self.params).items()
            if name.endswith(".kernel") and value.ndim == 4
        }
        if layer not in kernels:
            in_order = [name for name in self.layers() if name in kernels]
            raise InputError(f"layer: no convolution {layer!r}; valid: {', '.join(in_order)}")
        return kernels[layer]

    def label(self, index: SupportsIndex) -> str:
        """The first name of a class, as captions show it."""
        return self.labels[index].split(",")[0]

    def class_index(self, target: str | int) -> int:
        """Find a class by its index or by one of its names, in any case."""
        if not self.labels:
            raise InputError(f"target: {self.apply.note or self.name + ' has no classes'}")
        text = str(target).strip()
        if text.removeprefix("-").isdecimal():
            if not 0 <= int(text) < len(self.labels):
                raise InputError(f"target: class {text} is not from 0 to {len(self.labels) - 1}")
            return int(text)
        synonyms = [[name.strip().lower() for name in label.split(",")] for label in self.labels]
        found = [i for i, names in enumerate(synonyms) if text.lower() in names]
        if len(found) == 1:
            return found[0]
        if found:
            numbers = " or ".join(map(str, found))
            raise InputError(f"target: {text!r} names several classes; say {numbers}")
        everything = [name for names in synonyms for name in names]
        near = [name for name in everything if text.lower() in name.split()][:5]
        near += difflib.get_close_matches(text.lower(), everything, n=3)
        hint = f" (nearest: {', '.join(dict.fromkeys(near))})" if near else ""
        raise InputError(f"target: no class is called {text!r}{hint}")


@dataclasses.dataclass(frozen=True)
class Apply:
    """A network's function; equal for equal networks, so that compiled code is found again.

    `note` says why layers that one would look for are not there, and how to bring them.
    """

    build: Callable[..., nnx.Module]
    note: str = ""

    @functools.cached_property
    def _split(self) -> tuple[Any, Any]:
        return nnx.split(nnx.eval_shape(lambda: self.build(rngs=nnx.Rngs(0))))

    @property
    def shapes(self) -> dict[str, Any]:
        """The parameters' shapes, as a nested dict."""
        return nnx.to_pure_dict(self._split[1])

    def __call__(self, params: Params, images: Any) -> Outputs:
        """Evaluate the network."""
        graph, state = self._split
        filled = jax.tree.map(lambda leaf: leaf, state)
        nnx.replace_by_pure_dict(filled, params)
        return nnx.merge(graph, filled)(images)


class _Entry(NamedTuple):
    build: Callable[..., nnx.Module]
    spec: NetworkSpec
    shipped: str  # file name
    sha256: str
    partial: Callable[..., nnx.Module] | None = None  # for weights that end before the classes
    partial_spec: NetworkSpec | None = None
    note: str = ""


_TORCHVISION = pictures.Preprocessing(
    resize=256, crop=224, divisor=255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
_SQUEEZENET = pictures.Preprocessing(
    resize=256, crop=227, divisor=1, mean=(123.68, 116.779, 103.939), std=(1, 1, 1)
)
_ALEXNET_SPEC = NetworkSpec(
    "AlexNet",
    _TORCHVISION,
    first_layer="conv1",
    middle_layer="conv2",
    deep_layers=("conv3", "conv5"),
    feature_layer="fc7",
    logits="fc8",
)
_REGISTRY: Mapping[str, _Entry] = {
    "alexnet": _Entry(
        AlexNet,
        _ALEXNET_SPEC,
        "alexnet.safetensors",
        "1eeba01365a0957ab9ce9b7e2b28de5dcb7d4bf10792e667b1a98d2cdf97324a",
        partial=functools.partial(AlexNet, convolutions_only=True),
        partial_spec=dataclasses.replace(_ALEXNET_SPEC, feature_layer="pool5", logits=None),
        note="AlexNet's fc6, fc7 and fc8 (and so its classes) are not shipped; bring a complete "
        'safetensors file with load("alexnet", weights=FILE) or --weights FILE',
    ),
    "squeezenet": _Entry(
        SqueezeNet,
        NetworkSpec(
            "SqueezeNet",
            _SQUEEZENET,
            first_layer="conv1",
            middle_layer="fire2/expand3x3",
            deep_layers=("fire5/concat", "fire9/concat"),
            feature_layer="fire9/concat",
            logits="pool10",
        ),
        "squeezenet.safetensors",
        "038957f2d0e06c770bd8a21ad103eb345314353c81d17a7ba20fe317a5178d3b",
    ),
}


def networks() -> tuple[str, ...]:
    """The names that `load` knows."""
    return tuple(_REGISTRY)


def shipped_folder() -> Path:
    """Where the shipped weights lie: inside the package when installed, beside it in a clone."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


def shipped_file(name: str) -> tuple[Path, str]:
    """A shipped network's weights file and the sha256 it must have."""
    entry = _REGISTRY[choice(name, "network", _REGISTRY)]
    return shipped_folder() / entry.shipped, entry.sha256


def class_names() -> tuple[str, ...]:
    """The 1000 ImageNet classes in order, each with all its synonyms."""
    text = (shipped_folder() / "imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def load(name: str, *, weights: str | os.PathLike[str] | None = None) -> Network:
    """Load a network with its weights.

    `name` is "alexnet" or "squeezenet". `weights` names a safetensors file to take instead of the
    shipped one; for AlexNet it may be complete, and then gives fc6, fc7 and fc8 (the logits).

    Raises `InputError` if the name is unknown, the shipped file is not the one this version was
    made with (sha256), or any tensor's name, shape or type is not the network's.

    >>> network = load("squeezenet")
    >>> network.layers()["pool10"]
    (1000,)
    """
    entry = _REGISTRY[choice(name, "network", _REGISTRY)]
    path = shipped_file(name)[0] if weights is None else Path(weights)
    file = read_weights(path)
    if weights is None and file.sha256 != entry.sha256:
        raise InputError(f"weights: {path} is damaged: sha256 {file.sha256}, not {entry.sha256}")

    apply, spec = Apply(entry.build), entry.spec
    if entry.partial and entry.partial_spec:
        partial = Apply(entry.partial, entry.note)
        if not set(file.tensors) - set(flat(partial.shapes)):
            apply, spec = partial, entry.partial_spec
    check_tensors(path, file.tensors, flat(apply.shapes))

    params = jax.device_put(nested(file.tensors))
    provenance = {
        **file.metadata,
        "network": name,
        "weights": path.name,
        "sha256": file.sha256,
        "preprocessing": dataclasses.asdict(spec.preprocessing),
    }
    labels = class_names() if spec.logits else ()
    return Network(name, apply, params, spec, labels, provenance)
