"""Pictures in rows and columns."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .figure import blank, place, show, some
from .saving import canvas_of
from .style import SCREEN, Style

_GAP = 0.06  # inches between the pictures of a grid


class Tile(NamedTuple):
    """One picture of a montage: pixels, a caption of one or two lines, and a frame color."""

    pixels: Any
    caption: str = ""
    frame: str | None = None


class Row(NamedTuple):
    """One row of a montage: a title on its left and its tiles."""

    title: str
    tiles: Sequence[Tile]


def tile_grid(
    tiles: Sequence[Tile],
    *,
    columns: int,
    title: str = "",
    tile_size: float = 0.8,
    style: Style = SCREEN,
) -> Figure:
    """A grid of pictures, row by row; gray ones hold values from 0 to 1.

    Captions wider than a tile are folded. The axes are the whole figure, in inches from below.

    >>> figure = tile_grid([Tile(np.eye(3), "eye"), Tile(np.ones((3, 3)))], columns=2)
    >>> len(figure.axes[0].images)
    2
    """
    rows = -(-len(tiles) // columns)
    side = tile_size * style.scale
    tiles = [t._replace(caption=style.fold(t.caption, side)) for t in some(tiles, "tiles")]
    above = style.room(0.15 * _most_lines(tiles)) + _GAP
    width, height = columns * side + 0.2, rows * (side + above) + 0.1
    figure = blank(width, height + (style.room(0.25) if title else 0), title, style, laid_out=False)
    axes = figure.add_axes((0, 0, 1, 1))  # one for all: each takes as long as ten pictures
    axes.set_axis_off()
    bottom = 0.05 + (rows - 1) * (side + above)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        left = 0.1 + column * side + _GAP / 2
        place(axes, (left, bottom - row * (side + above), side - _GAP), *tile)
    width, height = figure.get_size_inches()
    axes.set(xlim=(0, width), ylim=(0, height))
    return figure


def montage(
    rows: Sequence[Row],
    *,
    title: str = "",
    tile_size: float = 1.15,
    separate_first: bool = False,
    style: Style = SCREEN,
) -> Figure:
    """Rows of pictures, each with its title on the left; missing tiles stay empty.

    `separate_first` sets the first tile of each row apart, as a query is from its answers.

    >>> figure = montage([Row("two", [Tile(np.eye(3)), Tile(np.ones((3, 3)))])])
    >>> len(figure.axes)  # the title has axes of its own
    3
    """
    side = tile_size * style.scale
    rows = [
        Row(row.title, [t._replace(caption=style.fold(t.caption, side)) for t in row.tiles])
        for row in some(rows, "rows")
    ]
    columns = max(len(row.tiles) for row in rows)
    lines = max(_most_lines(row.tiles) for row in rows)
    letters = max(len(line) for row in rows for line in row.title.split("\n"))
    label = style.room(0.085 * letters) + 0.1
    size = side + style.room(0.15 * lines)
    height = len(rows) * size + (style.room(0.4) if title else 0.1)
    figure = blank(columns * side + label, height, title, style)
    ratios = [label, *[side] * columns]
    grid = figure.subplots(
        len(rows), columns + 1, squeeze=False, gridspec_kw={"width_ratios": ratios}
    )
    for row, (left, *places) in zip(rows, grid, strict=True):
        left.set_axis_off()
        left.text(0.95, 0.5, row.title, ha="right", va="center", **style.text)
        for axes in places:
            axes.set_axis_off()
        for axes, tile in zip(places, row.tiles, strict=False):
            show(axes, *tile)
    if separate_first:
        _rule_after(figure, grid)
    return figure


def _most_lines(tiles: Sequence[Tile]) -> int:
    """The number of lines of the longest caption."""
    return max((t.caption.count("\n") + 1 for t in tiles if t.caption), default=0)


def _rule_after(figure: Figure, grid: Any) -> None:
    """Draw a thin vertical line between the first and second column of tiles."""
    with canvas_of(figure) as canvas:
        canvas.draw()
    if grid.shape[1] < 3:
        return
    first, second = grid[0, 1].get_position(), grid[0, 2].get_position()
    x = (first.x1 + second.x0) / 2
    low, high = grid[-1, 1].get_position().y0, grid[0, 1].get_position().y1
    line = Rectangle((x, low), 0, high - low, transform=figure.transFigure)
    line.set(edgecolor="#999999", linewidth=1)
    figure.add_artist(line)


def slice_grid(
    slices: Any,
    *,
    filters: Sequence[int],
    channels: int,
    headings: Sequence[str] = (),
    title: str = "",
    style: Style = SCREEN,
) -> Figure:
    """Middle-layer filters: a row for each filter, its first `channels` inputs in gray.

    `headings` stand above these in each row.

    `slices` is (filters, channels, height, width), as `jaxviz.filter_slices` returns it.

    >>> figure = slice_grid(np.zeros((4, 8, 3, 3)), filters=[0, 2], channels=5)
    >>> len(figure.axes)
    12
    """
    names = list(headings[:channels]) or [""] * channels
    rows = [
        Row(f"filter {index}", [*map(Tile, np.asarray(slices[index])[:channels], names)])
        for index in filters
    ]
    return montage(rows, title=title, tile_size=0.45, style=style)
