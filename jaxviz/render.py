"""Arrays to pictures: grids, overlays, montages. The only room that knows matplotlib.

Figures are built without pyplot, so nothing global changes and any thread may draw. Orange is
what is strong or hurts, purple its opposite (`PuOr`), which color-blind readers tell apart. Signed
scales are symmetric about zero.
"""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ._typing import Array
from .files import MARK, write_whole

SIGNED = "PuOr_r"
SEQUENTIAL = LinearSegmentedColormap.from_list("orange", ["#8c8c8c", "#f5a04c", "#ff7a00"])
_TEXT: dict[str, Any] = {"fontsize": 8, "color": "#333333"}
_STRONG: dict[str, Any] = {"fontsize": 10, "color": "#111111", "fontweight": "bold"}
Extent = tuple[float, float, float, float]


class Tile(NamedTuple):
    """One picture of a montage: pixels, a caption of one or two lines, and a frame color."""

    pixels: Any
    caption: str = ""
    frame: str | None = None


class Row(NamedTuple):
    """One row of a montage: a title on its left and its tiles."""

    title: str
    tiles: Sequence[Tile]


def png(figure: Figure) -> bytes:
    """Draw a figure as PNG bytes that carry our mark."""
    buffer = io.BytesIO()
    with _canvas(figure):
        figure.savefig(buffer, format="png", metadata={"Software": MARK}, facecolor="white")
    return buffer.getvalue()


@contextlib.contextmanager
def _canvas(figure: Figure) -> Iterator[FigureCanvasAgg]:
    """Make a figure ready to draw, whatever the file names in its texts hold."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # $ begins no formula
        text.set_text(text.get_text().encode(errors="backslashreplace").decode())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for the letter
        yield FigureCanvasAgg(figure)


def stacked_png(figures: Sequence[Figure]) -> bytes:
    """Draw figures one above the other as one PNG."""
    if len(figures) == 1:
        return png(figures[0])
    drawn = [Image.open(io.BytesIO(png(figure))).convert("RGB") for figure in figures]
    size = max(one.width for one in drawn), sum(one.height for one in drawn)
    sheet = Image.new("RGB", size, "white")
    top = 0
    for one in drawn:
        sheet.paste(one, (0, top))
        top += one.height
    mark = PngInfo()
    mark.add_text("Software", MARK)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", pnginfo=mark)
    return buffer.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as a PNG file, whole or not at all."""
    return write_whole(path, png(figure))


def _figure(width: float, height: float, title: str) -> Figure:
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    figure = Figure(figsize=(width, height), dpi=110, layout=layout)
    if title:
        figure.suptitle(title, x=0.01, ha="left", **_STRONG)
    return figure


def _show(axes: Axes, pixels: Any, caption: str = "", frame: str | None = None, **how: Any) -> None:
    axes.set_axis_off()
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        how = {"cmap": "gray", "vmin": 0, "vmax": 1} | how
    axes.imshow(pixels, **{"interpolation": "nearest"} | how)
    if caption:
        axes.set_title(caption, pad=2, **_TEXT)
    if frame:
        edge = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, clip_on=False)
        edge.set(edgecolor=frame, linewidth=3)
        axes.add_patch(edge)


