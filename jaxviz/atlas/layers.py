"""The files of one layer: its numbers, and sheets of its patches, filters and made images."""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import analyses
from .._checks import InputError
from .._prefetch import prefetch
from ..analyses.base import channel_titles
from ..files import write_whole
from ..networks.network import Network
from ..networks.table import LayerInfo
from ..pictures.sets import PictureSet
from ..sweep import ChannelImages, LabelMeans
from ..techniques.patches import TopPatches, crop
from .sheets import Sheets, exact_sheets, mosaic, photograph_sheets, resized

_BEST, _MORE, _ACROSS = 128, 16, 16  # channels on a sheet of the best patches, and of the others
_MOST_LABELS = 12  # that a channel's page lists; with them the files grow
_LARGER = 126  # pixels of the longer side of whole pictures and made images
_MOST_SLICES = 512  # of a filter
_KEPT = 1024  # pictures in memory, 150 kB each for our networks


class Photographs:
    """The pictures of a set by number, in RGB; the last ones that were asked for stay in memory."""

    def __init__(self, network: Network, pictures: PictureSet) -> None:
        @functools.lru_cache(maxsize=_KEPT)
        def whole(number: int) -> np.ndarray:
            return analyses.shown(network, pictures.picture(number).pixels)

        @functools.lru_cache(maxsize=_KEPT)
        def small(number: int, height: int, width: int) -> np.ndarray:
            return resized(whole(number), (height, width))

        self._whole, self._small = whole, small

    def whole(self, number: int) -> np.ndarray:
        """A picture as the network gets it."""
        return self._whole(number)

    def patch(
        self, number: int, box: tuple[int, int, int, int], size: tuple[int, int]
    ) -> np.ndarray:
        """A box of a picture in another size (height, width); what lies outside is black.

        The picture is made smaller once for all patches of a layer, so that they begin at the
        nearest pixel of the smaller one.
        """
        pixels = self._whole(number)
        top, left, bottom, right = box
        scales = size[0] / (bottom - top), size[1] / (right - left)
        if max(scales) >= 1:  # of one that sees less than others of its layer, too
            return resized(crop(pixels, box), size)
        height, width = (
            max(round(side * scale), 1)
            for side, scale in zip(pixels.shape[:2], scales, strict=True)
        )
        top, left = round(top * height / pixels.shape[0]), round(left * width / pixels.shape[1])
        small = self._small(number, height, width)
        return crop(small, (top, left, top + size[0], left + size[1]))


