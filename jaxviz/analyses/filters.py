"""A layer's filters, as pictures: in color where they read the image, else channel by channel."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from .._checks import count
from ..techniques.filters import filter_slices, filter_tiles
from .base import kind, number

if TYPE_CHECKING:
    from ..networks.network import Network


@kind("filters", weights="{layer}.{form}")
class FilterAnalysis(NamedTuple):
    """All filters of a layer, scaled to values from 0 to 1, and how many of them are drawn.

    `weights` are pictures (filters, height, width, 3) where `form` is "filters", and slices
    (filters, channels, height, width) where it is "slices". `num_filters` and, of slices,
    `num_channels` are drawn. `largest_weight` is the largest magnitude before scaling;
    `channel_names` are those of the image's channels, of slices that read an image of named ones.
    """

    network: str
    layer: str
    form: str
    weights: Float[np.ndarray, "filters _ _ _"]
    num_filters: int
    num_channels: int
    largest_weight: float
    channel_names: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int, int]:
        """Height, width and input channels of a filter."""
        first, second, third = self.weights.shape[1:]
        if self.form == "filters":
            return first, second, self.num_channels
        return second, third, first

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Layer, number, size and largest weight."""
        return [
            ("layer", self.layer),
            ("filters", str(len(self.weights))),
            ("size", " x ".join(map(str, self.size))),
            ("largest weight", number(self.largest_weight)),
        ]

    @property
    def alt(self) -> str:
        """What the figure shows, in a sentence."""
        number = self.num_filters
        if self.form == "filters":
            kind = "gray" if self.num_channels == 1 else "color"
            return f"{number} small {kind} pictures, each a first-layer filter of {self.network}."
        return (
            f"Rows of small gray squares: a row for each of {number} filters of {self.layer}, "
            "a square for each input channel."
        )


def filters(network: "Network", layer: str, *, top: int, channels: int = 16) -> FilterAnalysis:
    """The first `top` filters of a layer; of those that read no image, the first `channels` inputs.

    Raises `InputError` if the layer is no convolution.

    >>> import jaxviz
    >>> filters(jaxviz.load("alexnet"), "conv1", top=8).weights.shape
    (64, 11, 11, 3)
    """
    kernel = network.kernel(layer)
    inputs, outputs = kernel.shape[2:]
    # Of color pictures, or of gray ones; other filters are shown channel by channel.
    colors = _colors(network, inputs)
    as_pictures = layer == network.spec.first_layer and bool(colors)
    if as_pictures:
        kernel = np.asarray(kernel)[:, :, colors]
    return FilterAnalysis(
        network=network.spec.title,
        layer=layer,
        form="filters" if as_pictures else "slices",
        weights=np.asarray((filter_tiles if as_pictures else filter_slices)(kernel)),
        num_filters=min(count(top, "top"), outputs),
        num_channels=min(count(channels, "channels"), inputs),
        largest_weight=float(abs(kernel).max()),
        channel_names=_channel_names(network, layer, inputs),
    )


def _colors(network: "Network", inputs: int) -> list[int]:
    """Which inputs of the first layer are drawn as red, green and blue; none if it reads others.

    One that reads some channels of an image at a time, in groups, reads no colors.
    """
    preprocessing = network.spec.preprocessing
    if inputs not in (1, 3) or (preprocessing and preprocessing.input_shape[2] != inputs):
        return []
    if preprocessing:
        return preprocessing.rgb_channels
    return [0, 1, 2] if inputs == 3 else [0, 0, 0]


def _channel_names(network: "Network", layer: str, inputs: int) -> tuple[str, ...]:
    """The letters of the image's channels, if the layer reads all and they are no colors."""
    preprocessing = network.spec.preprocessing
    if layer != network.spec.first_layer or not preprocessing or preprocessing.samples != inputs:
        return ()
    return tuple(preprocessing.channels.replace(".", " "))
