"""The table of our networks: how each is built, what it expects, where its weights come from."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from .._checks import InputError, choice
from .._contract import activation_shapes
from ..pictures.preprocessing import Preprocessing
from .alexnet import AlexNet
from .caffe_alexnet import CaffeAlexNet
from .efficientnet_lite0 import EfficientNetLite0
from .module_function import ModuleFunction
from .places import shipped_folder
from .squeezenet import SqueezeNet
from .weights_files import flat


class Variant(NamedTuple):
    """One way to run a network's weights, and what it offers then: see `Network`."""

    function: ModuleFunction
    title: str
    preprocessing: Preprocessing
    roles: Mapping[str, Any]


class CatalogEntry(NamedTuple):
    """A network in the table.

    `shipped` and `sha256` are the weights file in the package, empty where there is none.
    `convolutions` runs weights that end before the classes. `geometries` are further ways to run a
    complete file, by the `geometry` in its metadata. `note` says how to get what is not shipped.
    """

    complete: Variant
    shipped: str = ""
    sha256: str = ""
    convolutions: Variant | None = None
    geometries: Mapping[str, Variant] = {}
    note: str = ""


_TORCHVISION = Preprocessing(
    resize=256, crop=224, divisor=255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
_SQUEEZENET = Preprocessing(
    resize=256, crop=227, divisor=1, mean=(123.68, 116.779, 103.939), std=(1, 1, 1)
)
_CAFFE = Preprocessing(
    resize=256, crop=227, divisor=1, mean=(122.6789, 116.6688, 104.0070), std=(1, 1, 1)
)
_LITE = Preprocessing(resize=256, crop=224, divisor=1, mean=(127, 127, 127), std=(128, 128, 128))
_MEAN_FILL = {"mean_fill": (0.0, 0.0, 0.0)}  # these subtract the training set's mean
_ALEXNET_ROLES = _MEAN_FILL | {
    "first_layer": "conv1",
    "middle_layer": "conv2",
    "deep_layers": ("conv3", "conv5"),
    "feature_layer": "fc7",
    "logits": "fc8",
}
_SQUEEZENET_ROLES = _MEAN_FILL | {
    "first_layer": "conv1",
    "middle_layer": "fire2/expand3x3",
    "deep_layers": ("fire5/concat", "fire9/concat"),
    "feature_layer": "fire9/concat",
    "logits": "pool10",
}
# ImageNet's mean color, (123.675, 116.28, 103.53), where the network subtracts another.
_LITE_ROLES = {
    "mean_fill": (-0.02597656, -0.08375, -0.18335938),
    "first_layer": "conv_stem",
    "middle_layer": "block1/project",
    "deep_layers": ("block4/add", "conv_head"),
    "feature_layer": "pool",
    "logits": "fc",
}
_ALEXNET_NOTE = (
    "AlexNet's fc6, fc7 and fc8 (and so its classes) are not shipped; fetch them with "
    '`jaxviz weights get alexnet`, then say weights="full" or --weights full; or bring a '
    "complete safetensors file with weights=FILE or --weights FILE"
)


def _caffe(name: str, title: str, *, pool_first: bool = False) -> CatalogEntry:
    """One of Caffe's AlexNets, also with the geometry that ONNX's model zoo gives it."""
    build = functools.partial(CaffeAlexNet, pool_first=pool_first)
    complete = Variant(ModuleFunction(build), title, _CAFFE, _ALEXNET_ROLES)
    smaller = complete._replace(
        function=ModuleFunction(functools.partial(build, ceil_pools=("pool5",))),
        preprocessing=dataclasses.replace(_CAFFE, crop=224),
    )
    note = (
        f"its weights are not shipped; fetch them with `jaxviz weights get {name}`, or port a file "
        "that you have with `jaxviz weights port FILE -o OUT.safetensors` and give it as "
        "weights=OUT or --weights OUT"
    )
    return CatalogEntry(complete, geometries={"224": smaller}, note=note)


CATALOG: Mapping[str, CatalogEntry] = {
    "alexnet": CatalogEntry(
        Variant(ModuleFunction(AlexNet), "AlexNet", _TORCHVISION, _ALEXNET_ROLES),
        "alexnet.safetensors",
        "1eeba01365a0957ab9ce9b7e2b28de5dcb7d4bf10792e667b1a98d2cdf97324a",
        convolutions=Variant(
            ModuleFunction(functools.partial(AlexNet, convolutions_only=True), note=_ALEXNET_NOTE),
            "AlexNet",
            _TORCHVISION,
            _ALEXNET_ROLES | {"feature_layer": "pool5", "logits": None},
        ),
        note=_ALEXNET_NOTE,
    ),
    "squeezenet": CatalogEntry(
        Variant(ModuleFunction(SqueezeNet), "SqueezeNet", _SQUEEZENET, _SQUEEZENET_ROLES),
        "squeezenet.safetensors",
        "038957f2d0e06c770bd8a21ad103eb345314353c81d17a7ba20fe317a5178d3b",
    ),
    "efficientnet_lite0": CatalogEntry(
        Variant(ModuleFunction(EfficientNetLite0), "EfficientNet-Lite0", _LITE, _LITE_ROLES),
        "efficientnet_lite0.safetensors",
        "91179d4e3d924c84edee2a399b0d17cf21ab6cb106f7488445da3943fd980702",
    ),
    "caffe_alexnet": _caffe("caffe_alexnet", "AlexNet (Caffe)"),
    "caffenet": _caffe("caffenet", "CaffeNet", pool_first=True),
}


def networks() -> tuple[str, ...]:
    """The names that `load` knows."""
    return tuple(CATALOG)


def shipped_networks() -> tuple[str, ...]:
    """The names of the networks whose weights are shipped with jaxviz."""
    return tuple(name for name, entry in CATALOG.items() if entry.shipped)


def shipped_file(name: str) -> tuple[Path, str]:
    """A shipped network's weights file and the sha256 it must have."""
    entry = CATALOG[choice(name, "network", CATALOG)]
    if not entry.shipped:
        raise InputError(f"weights: {name} has none that are shipped; {entry.note}")
    return shipped_folder() / entry.shipped, entry.sha256


def parameter_shapes(name: str) -> tuple[dict[str, Any], ...]:
    """What a network's weights file holds: complete, and up to the convolutions where it may be.

    The values have a `shape` and a `dtype`.
    """
    entry = CATALOG[choice(name, "network", CATALOG)]
    variants = [entry.complete] + ([entry.convolutions] if entry.convolutions else [])
    return tuple(flat(variant.function.shapes) for variant in variants)


def nearest_shapes(name: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Of a network's complete and shorter weights the ones whose names are most like these."""
    return min(parameter_shapes(name), key=lambda shapes: len(shapes.keys() ^ tensors.keys()))


def usual_preprocessing(name: str) -> Preprocessing:
    """How a network that is named prepares its pictures, once its weights are complete."""
    return CATALOG[choice(name, "network", CATALOG)].complete.preprocessing


def networks_with_layer(layer: str) -> list[str]:
    """The networks that have a layer of this name once their weights are complete."""
    found = []
    for name, entry in CATALOG.items():
        images = jax.ShapeDtypeStruct((1, *entry.complete.preprocessing.input_shape), "float32")
        function = entry.complete.function
        if layer in activation_shapes(function, function.shapes, images):
            found.append(name)
    return found


def class_names() -> tuple[str, ...]:
    """The 1000 ImageNet classes in order, each with all its synonyms."""
    text = (shipped_folder() / "imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
