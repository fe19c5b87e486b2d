"""The layers of a network as a table: name, shape, receptive field and kind."""

from collections.abc import Sequence
from typing import NamedTuple

import jax

from .._checks import InputError, image_type
from .._contract import outputs_of, selected
from ..incremental.receptive_field import ReceptiveField, receptive_fields
from ..jaxpr.recording import record
from .naming import kinds_of
from .network import Network


class LayerInfo(NamedTuple):
    """A layer: its name, the shape of its activations for one image, what a unit sees, its kind."""

    name: str
    shape: tuple[int, ...]
    receptive_field: ReceptiveField
    kind: str


class LayerTable(NamedTuple):
    """The layers of a network in the order of the data; it prints as a table."""

    layers: tuple[LayerInfo, ...]

    def __str__(self) -> str:
        rows = [("layer", "shape", "sees", "kind")]
        for one in self.layers:
            field = one.receptive_field
            is_all = field.stride == (0, 0)
            sees = "the whole image" if is_all else f"{field.size[0]} x {field.size[1]} pixels"
            rows.append((one.name, " x ".join(map(str, one.shape)), sees, one.kind))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


def layer_table(network: Network, image_shape: Sequence[int] | None = None) -> LayerTable:
    """List the layers of a network, with what a unit of each sees and what each is.

    image_shape: (height, width, channel); by default what the network was made for.

    >>> from jaxviz import load
    >>> layer_table(load("alexnet")).layers[1].kind
    'pool'
    """
    shapes = network.layers(tuple(image_shape) if image_shape is not None else None)
    given = image_shape or getattr(network.apply, "image_shape", None)
    shape = tuple(given) if given else network.preprocessing.input_shape
    if len(shape) != 3:
        raise InputError(f"image_shape: expected (height, width, channel), got {image_shape}")
    fields = receptive_fields(network.apply, network.params, shape)
    images = jax.ShapeDtypeStruct((2, *shape), image_type(network.params))

    def activations(params: object, images: jax.Array) -> list[jax.Array]:
        outputs = outputs_of(network.apply, params, images)
        return selected(network.apply, outputs, shapes, len(images))

    tape = record(activations, network.params, images).tape
    kinds = kinds_of(tape, network.params)
    layers = [
        LayerInfo(name, shapes[name], fields[name], kind)
        for name, kind in zip(shapes, kinds, strict=True)
    ]
    return LayerTable(tuple(layers))
