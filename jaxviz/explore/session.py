"""What the views of one explorer share: its networks, its pictures, and what was compiled."""

import functools
import json
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import analyses
from .._checks import InputError, unknown
from .._contract import outputs_of, scores_from, selected
from .._typing import Outputs, Params, Score
from ..analyses.channels import ChannelMaxima
from ..analyses.filters import FilterAnalysis
from ..analyses.targets import Target, find_target
from ..cpu.compilation import program
from ..networks.network import Network
from ..networks.table import LayerInfo, layer_table
from ..pictures.sets import ArrayPictures
from ..sweep import ChannelImages, Features, features
from ..techniques.occlusion.mapping import explain_occlusion
from .compiling import Compiling
from .kept import Kept
from .shelf import Shelf, Shelved

MOST_PATCHES = 18
_MOST_COMPARED = 500  # pictures, pixel by pixel
_MOST_KEPT = {
    "programs": 512, "features": 1, "filters": 4, "targets": 512, "shares": 64,
    "layouts": 8, "pixels": 1, "maxima": 8, "gray": 4,
}  # fmt: skip


class Listed(NamedTuple):
    """A patch by the id of its picture and its unit."""

    id: str
    value: float
    row: int
    col: int


class MadeImage(NamedTuple):
    """An image that was made for a channel: uint8 pixels as the network takes them."""

    pixels: np.ndarray
    steps: int


