"""Networks with their weights: what `load` knows, and what it returns."""

import dataclasses
import difflib
import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
from flax import nnx

from .._checks import InputError, activation_shapes, choice
from .._typing import Outputs, Params
from ..cpu.compilation import compiled, inside_a_trace
from ..pictures.decoding import Source
from ..pictures.preprocessing import preprocess
from .places import cached_weights, shipped_folder
from .specs import REGISTRY, NetworkSpec, Way
from .weights import WeightsFile, check_digest, check_tensors, flat, nested, read_weights

FULL = "full"  # in place of a weights file: complete weights, shipped or fetched


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

    def preprocess(self, sources: Iterable[Source]) -> jax.Array:
        """Decode, resize, crop and normalize pictures: float32 (batch, height, width, 3).

        `sources` is a list of paths, PIL images or uint8 arrays. Raises `InputError` for what
        cannot be read.
        """
        return jnp.asarray(preprocess(sources, self.spec.preprocessing))

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
        """Evaluate the network: compiled, and on CPUs rewritten, outside of any trace."""
        evaluate = self.plain if inside_a_trace() else _compiled_network(self)
        return evaluate(params, images)

    def plain(self, params: Params, images: Any) -> Outputs:
        """Evaluate the network as it is written."""
        graph, state = self._split
        filled = jax.tree.map(lambda leaf: leaf, state)
        nnx.replace_by_pure_dict(filled, params)
        return nnx.merge(graph, filled)(images)


@functools.cache
def _compiled_network(apply: Apply) -> Callable[[Params, Any], Outputs]:
    return compiled(apply.plain)


def networks() -> tuple[str, ...]:
    """The names that `load` knows."""
    return tuple(REGISTRY)


def shipped_networks() -> tuple[str, ...]:
    """The names of those whose weights come with us."""
    return tuple(name for name, entry in REGISTRY.items() if entry.shipped)


def shipped_file(name: str) -> tuple[Path, str]:
    """A shipped network's weights file and the sha256 it must have."""
    entry = REGISTRY[choice(name, "network", REGISTRY)]
    if not entry.shipped:
        raise InputError(f"weights: {name} has none that are shipped; {entry.note}")
    return shipped_folder() / entry.shipped, entry.sha256


def parameter_shapes(name: str) -> tuple[dict[str, Any], ...]:
    """What a network's weights file holds: complete, and cut short where it may be.

    The values have a `shape` and a `dtype`.
    """
    entry = REGISTRY[choice(name, "network", REGISTRY)]
    ways = [entry.full] + ([entry.partial] if entry.partial else [])
    return tuple(flat(Apply(way.build).shapes) for way in ways)


def class_names() -> tuple[str, ...]:
    """The 1000 ImageNet classes in order, each with all its synonyms."""
    text = (shipped_folder() / "imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def load(name: str, *, weights: str | os.PathLike[str] | None = None) -> Network:
    """Load a network with its weights.

    `name` is one of `networks()`. `weights` names a safetensors file to take instead of the
    shipped one; for AlexNet it may be complete, and then gives fc6, fc7 and fc8 (the logits).
    "full" stands for complete weights, which `jaxviz weights get` has fetched where they are not
    shipped; "caffe_alexnet" and "caffenet" take those of themselves.

    Raises `InputError` if the name is unknown, there are no such weights, the shipped file is not
    the one this version was made with (sha256), a fetched one is damaged, the file was ported for
    another network, or any tensor's name, shape or type is not the network's.

    >>> network = load("squeezenet")
    >>> network.layers()["pool10"]
    (1000,)
    """
    path = weights_file(name, weights)
    file = read_weights(path)
    full = weights is not None and os.fspath(weights) == FULL
    if weights is None or full:
        check_origin(path, file)

    way, note = _way(name, path, file)
    if full and way.spec.logits is None:
        raise InputError(f"weights: {path} ends before the classes; {note}")
    apply = Apply(way.build, note)
    check_tensors(path, file.tensors, flat(apply.shapes))

    params = jax.device_put(nested(file.tensors))
    provenance = {
        **file.metadata,
        "network": name,
        "weights": path.name,
        "sha256": file.sha256,
        "preprocessing": dataclasses.asdict(way.spec.preprocessing),
    }
    labels = class_names() if way.spec.logits else ()
    return Network(name, apply, params, way.spec, labels, provenance)


def weights_file(name: str, weights: str | os.PathLike[str] | None = None) -> Path:
    """The file that `load` reads: the one named, else the shipped one, else one fetched."""
    entry = REGISTRY[choice(name, "network", REGISTRY)]
    if weights is not None and os.fspath(weights) != FULL:
        return Path(weights)
    if entry.shipped and (weights is None or entry.partial is None):
        return shipped_file(name)[0]
    fetched = cached_weights(name)
    if fetched is None:
        raise InputError(f"weights: {name} has no complete ones here; {entry.note}")
    return fetched


def check_origin(path: Path, file: WeightsFile) -> None:
    """Refuse a shipped file that is not as shipped, and any whose numbers were damaged."""
    for name in shipped_networks():
        shipped, expected = shipped_file(name)
        if path == shipped and file.sha256 != expected:
            raise InputError(f"weights: {path} is damaged: sha256 {file.sha256}, not {expected}")
    check_digest(path, file)


def verify_weights(path: Path) -> str:
    """Read a file from end to end and check all of it; return the network that it is for."""
    file = read_weights(path)
    check_origin(path, file)
    said = file.metadata.get("network")
    names = networks() if said is None else (choice(said, f"weights: {path}: network", REGISTRY),)
    fits = {name: _closest(name, file) for name in names}
    name = min(fits, key=lambda name: len(fits[name].keys() ^ file.tensors.keys()))
    check_tensors(path, file.tensors, fits[name])
    return name


def _closest(name: str, file: WeightsFile) -> dict[str, Any]:
    return min(parameter_shapes(name), key=lambda one: len(one.keys() ^ file.tensors.keys()))


def _way(name: str, path: Path, file: WeightsFile) -> tuple[Way, str]:
    """How this file is to be run, and a note on what is not there then."""
    entry = REGISTRY[name]
    meant = file.metadata.get("network", name)
    if meant != name and meant in REGISTRY:  # tensors alone would not tell
        raise InputError(f"weights: {path}: made for {meant}, not for {name}")
    geometry = file.metadata.get("geometry")
    if geometry is not None:
        return entry.geometries[
            choice(geometry, f"weights: {path}: geometry", entry.geometries)
        ], ""
    if entry.partial:
        known = flat(Apply(entry.partial.build).shapes)
        if not set(file.tensors) - set(known):
            return entry.partial, entry.note
    return entry.full, ""
