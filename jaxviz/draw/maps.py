"""Maps that lie on pictures: activations, and what hiding a part did."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .._typing import Array
from .figure import StyledFigure, blank, show, some
from .style import SCREEN, Style

SIGNED = "PuOr_r"
SEQUENTIAL = LinearSegmentedColormap.from_list("orange", ["#8c8c8c", "#f5a04c", "#ff7a00"])
Extent = tuple[float, float, float, float]


def map_extent(field: Any, shape: tuple[int, ...]) -> Extent:
    """Where a map lies on its image: each unit's cell is centered on its receptive field."""
    spans = []
    for centers, stride, length in zip(
        field.centers(shape), field.stride, field.image_size, strict=True
    ):
        # Units that see all of the picture have shares of the same size.
        half = (stride * len(centers) if stride else length) / 2
        spans.append((centers.mean() - half, centers.mean() + half))
    (top, bottom), (left, right) = spans
    return left, right, bottom, top


def overlays(
    pictures: Sequence[Any] | Array,
    maps: Sequence[Any] | Array,
    captions: Sequence[str],
    extents: Sequence[Extent],
    *,
    columns: int,
    title: str = "",
    unit: str = "activation",
    style: Style = SCREEN,
) -> Figure:
    """Pictures in gray, each under its map, more orange where the map is larger.

    `maps` holds (height, width) arrays, or None for a picture to show as it is; `extents` says
    where each lies on its picture, as (left, right, bottom, top) in pixels. All maps share one
    scale, from zero to the largest.

    >>> picture, one = np.zeros((4, 4, 3), np.uint8), np.eye(2)
    >>> extent = (-0.5, 3.5, 3.5, -0.5)
    >>> figure = overlays([picture], [one], ["eye"], [extent], columns=1)
    >>> len(figure.axes)  # the color bar has axes of its own
    2
    """
    largest = max((float(np.max(one)) for one in maps if one is not None), default=0)
    norm = Normalize(0, largest or 1.0)
    rows = -(-len(maps) // columns)
    side = 1.6 * style.scale
    captions = [style.fold(caption, side) for caption in some(captions, "captions")]
    line = 0.05 + 0.15 * max(caption.count("\n") + 1 for caption in captions)
    height = rows * (side + style.room(line)) + style.room(0.4)
    figure = blank(columns * side + style.room(0.8), height, title, style)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, pixels, one, caption, extent in zip(
        grid.flat, pictures, maps, captions, extents, strict=False
    ):
        if one is None:
            show(axes, pixels, caption)
            continue
        show(axes, faint_gray(pixels), caption)
        values = np.asarray(one, np.float64)
        axes.imshow(
            values, cmap=SEQUENTIAL, norm=norm, extent=extent, interpolation="nearest",
            alpha=0.9 * np.sqrt(np.clip(norm(values).filled(), 0, 1)),
        )  # fmt: skip
        height, width = pixels.shape[:2]
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    _color_bar(figure, grid, SEQUENTIAL, norm, unit, rows * side)
    return figure


def faint_gray(pixels: Any) -> Any:
    """A picture as faint gray, for something colored to lie on."""
    luminance = np.asarray(pixels, np.float64) @ (0.299, 0.587, 0.114) / 255
    return 0.15 + 0.7 * luminance


def _color_bar(
    figure: StyledFigure, axes: Any, cmap: str | Colormap, norm: Normalize, unit: str, height: float
) -> None:
    places, style = list(np.ravel(axes)), figure.style
    bar = figure.colorbar(ScalarMappable(norm, cmap), ax=places, shrink=0.85, pad=0.02, aspect=30)
    bar.set_label(style.fold(unit, height), **style.text)
    bar.ax.tick_params(labelsize=0.875 * style.font_size, colors=style.text["color"])
    bar.outline.set_visible(False)


class Heatmap(NamedTuple):
    """One occlusion result to draw.

    The picture, its signed heatmap, a caption, the window's size, and what the window hides behind:
    a color (3,) or a picture of the same size, uint8. `distinct`, of the heatmap's shape, is where
    it is told from zero; elsewhere it is hatched.
    """

    pixels: Any
    heatmap: Any
    caption: str
    window: tuple[int, int]
    fill: Any = (128, 128, 128)
    distinct: Any = None


_HEADINGS = ("what hiding did", "on the picture", "what mattered")


def heatmap_rows(
    maps: Sequence[Heatmap],
    *,
    unit: str,
    title: str = "",
    least_scale: float = 0,
    one_scale: bool = False,
    style: Style = SCREEN,
) -> Figure:
    """For each picture: itself with a window hidden, the heatmap, both, and what mattered.

    The scale of each row is its own, or with `one_scale` that of all, and symmetric about zero. It
    reaches at least to `least_scale`, so that what is next to nothing looks so. The heatmap alone
    has the colors of its bar, which is in score units; on the picture they are paler.

    >>> picture, one = np.zeros((4, 4, 3), np.uint8), np.eye(4)
    >>> figure = heatmap_rows([Heatmap(picture, one, "eye", (2, 2))], unit="drop of the score")
    >>> len(figure.axes)
    5
    """
    side = 2.0 * style.scale
    captions = [style.fold(one.caption, 0.92 * side) for one in some(maps, "maps")]
    headings = [style.fold(one, 0.92 * side) for one in _HEADINGS]
    line = 0.15 * max(caption.count("\n") + 1 for caption in [*captions, *headings])
    height = len(maps) * (side + style.room(line)) + style.room(0.4)
    figure = blank(4 * side + style.room(1.0), height, title, style)
    grid = figure.subplots(len(maps), 4, squeeze=False)
    every = [np.asarray(one.heatmap, np.float64) for one in maps]
    limits = [max(float(np.abs(values).max()), least_scale) or 1.0 for values in every]
    most = [max(float(values.max()), least_scale) or 1.0 for values in every]
    if one_scale:
        limits, most = ([max(ends)] * len(ends) for ends in (limits, most))
    for places, one, values, limit, brightest, caption in zip(
        grid, maps, every, limits, most, captions, strict=True
    ):
        norm = TwoSlopeNorm(0, -limit, limit)
        picture, alone, both, mattered = places
        show(picture, _hidden(one), caption)
        _outline(picture, one.window, min(style.scale, 1))
        show(alone, values, headings[0], cmap=SIGNED, norm=norm, vmin=None, vmax=None)
        if one.distinct is not None:
            _hatch(alone, one.distinct)
        show(both, faint_gray(one.pixels), headings[1])
        faint = np.full(values.shape, 0.65)  # a plain number counts twice in a PDF or SVG
        both.imshow(values, cmap=SIGNED, norm=norm, alpha=faint, interpolation="nearest")
        # The square root keeps what mattered less than a single peak from looking black.
        certain = values if one.distinct is None else np.where(one.distinct, values, 0)
        weight = 0.25 + 0.75 * np.sqrt(np.clip(certain / brightest, 0, 1))
        show(mattered, np.asarray(one.pixels) / 255 * weight[..., None], headings[2])
        _color_bar(figure, list(places), SIGNED, norm, unit, side)
    return figure


def _hatch(axes: Any, distinct: Any) -> None:
    """Lines over what is not told from zero."""
    if not np.all(distinct):
        lines = axes.contourf(
            ~np.asarray(distinct), levels=[0.5, 1.5], colors="none", hatches=["////"]
        )
        lines.set(edgecolor="#8c8c8c", linewidth=0)


_CORNER = 6  # pixels from the picture's edges to the window that is drawn


def _hidden(one: Heatmap) -> np.ndarray:
    """The picture with a window of it hidden, near its upper left corner."""
    pixels = np.array(one.pixels)
    rows, cols = (slice(_CORNER, _CORNER + side) for side in one.window)
    pixels[rows, cols] = np.broadcast_to(np.asarray(one.fill), pixels.shape)[rows, cols]
    return pixels


def _outline(axes: Any, window: tuple[int, int], scale: float) -> None:
    """A frame around the hidden window that is seen on light and on dark."""
    rows, cols = window
    for color, width in (("black", 2.5 * scale), ("white", 1.2 * scale)):
        place = (_CORNER - 0.5, _CORNER - 0.5)
        axes.add_patch(Rectangle(place, cols, rows, fill=False, edgecolor=color, linewidth=width))
