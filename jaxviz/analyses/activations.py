"""Where the channels of a layer fire in one picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from .._checks import InputError, count, finite
from .._checks import channels as checked_channels
from ..incremental import ReceptiveField, receptive_field
from ..pictures.decoding import Source
from ..techniques.activations import activation_maps, strongest_channels
from .base import Picture, kind, normalized, number, read_pictures, shown

if TYPE_CHECKING:
    from ..networks.network import Network


@kind("activations", maps="{layer}.maps", pixels="{layer}.pixels")
class ActivationAnalysis(NamedTuple):
    """All maps of a layer for one picture, and the channels that are drawn.

    `pixels` are the picture as the network gets it, `sha256` that of its file (of the pixels where
    there is none). `field` is the receptive field of one unit, in pixels.
    """

    network: str
    layer: str
    picture: str
    path: str
    sha256: str
    pixels: UInt8[np.ndarray, "height width 3"]
    maps: Float[np.ndarray, "rows cols channels"]
    channels: tuple[int, ...]
    field: ReceptiveField

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Layer, sizes, and how many channels fire."""
        rows, cols, number = self.maps.shape
        height, width = self.field.size
        fire = int((self.maps.max(axis=(0, 1)) > 0).sum())
        return [
            ("layer", self.layer),
            ("channels", f"{number}, of {rows} x {cols} units"),
            ("one unit sees", f"{height} x {width} pixels"),
            ("fire somewhere", f"{fire} of {number} channels"),
        ]

    @property
    def alt(self) -> str:
        """What the figure shows, in a sentence."""
        number = len(self.channels)
        return f"{self.picture} in gray, with orange where each of {number} channels fires."

    @property
    def captions(self) -> list[str]:
        """For each channel drawn its number and its largest activation."""
        return [f"channel {c}, up to {number(self.maps[..., c].max())}" for c in self.channels]


def activations(
    network: "Network",
    picture: Source | Picture,
    layer: str,
    *,
    top: int = 9,
    channels: Sequence[int] = (),
) -> ActivationAnalysis:
    """Where the `top` strongest (or the given) channels of a layer fire in a picture.

    Raises `InputError` if the layer is unknown or has no maps, or a channel is not one of its.

    >>> import jaxviz
    >>> gray = np.full((300, 300, 3), 128, np.uint8)
    >>> activations(jaxviz.load("alexnet"), gray, "conv5", top=2).maps.shape
    (13, 13, 256)
    """
    one = read_pictures(network, [picture])[0]
    images = normalized(network, one.pixels[None])
    maps = activation_maps(network.apply, network.params, images, layers=layer)[layer][0]
    finite(maps, f"activations of {layer}")
    if maps.ndim != 3:
        raise InputError(f"layer: {layer} has no maps, its shape is {maps.shape}")
    most = maps.shape[-1]
    chosen = (
        checked_channels(channels, most)
        or strongest_channels(maps, k=min(count(top, "top"), most)).tolist()
    )
    return ActivationAnalysis(
        network=network.spec.title,
        layer=layer,
        picture=one.name,
        path=one.path,
        sha256=one.sha256,
        pixels=shown(network, one.pixels),
        maps=np.asarray(maps),
        channels=tuple(chosen),
        field=receptive_field(network.apply, network.params, images.shape[1:], layer=layer),
    )
