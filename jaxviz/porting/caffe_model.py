"""Reading Caffe's models: the layers of a net with their weights, in both generations of layers.

Jia et al. 2014, "Caffe: convolutional architecture for fast feature embedding"; the numbers of the
fields are those of its caffe.proto.
"""

import os
from typing import NamedTuple

from .._checks import InputError, choice
from .arrangement import Ported, from_caffe_layout
from .caffe_settings import check_settings
from .protobuf import BYTES, VARINT, Message, Wire
from .source import Source, opened
from .stored import Stored

NETWORKS = ("caffe_alexnet", "caffenet")
_NAMES = {"alexnet": "caffe_alexnet", "caffenet": "caffenet"}  # that Caffe's own nets have
_BEFORE_LAYERS = frozenset(range(1, 9))  # fields of a net besides its layers
_MOST_LAYERS = 1000
# A tensor's numbers lie in one of these fields; the raw ones, and their kind, are NVIDIA's.
_DATA, _DOUBLE_DATA, _RAW_KIND, _RAW_DATA = 5, 8, 10, 12
_RAW_KINDS = {0: "float64", 1: "float32", 2: "float16"}


class _Generation(NamedTuple):
    """Field numbers of one generation of layers."""

    name: int
    kind: int
    bottom: int
    top: int
    blobs: int
    settings: dict[int, str]


_GENERATIONS = {
    100: _Generation(1, 2, 3, 4, 7, {106: "Convolution", 118: "LRN", 121: "Pooling"}),
    2: _Generation(4, 5, 2, 3, 6, {10: "Convolution", 18: "LRN", 19: "Pooling"}),
}
_V1_KINDS = {4: "Convolution", 14: "InnerProduct", 15: "LRN", 17: "Pooling"}


class _Layer(NamedTuple):
    name: str
    kind: str
    bottoms: list[str]
    tops: list[str]
    blobs: list[Message]


def is_caffe(source: Source) -> bool:
    """Whether the file looks like a net of Caffe's with its layers."""
    wire = Wire(source)
    for field in wire.fields(clipped=True):
        if field.number in _GENERATIONS and field.wire == BYTES:
            known = _GENERATIONS[field.number]
            first = next(wire.fields(field, clipped=True), None)
            return first is not None and first.number in (known.name, known.bottom, known.top)
        if field.number not in _BEFORE_LAYERS or (field.number, field.wire) == (1, VARINT):
            return False
    return False


def port_caffe(path: str | os.PathLike[str], *, network: str | None = None) -> Ported:
    """Read a `.caffemodel` with the weights of bvlc_alexnet or bvlc_reference_caffenet.

    Both have the same tensors; the file's own layers tell which it is, and `network` says so where
    they do not. fc6 gets rows in (row, col, channel) order, and conv1 reads RGB.

    Raises `InputError` if the file is damaged, if a tensor is missing or has another shape, or if a
    layer is not set as in these networks.
    """
    if network is not None:
        choice(network, "network", NETWORKS)
    with opened(path) as source:
        return _port(source, network)


def _port(source: Source, network: str | None) -> Ported:
    net = Wire(source).message()
    layers: dict[str, _Layer] = {}
    for number, generation in _GENERATIONS.items():
        for message in net.messages(number):
            layer = _layer(message, generation)
            if layer.name in layers and (layer.blobs or layers[layer.name].blobs):
                raise InputError(f"has two layers of the name {layer.name[:80]!r}")
            layers[layer.name] = layer
            if len(layers) > _MOST_LAYERS:
                raise InputError(f"has more than {_MOST_LAYERS} layers")
    recognized = _network_of(list(layers.values()), net.text(1))
    if recognized and network and recognized != network:
        raise InputError(f"its layers are those of {recognized}, not of {network}")
    network = network or recognized
    if network is None:
        raise InputError(
            "its layers do not tell whether it is caffe_alexnet, which normalizes before it pools, "
            "or caffenet, which pools first; say which with network="
        )
    used: set[str] = set()

    def find(parameter: str, shape: tuple[int, ...]) -> Stored:
        layer, part = parameter.split(".")
        blobs = layers[layer].blobs if layer in layers else []
        if len(blobs) != 2:
            raise InputError(
                f"does not fit {network}: {layer} has {len(blobs)} tensors, expected 2"
            )
        used.add(layer)
        return _blob(blobs[part == "bias"], parameter, shape)

    metadata = {"format": "Caffe model"}
    with_weights = [layer.name for layer in layers.values() if layer.blobs]
    ported = from_caffe_layout(network, find, metadata)
    return ported._replace(left_over=tuple(name[:80] for name in with_weights if name not in used))


def _layer(message: Message, generation: _Generation) -> _Layer:
    kinds = message.all(generation.kind)
    kind = (
        _V1_KINDS.get(kinds[-1].value, "") if kinds and kinds[-1].wire == VARINT
        else message.text(generation.kind)
    )  # fmt: skip
    layer = _Layer(
        message.text(generation.name),
        kind,
        message.texts(generation.bottom),
        message.texts(generation.top),
        message.messages(generation.blobs),
    )
    for number, setting in generation.settings.items():
        for part in message.messages(number):
            check_settings(part, layer.name, setting)
    return layer


def _network_of(layers: list[_Layer], name: str) -> str | None:
    """Which network this is: by what its norms and pools read, by their order, by its name."""
    norms = [layer for layer in layers if layer.kind == "LRN"]
    pools = [layer for layer in layers if layer.kind == "Pooling"]
    orders = set()
    for norm in norms:
        for pool in pools:
            if set(norm.bottoms) & set(pool.tops):
                orders.add("caffenet")
            if set(pool.bottoms) & set(norm.tops):
                orders.add("caffe_alexnet")
    if len(orders) > 1:
        raise InputError("normalizes before one pool and after another, as no known network does")
    if orders:
        return orders.pop()
    if norms and pools:
        return NETWORKS[layers.index(pools[0]) < layers.index(norms[0])]
    return _NAMES.get(name.lower())


def _blob(blob: Message, parameter: str, expected: tuple[int, ...]) -> Stored:
    """One tensor; its shape is a message, or four numbers of which the first may be ones."""
    shape = [side for sides in blob.messages(7)[-1:] for side in sides.integers(1)]
    shape = shape or [blob.integer(number) if blob.all(number) else 1 for number in range(1, 5)]
    ones, sides = shape[: -len(expected)], shape[-len(expected) :]
    if tuple(sides) != expected or any(side != 1 for side in ones):
        raise InputError(f"{parameter} has shape {tuple(shape[:8])}, expected {expected}")
    number, kind = _DATA, "float32"
    if blob.all(_DOUBLE_DATA):
        number, kind = _DOUBLE_DATA, "float64"
    elif blob.all(_RAW_DATA):
        number, kind = _RAW_DATA, _RAW_KINDS.get(blob.integer(_RAW_KIND), "int")
    try:
        return blob.wire.floats(blob.all(number), expected, kind)
    except InputError as error:
        raise InputError(f"{parameter} {error}") from None
