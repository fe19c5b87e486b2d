"""What a channel does besides its maximum: its spread over many pictures, and without color."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .._checks import InputError, count
from .._statistics import correlation
from .._typing import Progress
from ..cpu.compilation import program
from ..techniques.activations import activation_maps

if TYPE_CHECKING:
    from ..networks.network import Network

_BATCH = 8  # pictures at a time
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


class ChannelMaxima(NamedTuple):
    """The largest activation of each picture in each channel, and where it is.

    All arrays are (pictures, channels). `rows` and `cols` are 0 for a layer without space; where a
    layer has one or three axes of places, `rows` counts them in order. `means` are those of the
    maps, negative activations counted as zero.
    """

    values: Float[np.ndarray, "pictures channels"]
    rows: Int[np.ndarray, "pictures channels"]
    cols: Int[np.ndarray, "pictures channels"]
    means: Float[np.ndarray, "pictures channels"]


def channel_maxima(
    network: "Network",
    pixels: np.ndarray,
    layer: str,
    *,
    batch_size: int = _BATCH,
    progress: Progress | None = None,
) -> ChannelMaxima:
    """The largest activation of every channel in each of many pictures.

    Args:
        network: what `jaxviz.load` returns.
        pixels: fitted uint8 pictures, (pictures, height, width, samples).
        layer: an exact name.
        batch_size: pictures at a time.
        progress: called with (pictures done, pictures in all).

    Raises:
        InputError: there are no pictures, or the layer is unknown.

    >>> import jaxviz
    >>> pixels = np.full((2, 224, 224, 3), 128, np.uint8)
    >>> channel_maxima(jaxviz.load("alexnet"), pixels, "conv5").values.shape
    (2, 256)
    """
    if not len(pixels):
        raise InputError("pictures: expected at least one, got none")
    size, found = min(count(batch_size, "batch_size"), len(pixels)), []
    run: Callable[..., np.ndarray] | None = None
    for start in range(0, len(pixels), size):
        some = pixels[start : start + size]
        full = some[np.arange(size) % len(some)]  # one shape, so one compiled program
        run = run or program(
            lambda params, pixels: activation_maps(
                network.apply, params, network.preprocessing.normalize(pixels), layers=layer
            )[layer],
            network.params, full,
        )  # fmt: skip
        maps = np.asarray(run(network.params, full))[: len(some)]
        width = maps.shape[2] if maps.ndim == 4 else 1
        flat = maps.reshape(len(some), -1, maps.shape[-1])
        places = flat.argmax(axis=1).astype(np.int32)
        found.append((
            flat.max(axis=1), places // width, places % width, np.maximum(flat, 0).mean(axis=1),
        ))  # fmt: skip
        if progress:
            progress(start + len(some), len(pixels))
    return ChannelMaxima(*(np.concatenate(one) for one in zip(*found, strict=True)))


class Tenths(NamedTuple):
    """Numbers by the tenths of their range, from the lowest.

    `edges` (11,) bound the tenths, `counts` (10,) say how many numbers are in each, and `examples`
    (10, k) are the places of those nearest to its middle, -1 where there are fewer.
    """

    edges: Float[np.ndarray, " 11"]
    counts: Int[np.ndarray, " 10"]
    examples: Int[np.ndarray, "10 k"]


def tenths(values: np.ndarray, *, k: int = 3) -> Tenths:
    """Sort numbers, such as the maxima of a channel, into the tenths of their range.

    >>> found = tenths(np.array([0.0, 1.0, 9.0, 9.4, 10.0]), k=2)
    >>> found.counts.tolist(), found.examples[9].tolist()
    ([1, 1, 0, 0, 0, 0, 0, 0, 0, 3], [3, 2])
    """
    k = count(k, "k")
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise InputError("values: expected a row of numbers, at least one and all finite")
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high, 11)
    which = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, 9)
    examples = np.full((10, k), -1)
    for tenth in range(10):
        (own,) = np.nonzero(which == tenth)
        far = np.abs(values[own] - (edges[tenth] + edges[tenth + 1]) / 2)
        nearest = own[np.argsort(far, kind="stable")][:k]
        examples[tenth, : len(nearest)] = nearest
    return Tenths(edges, np.bincount(which, minlength=10), examples)


def in_gray(network: "Network", pixels: np.ndarray) -> np.ndarray:
    """Fitted uint8 pictures without their color: each sample is the luminance.

    Raises `InputError` where the network takes other samples than red, green and blue.

    >>> import jaxviz
    >>> in_gray(jaxviz.load("alexnet"), np.uint8([[[255, 0, 0]]])).tolist()
    [[[76, 76, 76]]]
    """
    preprocessing = network.preprocessing
    if preprocessing.samples is not None or preprocessing.channels == "gray":
        raise InputError(f"color: {network.spec.title} does not take red, green and blue")
    luminance = pixels @ np.array(_LUMINANCE)
    return np.repeat(np.rint(luminance)[..., None], 3, axis=-1).astype(np.uint8)


class ColorResponse(NamedTuple):
    """How much of a channel is left without color, over many pictures.

    `ratio` is the sum over the pictures of the largest activations in gray, divided by that in
    color, and `map_ratio` is the same of the maps' means; negative activations count as zero.
    `weaker` is in how many pictures the maximum is lower in gray, of the `pictures` in which the
    channel fires in color or in gray. The ratios are NaN where it fires in none in color.
    `correlation` is that of the maxima in gray and in color.
    """

    ratio: float
    map_ratio: float
    weaker: int
    correlation: float
    pictures: int


def color_response(color: ChannelMaxima, gray: ChannelMaxima, channel: int) -> ColorResponse:
    """Compare a channel's maxima in pictures with those in the same pictures `in_gray`.

    >>> ones = np.ones((2, 1), np.float32)
    >>> full = ChannelMaxima(ones, 0 * ones, 0 * ones, ones)
    >>> color_response(full, full._replace(values=ones / 2), 0).ratio
    0.5
    """
    values, without = (np.maximum(one.values[:, channel], 0, dtype=np.float64)
                       for one in (color, gray))  # fmt: skip
    fires = (values > 0) | (without > 0)
    nan = float("nan")
    if not values.any():
        return ColorResponse(nan, nan, 0, nan, int(fires.sum()))
    means = gray.means[:, channel].sum(dtype=np.float64)
    return ColorResponse(
        ratio=float(without.sum() / values.sum()),
        map_ratio=float(means / color.means[:, channel].sum(dtype=np.float64)),
        weaker=int((without < values).sum()),
        correlation=float(correlation(color.values[:, channel], gray.values[:, channel])),
        pictures=int(fires.sum()),
    )