def tile_grid(
    tiles: Sequence[Tile], *, columns: int, title: str = "", tile_size: float = 0.8
) -> Figure:
    """A grid of pictures, row by row; gray ones hold values from 0 to 1."""
    rows = -(-len(tiles) // columns)
    captioned = any(tile.caption for tile in tiles)
    size = tile_size + (0.18 if captioned else 0)
    figure = _figure(columns * tile_size + 0.2, rows * size + 0.4, title)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, tile in zip(grid.flat, tiles, strict=False):
        _show(axes, *tile)
    return figure


def montage(
    rows: Sequence[Row], *, title: str = "", tile_size: float = 1.15, separate_first: bool = False
) -> Figure:
    """Rows of pictures, each with its title on the left; missing tiles stay empty.

    `separate_first` sets the first tile of each row apart, as a query is from its answers.
    """
    columns = max(len(row.tiles) for row in rows)
    lines = max((t.caption.count("\n") + 1 if t.caption else 0) for r in rows for t in r.tiles)
    label = 0.085 * max(len(line) for row in rows for line in row.title.split("\n")) + 0.1
    size = tile_size + 0.15 * lines
    height = len(rows) * size + (0.4 if title else 0.1)
    figure = _figure(columns * tile_size + label, height, title)
    ratios = [label, *[tile_size] * columns]
    grid = figure.subplots(
        len(rows), columns + 1, squeeze=False, gridspec_kw={"width_ratios": ratios}
    )
    for row, (left, *places) in zip(rows, grid, strict=True):
        left.set_axis_off()
        left.text(0.95, 0.5, row.title, ha="right", va="center", **_TEXT)
        for axes in places:
            axes.set_axis_off()
        for axes, tile in zip(places, row.tiles, strict=False):
            _show(axes, *tile)
    if separate_first:
        _rule_after(figure, grid)
    return figure


def _rule_after(figure: Figure, grid: Any) -> None:
    """Draw a thin vertical line between the first and second column of tiles."""
    with _canvas(figure) as canvas:
        canvas.draw()
    if grid.shape[1] < 3:
        return
    first, second = grid[0, 1].get_position(), grid[0, 2].get_position()
    x = (first.x1 + second.x0) / 2
    low, high = grid[-1, 1].get_position().y0, grid[0, 1].get_position().y1
    line = Rectangle((x, low), 0, high - low, transform=figure.transFigure)
    line.set(edgecolor="#999999", linewidth=1)
    figure.add_artist(line)


def slice_grid(slices: Any, *, filters: Sequence[int], channels: int, title: str = "") -> Figure:
    """Middle-layer filters: a row for each filter, its first `channels` inputs in gray."""
    rows = [
        Row(f"filter {index}", [Tile(tile) for tile in np.asarray(slices[index])[:channels]])
        for index in filters
    ]
    return montage(rows, title=title, tile_size=0.45)


def map_extent(field: Any, shape: tuple[int, ...]) -> Extent:
    """Where a map lies on its image: each unit's cell is centered on its receptive field."""
    spans = []
    for axis in (0, 1):
        center = field.offset[axis] + (field.size[axis] - 1) / 2
        start = center - field.stride[axis] / 2
        spans.append((start, start + field.stride[axis] * shape[axis]))
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
) -> Figure:
    """Pictures in gray, each under its map, more orange where the map is larger.

    `maps` holds (height, width) arrays, or None for a picture to show as it is; `extents` says
    where each lies on its picture, as (left, right, bottom, top) in pixels. All maps share one
    scale, from zero to the largest.
    """
    largest = max((float(np.max(one)) for one in maps if one is not None), default=0)
    norm = Normalize(0, largest or 1.0)
    rows = -(-len(maps) // columns)
    figure = _figure(columns * 1.6 + 0.8, rows * 1.8 + 0.4, title)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, pixels, one, caption, extent in zip(
        grid.flat, pictures, maps, captions, extents, strict=False
    ):
        if one is None:
            _show(axes, pixels, caption)
            continue
        _show(axes, _gray(pixels), caption)
        values = np.asarray(one, np.float64)
        axes.imshow(
            values, cmap=SEQUENTIAL, norm=norm, extent=extent, interpolation="nearest",
            alpha=0.9 * np.sqrt(np.clip(norm(values).filled(), 0, 1)),
        )  # fmt: skip
        height, width = pixels.shape[:2]
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    _color_bar(figure, grid, SEQUENTIAL, norm, unit)
    return figure


def _gray(pixels: Any) -> Any:
    """A picture as faint gray, for something colored to lie on."""
    luminance = np.asarray(pixels, np.float64) @ (0.299, 0.587, 0.114) / 255
    return 0.15 + 0.7 * luminance


def _color_bar(figure: Figure, axes: Any, cmap: str | Colormap, norm: Normalize, unit: str) -> None:
    places = list(np.ravel(axes))
    bar = figure.colorbar(ScalarMappable(norm, cmap), ax=places, shrink=0.85, pad=0.02, aspect=30)
    bar.set_label(unit, **_TEXT)
    bar.ax.tick_params(labelsize=7, colors="#333333")
    bar.outline.set_visible(False)


class Heatmap(NamedTuple):
    """One occlusion result to draw: picture, signed heatmap, caption, and the window's size."""

    pixels: Any
    heatmap: Any
    caption: str
    window: tuple[int, int]


def heatmap_rows(
    maps: Sequence[Heatmap], *, unit: str, title: str = "", least_scale: float = 0
) -> Figure:
    """For each picture: itself with the window drawn in, the heatmap on it, and what mattered.

    The scale of each row is its own and symmetric about zero, but reaches at least to
    `least_scale`, so that what is next to nothing looks so; its color bar is in score units.
    """
    figure = _figure(7.6, len(maps) * 2.35 + 0.4, title)
    grid = figure.subplots(len(maps), 3, squeeze=False)
    for (left, middle, right), one in zip(grid, maps, strict=True):
        values = np.asarray(one.heatmap, np.float64)
        limit = max(float(np.abs(values).max()), least_scale) or 1.0
        norm = TwoSlopeNorm(0, -limit, limit)
        _show(left, one.pixels, one.caption)
        rows, cols = one.window
        box = Rectangle((6, 6), cols, rows, facecolor="#808080", edgecolor="white", linewidth=1.5)
        left.add_patch(box)
        _show(middle, _gray(one.pixels), "what hiding did")
        middle.imshow(values, cmap=SIGNED, norm=norm, alpha=0.65, interpolation="nearest")
        brightest = max(float(values.max()), least_scale) or 1.0
        weight = 0.12 + 0.88 * np.clip(values / brightest, 0, 1)
        _show(right, np.asarray(one.pixels) / 255 * weight[..., None], "what mattered")
        _color_bar(figure, [left, middle, right], SIGNED, norm, unit)
    return figure
