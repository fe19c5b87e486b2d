"""The table of our networks: how each is built, what it expects, where its weights come from."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from flax import nnx

from ..pictures.preprocessing import Preprocessing
from .alexnet import AlexNet
from .caffe_alexnet import CaffeAlexNet
from .squeezenet import SqueezeNet


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
    preprocessing: Preprocessing
    first_layer: str
    middle_layer: str
    deep_layers: tuple[str, str]
    feature_layer: str
    logits: str | None
    mean_fill: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Way(NamedTuple):
    """One way to run a network's weights, and what it offers then."""

    build: Callable[..., nnx.Module]
    spec: NetworkSpec


class Entry(NamedTuple):
    """A network in the table.

    `shipped` and `sha256` are the file that comes with us, empty where none does. `partial` is for
    weights that end before the classes. `geometries` are further ways to run a complete file, by
    the `geometry` in its metadata. `note` says how to bring what is not shipped.
    """

    full: Way
    shipped: str = ""
    sha256: str = ""
    partial: Way | None = None
    geometries: Mapping[str, Way] = {}
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
_CAFFE_224 = dataclasses.replace(_CAFFE, crop=224)
_ALEXNET_SPEC = NetworkSpec(
    "AlexNet",
    _TORCHVISION,
    first_layer="conv1",
    middle_layer="conv2",
    deep_layers=("conv3", "conv5"),
    feature_layer="fc7",
    logits="fc8",
)
_CAFFE_ALEXNET_SPEC = dataclasses.replace(
    _ALEXNET_SPEC, title="AlexNet (Caffe)", preprocessing=_CAFFE
)
_CAFFENET_SPEC = dataclasses.replace(_CAFFE_ALEXNET_SPEC, title="CaffeNet")
_BRING = (
    "its weights are not shipped; fetch them with `jaxviz weights get {0}`, or port a file that "
    "you have with `jaxviz weights port FILE -o OUT.safetensors` and give it as weights=OUT or "
    "--weights OUT"
)

REGISTRY: Mapping[str, Entry] = {
    "alexnet": Entry(
        Way(AlexNet, _ALEXNET_SPEC),
        "alexnet.safetensors",
        "1eeba01365a0957ab9ce9b7e2b28de5dcb7d4bf10792e667b1a98d2cdf97324a",
        partial=Way(
            functools.partial(AlexNet, convolutions_only=True),
            dataclasses.replace(_ALEXNET_SPEC, feature_layer="pool5", logits=None),
        ),
        note="AlexNet's fc6, fc7 and fc8 (and so its classes) are not shipped; fetch them with "
        '`jaxviz weights get alexnet`, then say weights="full" or --weights full; or bring a '
        "complete safetensors file with weights=FILE or --weights FILE",
    ),
    "squeezenet": Entry(
        Way(
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
        ),
        "squeezenet.safetensors",
        "038957f2d0e06c770bd8a21ad103eb345314353c81d17a7ba20fe317a5178d3b",
    ),
    "caffe_alexnet": Entry(
        Way(CaffeAlexNet, _CAFFE_ALEXNET_SPEC),
        geometries={
            "224": Way(  # the graph that ONNX's model zoo has
                functools.partial(CaffeAlexNet, ceil_pools=("pool5",)),
                dataclasses.replace(_CAFFE_ALEXNET_SPEC, preprocessing=_CAFFE_224),
            )
        },
        note=_BRING.format("caffe_alexnet"),
    ),
    "caffenet": Entry(
        Way(
            functools.partial(CaffeAlexNet, pool_first=True),
            _CAFFENET_SPEC,
        ),
        geometries={
            "224": Way(
                functools.partial(CaffeAlexNet, pool_first=True, ceil_pools=("pool5",)),
                dataclasses.replace(_CAFFENET_SPEC, preprocessing=_CAFFE_224),
            )
        },
        note=_BRING.format("caffenet"),
    ),
}
