"""What other programs call the tensors of networks that we know by other names."""

import functools
import re
from collections.abc import Mapping

from .._checks import InputError
from ..networks import catalog
from ..networks.weights_files import flat
from .stored import Stored

_PARTS = {"weight": "kernel", "bias": "bias"}  # of a layer: theirs, ours
_TORCHVISION_ALEXNET = {
    "features.0": "conv1",
    "features.3": "conv2",
    "features.6": "conv3",
    "features.8": "conv4",
    "features.10": "conv5",
    "classifier.1": "fc6",
    "classifier.4": "fc7",
    "classifier.6": "fc8",
}
_TORCHVISION_SQUEEZENET = re.compile(r"(^|\.)features\.\d+\.squeeze\.")

# Of EfficientNet-Lite in torch: a convolution, and the batch norm after it.
_LITE_LAYERS = {
    "conv_stem": ("_conv_stem", "_bn0"),
    "conv_head": ("_conv_head", "_bn1"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
_NORM_PARTS = {
    "scale": "weight", "bias": "bias", "mean": "running_mean", "variance": "running_var",
}  # fmt: skip


def _lite_name(name: str) -> str:
    """The name in torch of a parameter of EfficientNet-Lite0."""
    *block, layer, part = name.split(".")
    if layer == "fc":
        return f"_fc.{'weight' if part == 'kernel' else part}"
    convolution, norm = _LITE_LAYERS[layer]
    before = f"_blocks.{block[0].removeprefix('block')}." if block else ""
    is_kernel = part == "kernel"
    return f"{before}{convolution}.weight" if is_kernel else f"{before}{norm}.{_NORM_PARTS[part]}"


@functools.cache
def foreign_names() -> Mapping[str, Mapping[str, str]]:
    """By network our name of each parameter, and theirs.

    Kernels are (out, in, height, width) there.
    """
    alexnet = {
        f"{layer}.{ours}": f"{their}.{part}"
        for their, layer in _TORCHVISION_ALEXNET.items()
        for part, ours in _PARTS.items()
    }
    ours = flat(catalog.CATALOG["efficientnet_lite0"].complete.function.shapes)
    return {"alexnet": alexnet, "efficientnet_lite0": {name: _lite_name(name) for name in ours}}


def foreign_network(tensors: Mapping[str, Stored]) -> str | None:
    """The network that has most of these tensors by its foreign names; None if none has any."""
    if any(_TORCHVISION_SQUEEZENET.search(name) for name in tensors):
        raise InputError(
            "holds torchvision's SqueezeNet, which expects other pictures than ours; of "
            "torchvision's networks AlexNet is read"
        )
    counts = {
        network: len(set(names.values()) & tensors.keys())
        for network, names in foreign_names().items()
    }
    best = max(counts, key=lambda network: counts[network])
    return best if counts[best] else None
