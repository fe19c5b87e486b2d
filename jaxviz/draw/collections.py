"""Figures of a collection of pictures: the nearest ones, patches, one channel."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import ImageColor

from ..analyses.base import distinct_names, number, short
from ..analyses.channel_pictures import ChannelPictures
from ..analyses.feature_images import FeatureImageAnalysis
from ..analyses.nearest_pictures import NearestPictures
from ..analyses.patch_pages import Patch, PatchPage
from .dispatch import figure_of
from .grids import Row, Tile, montage, tile_grid
from .maps import map_extent, overlays
from .style import SCREEN, Style

SAME, OTHER = "#e66101", "#b8b8b8"  # the frame of a neighbor with the query's label, and without
_DIMMED = 0.3
_FRAME = 3  # pixels
_MADE = 1.6  # inches of an image that was made


@figure_of.register
def nearest_rows(analysis: NearestPictures, *, style: Style = SCREEN) -> Figure:
    """For each query a row of its nearest pictures by features, above one by raw pixels."""
    rows, names = [], _names(analysis)
    for place, query in enumerate(analysis.queries.tolist()):
        for name, found in analysis.rows.items():
            nearest = zip(
                found.indices[place].tolist(), found.distances[place].tolist(), strict=True
            )
            tiles = [Tile(analysis.shown.pixels_of(query), names[query])]
            tiles += [_neighbor(analysis, names[one[0]], query, *one) for one in nearest]
            rows.append(Row(name.replace(", ", "\n"), tiles))
    many = len(analysis.paths)
    by = " and by raw pixels" if analysis.raw_pixels else f", cosine among {many} pictures"
    title = f"{analysis.network}: nearest neighbors by {analysis.layer}{by}"
    return montage(rows, title=title, separate_first=True, style=style)


def _names(analysis: NearestPictures | PatchPage | ChannelPictures) -> dict[int, str]:
    """What captions call the pictures that are shown, by their numbers."""
    numbers = analysis.shown.numbers.tolist()
    names = distinct_names([Path(analysis.paths[number]) for number in numbers])
    return dict(zip(numbers, map(short, names), strict=True))


def _neighbor(
    analysis: NearestPictures, name: str, query: int, index: int, distance: float
) -> Tile:
    frame, labels = None, analysis.labels
    if labels is not None:
        frame = SAME if labels[index] == labels[query] else OTHER
    distance = round(float(distance), 6)  # of the same picture it is 0 but for round-off
    caption = f"{name}\n{number(distance)}"
    return Tile(analysis.shown.pixels_of(index), caption, frame)


@figure_of.register
def patch_rows(analysis: PatchPage, *, style: Style = SCREEN, in_pictures: bool = False) -> Figure:
    """A row of patches for each channel; or of the whole pictures, dark outside the patch."""
    rows, names = [], _names(analysis)
    whole = analysis.rank_by == "mean"
    for row, title in enumerate(analysis.titles):
        tiles = []
        for patch in _firing(analysis, row):
            is_placed = analysis.has_places and (in_pictures or not whole)
            place = f" at {patch.row},{patch.col}" if is_placed else ""
            caption = f"{names[patch.picture]}\n{number(patch.value)}{place}"
            if patch.value == 0:
                caption = f"{names[patch.picture]}\nsilent"
            pixels = analysis.shown.pixels_of(patch.picture) if whole else analysis.pixels(patch)
            if in_pictures:
                box = analysis.field.box(patch.row, patch.col, clipped=True)
                pixels = _framed(analysis.shown.pixels_of(patch.picture), box)
            tiles.append(Tile(pixels, caption))
        rows.append(Row(title, tiles))
    if analysis.imagined is not None and analysis.imagined_peaks is not None:
        made = zip(rows, analysis.imagined, analysis.imagined_peaks, strict=True)
        rows = [
            Row(row.title, [Tile(image, f"made for it\n{number(peak)}"), *row.tiles])
            for row, image, peak in made
        ]
    what = "excite it most" if analysis.largest else "excite it least"
    title = f"{analysis.network} {analysis.layer}: the patches ({analysis.size} pixels) that {what}"
    if whole:
        title = f"{analysis.network} {analysis.layer}: pictures ranked by the mean of each map"
    if analysis.labels:
        title += ", label by label"
    if in_pictures:
        title += ", in their pictures"
    return montage(rows, title=title, separate_first=analysis.imagined is not None, style=style)


def _firing(analysis: PatchPage, row: int) -> list[Patch]:
    """The patches of a row that excite its channel; of one that is silent everywhere, the first."""
    found = analysis.patches(row)
    return [patch for patch in found if patch.value != 0] or found[:1]


def _framed(pixels: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The picture with a frame around a box, dark outside."""
    top, left, bottom, right = box
    dark = (pixels * _DIMMED).astype(np.uint8)
    rows = slice(max(top - _FRAME, 0), bottom + _FRAME)
    cols = slice(max(left - _FRAME, 0), right + _FRAME)
    dark[rows, cols] = ImageColor.getrgb(SAME)
    dark[top:bottom, left:right] = pixels[top:bottom, left:right]
    return dark


@figure_of.register
def made_images(analysis: FeatureImageAnalysis, *, style: Style = SCREEN) -> Figure:
    """A grid of the images that were made for channels, each with the activation it reaches."""
    tiles = [
        Tile(image, style.fold(f"{title}\n{number(peak)}", _MADE * style.scale))
        for image, title, peak in zip(analysis.images, analysis.titles, analysis.peaks, strict=True)
    ]
    what = "lower" if analysis.negative else "excite"
    whom = "one channel each" if len(tiles) > 1 else "it"
    return tile_grid(
        tiles,
        columns=min(analysis.columns, len(tiles)),
        tile_size=_MADE,
        title=f"{analysis.network} {analysis.layer}: made to {what} {whom}, with the largest "
        "activation",
        style=style,
    )


@figure_of.register
def channel_overlays(analysis: ChannelPictures, *, style: Style = SCREEN) -> Figure:
    """The pictures that excite a channel most, with orange where it fires."""
    shown, peaks = analysis.shown, analysis.peaks[analysis.shown.numbers]
    order = np.argsort(-peaks, kind="stable").tolist()
    names = [*_names(analysis).values()]
    return overlays(
        [shown.pixels[i] for i in order],
        [analysis.maps[i] for i in order],
        [f"{names[i]}\nup to {number(peaks[i])}" for i in order],
        [map_extent(analysis.field, analysis.maps.shape[1:])] * len(order),
        columns=5,
        title=f"{analysis.network} {analysis.layer}, channel {analysis.channel}: the pictures that "
        "excite it most",
        style=style,
    )


def pages_of(analysis: Any, *, style: Style = SCREEN) -> Iterator[tuple[str, Figure]]:
    """The figures of an analysis, each with the ending that its file's name gets before the suffix.

    There is one figure, whose ending is empty, but for patches and feature images, which may take
    several pages; patches may be drawn in their pictures, too.
    """
    if not isinstance(analysis, PatchPage | FeatureImageAnalysis):
        yield "", figure_of(analysis, style=style)
        return
    for page in (analysis,) if analysis.page else analysis.pages:
        ending = f"-{page.page:02d}" if page.page else ""
        yield ending, figure_of(page, style=style)
        if isinstance(page, PatchPage) and page.context:
            yield f"-context{ending}", patch_rows(page, style=style, in_pictures=True)
