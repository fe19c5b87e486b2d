"""One channel on the pictures of a collection that excite it most."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from .._checks import InputError, channels
from ..incremental import ReceptiveField, receptive_field
from ..pictures.sets import PictureSet
from ..sweep import Features
from .base import distinct_names, kind, number
from .collection import ShownPictures, names_of, read_shown

if TYPE_CHECKING:
    from ..networks.network import Network


@kind("channel pictures", maps="{layer}.{channel}.maps")
class ChannelPictures(NamedTuple):
    """Where one channel fires in the pictures that excite it most.

    `peaks` are the channel's largest activations in all pictures of the collection; `maps` those
    of the pictures `shown`, in the same order.
    """

    network: str
    layer: str
    channel: int
    folder: str
    paths: Shaped[np.ndarray, "pictures"]
    peaks: Float[np.ndarray, "pictures"]
    shown: ShownPictures
    maps: Float[np.ndarray, "shown rows cols"]
    field: ReceptiveField

    @property
    def facts(self) -> list[tuple[str, str]]:
        """How much the channel is excited by the first three pictures, and by the median one."""
        first = np.argsort(-self.peaks, kind="stable")[:3]
        names = distinct_names([Path(self.paths[i]) for i in first])
        ranked = zip(names, map(number, self.peaks[first]), strict=True)
        return [*ranked, ("the median picture", number(np.median(self.peaks)))]

    @property
    def alt(self) -> str:
        """What the figure shows."""
        number_shown = len(self.maps)
        return f"{number_shown} pictures in gray, with orange where channel {self.channel} fires."


def channel_pictures(
    network: "Network", features: Features, pictures: PictureSet, *, channel: int, top: int = 9
) -> ChannelPictures:
    """Find the `top` pictures that excite a channel most: what do its places have in common?

    `features` are `jaxviz.sweep.features` of `pictures`, from a layer that has maps.
    """
    layer = features.manifest["layer"]
    shape = network.layers()[layer]
    if len(shape) != 3:
        raise InputError(f"layer: {layer} has no maps, its shape is {shape}")
    channels([channel], shape[-1])
    maps = features.vectors.reshape(-1, *shape)[..., channel]
    peaks = maps.max(axis=(1, 2))
    best = np.sort(np.argsort(-peaks, kind="stable")[:top])
    image_shape = network.preprocessing.input_shape
    return ChannelPictures(
        network.spec.title,
        layer,
        channel,
        *names_of(features.paths),
        peaks,
        read_shown(network, pictures, best.tolist(), paths=features.paths),
        maps[best],
        receptive_field(network.apply, network.params, image_shape, layer=layer),
    )
