"""Images that were made to excite channels, and how strongly they do."""

import functools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from .. import sweep
from .._asked import by_chunks
from .._checks import count
from .._contract import outputs_of
from .._typing import Params, Progress
from ..cpu.compilation import evaluate
from .base import channel_titles, kind, number, provenance, shown
from .patch_pages import PatchPage, numbered_pages

if TYPE_CHECKING:
    from ..networks.network import Network

_CHUNK = 8  # images whose activations are measured at a time


@kind(
    "feature images",
    images="{layer}.made", channels="{layer}.channels", peaks="{layer}.peaks",
    scores="{layer}.scores", trace="{layer}.trace",
)  # fmt: skip
class FeatureImageAnalysis(NamedTuple):
    """Images made for channels of a layer, in RGB.

    For each image: its channel, the title above it, the channel's largest activation on it
    (`peaks`), its mean over the channel's places (`scores`), and that of the moved image before
    each step (`trace`). Of one channel there are `variants`, one after the other; `negative` says
    that they were made to lower it. `rows_a_page` is how many rows of images a page has; `page`
    counts from 1, or is 0 if it is the only one.
    """

    network: str
    layer: str
    images: UInt8[np.ndarray, "num height width 3"]
    channels: Int[np.ndarray, " num"]
    titles: tuple[str, ...]
    peaks: Float[np.ndarray, " num"]
    scores: Float[np.ndarray, " num"]
    trace: Float[np.ndarray, "num steps"]
    variants: int
    negative: bool
    parametrization: str
    rows_a_page: int
    page: int

    @property
    def columns(self) -> int:
        """How many images stand in a row; variants of a channel stay together."""
        return self.variants * max(1, 6 // self.variants)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The layer, how the images were made, and how strongly the channels answer."""
        low, high = self.peaks.min(), self.peaks.max()
        return [
            ("layer", self.layer),
            ("images", f"{len(self.images)}, {self.trace.shape[1]} steps, {self.parametrization}"),
            (
                "largest activations",
                number(low) if low == high else f"{number(low)} to {number(high)}",
            ),
        ]

    @property
    def alt(self) -> str:
        """What the figure shows."""
        what = "lower" if self.negative else "excite"
        return f"{len(self.images)} images that were made to {what} channels of {self.layer}."

    @property
    def pages(self) -> "Iterator[FeatureImageAnalysis]":
        """The pages that came at once."""
        per_image = ("images", "channels", "titles", "peaks", "scores", "trace")
        for page, first, last in numbered_pages(len(self.images), self.rows_a_page * self.columns):
            values = {name: getattr(self, name)[first:last] for name in per_image}
            yield self._replace(**values, page=page)


def feature_images(
    network: "Network",
    *,
    layer: str,
    channels: Sequence[int] = (),
    variants: int = 1,
    negative: bool = False,
    steps: int = 256,
    parametrization: str = "phases",
    seed: int = 0,
    rows: int = 8,
    batch_size: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    part: sweep.Part = sweep.ALONE,
    progress: Progress | None = None,
) -> FeatureImageAnalysis:
    """Make images that excite channels of a layer, and measure how strongly they do.

    Args:
        network: what `jaxviz.load` returns.
        layer: an exact name; the channels of the layer of class scores are the classes.
        channels: for these; by default for all.
        variants: images for each channel, that differ.
        negative: make what lowers the channels instead.
        steps: of gradient ascent.
        parametrization: "phases", "fourier" or "pixels", as for `jaxviz.feature_images`.
        seed: of all that is random.
        rows: rows of images on a page.
        batch_size: images made at a time on each device.
        folder: where `jaxviz.sweep.feature_images` keeps them; work begun there is taken up again.
        part: which of several processes this is.
        progress: called with (images done, images of this process in all).

    Raises:
        InputError: any of these is not as above.

    >>> import jaxviz
    >>> network = jaxviz.load("alexnet")
    >>> found = feature_images(network, layer="conv1", channels=[3, 5], steps=2)
    >>> found.images.shape, found.titles
    ((2, 224, 224, 3), ('channel 3', 'channel 5'))
    """
    count(rows, "rows")
    options = {"layer": layer, "steps": steps, "parametrization": parametrization, "seed": seed}
    made = sweep.feature_images(
        network.apply, network.params, layers=layer, key=jax.random.key(seed),
        image_shape=network.preprocessing.fitted_shape, prepare=network.preprocessing.normalize,
        channels=channels if len(channels) else None, negative=negative, variants=variants,
        steps=steps, parametrization=parametrization, batch_size=batch_size, folder=folder,
        part=part, progress=progress, provenance={"provenance": provenance(network, options)},
    )[layer]  # fmt: skip
    return FeatureImageAnalysis(
        network=network.spec.title,
        layer=layer,
        images=shown(network, np.asarray(made.images)),
        channels=made.channels,
        titles=channel_titles(network, layer, made.channels.tolist()),
        peaks=_peaks(network, layer, made),
        scores=made.scores,
        trace=np.asarray(made.trace),
        variants=variants,
        negative=negative,
        parametrization=parametrization,
        rows_a_page=rows,
        page=0,
    )


def beside_patches(page: PatchPage, made: Sequence[FeatureImageAnalysis]) -> PatchPage:
    """The page with an image for each of its channels, of those that were made."""
    found = {
        channel: (image, peak)
        for one in made
        for channel, image, peak in zip(one.channels.tolist(), one.images, one.peaks, strict=True)
    }
    images, peaks = zip(*(found[channel] for channel in page.channels.tolist()), strict=True)
    return page._replace(imagined=np.stack(images), imagined_peaks=np.stack(peaks))


def _peaks(network: "Network", layer: str, made: sweep.ChannelImages) -> np.ndarray:
    """The largest activation of each image's own channel."""

    def largest(params: Params, pixels: Any, channels: Any) -> Any:
        values = outputs_of(network.apply, params, network.preprocessing.normalize(pixels))[layer]
        peaks = values.max(axis=tuple(range(1, values.ndim - 1)))
        return jnp.take_along_axis(peaks, channels[:, None], axis=1)[:, 0]

    def of_all(params: Params, pixels: Any, channels: Any) -> Any:
        return by_chunks(functools.partial(largest, params), (pixels, channels), _CHUNK)

    return np.asarray(evaluate(of_all, network.params, np.asarray(made.images), made.channels))