class Session:
    """Networks and pictures, and what is computed of them again and again.

    `network` shows its layers; `classifier` names pictures, and is the network itself where that
    has classes, or None where none fits. Several threads may use a session.
    """

    def __init__(
        self, network: Network, classifier: Network | None, paths: Sequence[Path] = (),
        *, stored: Features | None = None,
        listed: Sequence[Mapping[str, Any]] = (),
        images: Mapping[str, ChannelImages] = types.MappingProxyType({}),
        code: Mapping[str, str] = types.MappingProxyType({}),
    ) -> None:  # fmt: skip
        """Read the pictures, and nothing else yet; `stored` are features of further ones.

        `listed` are patches of further ones, as `jaxviz patches` lists them in its folder; `images`
        are those that were made for channels, by layer, the first of a channel being shown. `code`
        is the Python that loads a network, by its name, where that is not `jaxviz.load(NAME)`.
        """
        self.network = network
        self.classifier = classifier
        named = {one.name: one for one in (network, classifier) if one is not None}
        self.code = {name: f"jaxviz.load({json.dumps(name)})" for name in named} | dict(code)
        self.shelf = Shelf(named.values(), paths)
        self.kept = Kept(_MOST_KEPT)
        self.compiling = Compiling()
        self.stored = stored
        self.listed: dict[tuple[str, int], list[Listed]] = {}
        for one in listed:
            (key,) = self.shelf.know([Path(one["image"])])
            patch = Listed(key, one["value"], one["row"], one["col"])
            self.listed.setdefault((one["layer"], one["channel"]), []).append(patch)
        self.made = {
            (layer, int(channel)): MadeImage(pixels, own.trace.shape[1])
            for layer, own in images.items()
            for channel, pixels in reversed(list(zip(own.channels, own.images, strict=True)))
        }
        self.stored_ids = [] if stored is None else self.shelf.know(stored.paths)

    @functools.cached_property
    def layers(self) -> dict[str, LayerInfo]:
        """The layers of the network by name, in order."""
        return {one.name: one for one in layer_table(self.network).layers}

    def layer(self, name: str) -> LayerInfo:
        """One of them; refuse an unknown name."""
        if name not in self.layers:
            raise InputError(f"layer: {unknown(name, list(self.layers), most=80)}")
        return self.layers[name]

    def activations(self, network: Network, pixels: np.ndarray, layer: str) -> np.ndarray:
        """One layer's activations of a fitted picture."""

        def of_outputs(outputs: Outputs) -> Any:
            return selected(network.apply, outputs, [layer], 1)[0]

        return self._evaluated(network, layer, of_outputs, pixels)

    def shown(self, shelved: Shelved) -> np.ndarray:
        """A picture as people see it, in RGB."""
        return analyses.shown(self.network, shelved.pixels[self.network.name])

    def score(self, network: Network, score: Score, pixels: np.ndarray) -> float:
        """The score of a fitted picture, one number."""
        of_outputs = functools.partial(scores_from, score)
        return float(self._evaluated(network, score, of_outputs, pixels))

    def _evaluated(
        self, network: Network, what: Hashable, of_outputs: Callable[[Outputs], Any],
        pixels: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """What is asked of the outputs of one picture, by a program that is kept."""

        def evaluate(params: Params, pixels: Any) -> Any:
            images = network.preprocessing.normalize(pixels[None])
            return of_outputs(outputs_of(network.apply, params, images))[0]

        return np.asarray(self.run(network, what, evaluate, pixels))

    def run(
        self, network: Network, what: Hashable, function: Callable[..., Any], *arguments: Any
    ) -> Any:
        """`function(params, *arguments)` of a network, by a program that is kept as `what`."""
        key = network.name, what
        made = self.kept.get("programs", key, lambda: program(function, network.params, *arguments))
        return made(network.params, *arguments)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """What the classifier thinks of a picture fitted to it."""
        if self.classifier is None:
            raise InputError(f"classes: {self.network.spec.title} has none")
        logits = self.activations(self.classifier, pixels, self.classifier.role("logits"))
        return np.asarray(jax.nn.softmax(logits))

    def maxima(self, layer: str, check: Callable[[], None]) -> ChannelMaxima:
        """The largest activation of every channel in each picture that was named."""
        return self.kept.get("maxima", layer, lambda: analyses.channel_maxima(
            self.network, self.pictures.pixels, layer, progress=lambda done, total: check()
        ))  # fmt: skip

    def maxima_in_gray(self, layer: str, check: Callable[[], None]) -> ChannelMaxima:
        """The same in the same pictures without their color."""
        return self.kept.get("gray", layer, lambda: analyses.channel_maxima(
            self.network, analyses.in_gray(self.network, self.pictures.pixels), layer,
            progress=lambda done, total: check(),
        ))  # fmt: skip

    def features(self, layer: str) -> np.ndarray:
        """One layer's features of the pictures that were named, (pictures, dim)."""
        self.layer(layer)
        return self.kept.get("features", layer, lambda: np.asarray(features(
            self.network.apply, self.network.params, self.pictures,
            prepare=self.network.preprocessing.normalize, layer=layer,
        ).vectors))  # fmt: skip

    @property
    def raw_pixels(self) -> np.ndarray | None:
        """The pixels of the pictures with features, (pictures, dim); None where they are many."""
        if self.stored is None:
            return self.kept.get("pixels", "", lambda: _rows(self.pictures.pixels))
        if len(self.stored_ids) > _MOST_COMPARED:
            return None
        return self.kept.get("pixels", "", lambda: _rows(np.stack([
            self.shelf[key].pixels[self.network.name] for key in self.stored_ids
        ])))  # fmt: skip

    def filters(self, layer: str) -> FilterAnalysis:
        """All filters of a convolution, scaled to be drawn."""
        self.layer(layer)
        return self.kept.get(
            "filters",
            layer,
            lambda: analyses.filters(self.network, layer, top=10**6, channels=10**6),
        )

    def target(
        self, network: Network, shelved: Shelved, asked: str | None, score: str
    ) -> Target:  # fmt: skip
        """What a name asks about, of a picture."""
        return self.kept.get(
            "targets",
            (network.name, shelved.id, asked, score),
            lambda: find_target(network, asked, shelved.pixels[network.name], score=score),
        )

    def occlusion_share(self, network: Network, target: Target, window: int, stride: int) -> float:
        """How much of the arithmetic of whole passes occlusion takes."""
        key = network.name, kind_of(target), window, stride
        return self.kept.get("shares", key, lambda: float(
            explain_occlusion(
                network.apply, network.params, network.preprocessing.input_shape,
                score=target.score, window=window, stride=stride,
            ).share
        ))  # fmt: skip

    @functools.cached_property
    def pictures(self) -> ArrayPictures:
        """The pictures that were named, as the network gets them."""
        named = self.shelf.named
        if not named:
            raise InputError("pictures: none were named; start the explorer with some")
        return ArrayPictures(np.stack([one.pixels[self.network.name] for one in named]))


def _rows(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(len(pixels), -1).astype(np.float32)


def kind_of(target: Target) -> str:
    """What targets of the same arithmetic have in common: all classes, and all maps of a layer."""
    if target.class_index is not None:
        return target.unit
    layer, _, place = target.name.rpartition(":")
    return ":".join([layer, *place.partition("@")[1:]])