def script(key: str, content: Any) -> bytes:
    r"""Data as a script that hands it to the page, as a page of files may fetch no other kind.

    >>> script("labels", ["é"])
    b'take("labels",["\\u00e9"]);\n'
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return f"take({json.dumps(key)},{text});\n".encode()


def plain(values: np.ndarray, digits: int | None = None) -> list[Any]:
    """Numbers as JSON has them: the shortest that are the same; None for what is not finite.

    >>> plain(np.array([[0.1, -np.inf]], np.float32)), plain(np.array([1 / 3]), digits=2)
    ([[0.1, None]], [0.33])
    """
    if values.ndim > 1:
        return [plain(one, digits) for one in values]
    if digits:
        texts = [f"{value:.{digits}g}" for value in values.tolist()]
    else:
        texts = [str(value) for value in values]
    return [
        float(text) if ok else None for text, ok in zip(texts, np.isfinite(values), strict=True)
    ]


def write_layer(
    folder: Path,
    key: str,
    network: Network,
    info: LayerInfo,
    best: TopPatches,
    means: LabelMeans,
    *,
    numbers: np.ndarray,
    photographs: Photographs,
    labeled: bool = False,
    made: ChannelImages | None = None,
) -> None:
    """Write a layer's sheets into `folder`, then its numbers beside it as a script.

    `numbers` has the number that the page knows each picture by, and last -1, for where there is
    none; `labeled` says whether they have labels.
    """
    content: dict[str, Any] = {
        "values": plain(best.values),
        "pictures": numbers[best.images].tolist(),
        "rows": best.rows.tolist(), "cols": best.cols.tolist(),
        "mean": plain(means.mean, 4), "deviation": plain(means.deviation, 4),
        "sheets": {
            **_patches(folder, info, best, photographs),
            **_filters(folder, network, info.name, len(best.values)),
        },
    }  # fmt: skip
    if info.name == network.spec.logits:
        content["titles"] = channel_titles(network, info.name, range(len(best.values)))
        content["classes"] = network.labels or content["titles"]  # with all names of each
    if labeled:
        content |= _labels(means)
    if made is not None:
        images = made.images
        layout = photograph_sheets(images.shape[1:3], across=4, number=_MORE, largest=_LARGER)

        def picture(place: int) -> np.ndarray:
            return resized(analyses.shown(network, np.asarray(images[place])), layout.size)

        content["sheets"]["made"] = _written(folder, "made", layout, len(images), picture)
        content["scores"] = plain(made.scores, 4)
    write_whole(folder.with_name(f"{folder.name}.js"), script(key, content))


def _labels(means: LabelMeans) -> dict[str, Any]:
    """Of each channel the labels that it answers to most, the strongest first."""
    association = means.association.T  # (channels, labels)
    order = np.argsort(-association, axis=1, kind="stable")[:, :_MOST_LABELS]
    return {
        "labels": order.tolist(),
        "associations": plain(np.take_along_axis(association, order, 1), 3),
        "labelMeans": plain(np.take_along_axis(means.by_label.T, order, 1), 3),
    }


def _written(
    folder: Path, name: str, layout: Sheets, total: int, picture: Callable[[int], np.ndarray]
) -> dict[str, Any]:
    """Write the sheets of so many pictures, several at a time; say how they are laid out."""

    def write(first: int) -> None:
        places = range(first, min(first + layout.number, total))
        data = layout.file([picture(place) for place in places])
        path = folder / f"{name}-{first // layout.number}.{layout.ending}"
        write_whole(path, data)

    for _ in prefetch(write, range(0, total, layout.number)):
        pass
    return {**layout._asdict(), "total": total}


def _patches(
    folder: Path, info: LayerInfo, best: TopPatches, photographs: Photographs
) -> dict[str, Any]:
    """The best patch of each channel on sheets of their own, which a wall needs, and the others."""
    field = info.receptive_field
    channels, k = best.images.shape

    def patch(layout: Sheets, channel: int, rank: int) -> np.ndarray:
        number = int(best.images[channel, rank])
        if number < 0:
            return np.full((*layout.size, 3), 128, np.uint8)
        box = field.box(int(best.rows[channel, rank]), int(best.cols[channel, rank]))
        return photographs.patch(number, box, layout.size)

    first = photograph_sheets(field.size, across=_ACROSS, number=_BEST)
    found = {"best": _written(folder, "best", first, channels, lambda one: patch(first, one, 0))}
    if k > 1:
        others = k - 1
        rest = photograph_sheets(field.size, across=others, number=_MORE * others)
        found["more"] = _written(
            folder, "more", rest, channels * others,
            lambda place: patch(rest, place // others, place % others + 1),
        )  # fmt: skip
    return found


def _filters(folder: Path, network: Network, layer: str, channels: int) -> dict[str, Any]:
    """The filters of a convolution, in color or slice by slice; none of other layers."""
    try:
        found = analyses.filters(network, layer, top=channels)
    except InputError:
        return {}
    if len(found.weights) != channels:
        return {}
    if found.form == "filters":
        pictures = np.rint(np.clip(found.weights, 0, 1) * 255).astype(np.uint8)
        size = pictures.shape[1:3]
    else:
        slices = found.weights[:, :_MOST_SLICES]
        pictures, size = slices, mosaic(slices[0]).shape[:2]

    def picture(place: int) -> np.ndarray:
        return pictures[place] if found.form == "filters" else mosaic(pictures[place])

    layout = exact_sheets((size[0], size[1]), across=8, number=64)
    told = _written(folder, "filters", layout, channels, picture)
    return {"filters": {**told, "form": found.form, "inputs": found.weights.shape[1]}}


def picture_order(found: Sequence[TopPatches], total: int) -> np.ndarray:
    """The pictures among the top patches, those of most channels first."""
    times = np.zeros(total, np.int64)
    for one in found:
        images = one.images.ravel()
        np.add.at(times, images[images >= 0], 1)
    seen = np.flatnonzero(times)
    return seen[np.argsort(-times[seen], kind="stable")]


def write_thumbnails(
    folder: Path, order: Sequence[int], photographs: Photographs
) -> dict[str, Any]:
    """Write sheets of whole pictures, in this order."""
    height, width = photographs.whole(order[0]).shape[:2]
    layout = photograph_sheets((height, width), across=8, number=64, largest=_LARGER)
    return _written(
        folder, "pictures", layout, len(order),
        lambda one: resized(photographs.whole(order[one]), layout.size),
    )  # fmt: skip
