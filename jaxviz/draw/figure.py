"""A blank figure, a picture on it, and how it shows itself in a notebook."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.transforms import Transform

from .._checks import InputError
from .saving import png
from .style import SCREEN, Style

T = TypeVar("T")


def some(items: Sequence[T], name: str) -> Sequence[T]:
    """The items to draw; refuse if there is none."""
    if not len(items):
        raise InputError(f"{name}: expected one or more, got none")
    return items


class StyledFigure(Figure):
    """A matplotlib Figure with a style, which a notebook shows without pyplot."""

    def __init__(self, *args: Any, style: Style, **options: Any) -> None:
        super().__init__(*args, **options)
        self.style = style

    def _repr_png_(self) -> bytes:
        return png(self)


def blank(
    width: float, height: float, title: str, style: Style, *, laid_out: bool = True
) -> StyledFigure:
    """An empty figure of so many inches, its title on the left.

    `height` includes one line for the title; if it needs more, the figure grows. Matplotlib places
    the axes, unless `laid_out` is false.
    """
    title = style.fold(title, width - 0.1, title=True)
    height += style.room(0.19) * title.count("\n")
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    figure = StyledFigure(
        figsize=(width, height), dpi=110, layout=layout if laid_out else None, style=style
    )
    if title:
        at = {} if laid_out else {"y": 1 - 0.05 / height}
        figure.suptitle(title, x=0.01, ha="left", **at, **style.title)
    return figure


def show(axes: Axes, pixels: Any, caption: str = "", frame: str | None = None, **how: Any) -> None:
    """Draw a picture, its caption above it and its frame around; `how` is for `imshow`."""
    axes.set_axis_off()
    _picture(axes, pixels, **how)
    if caption:
        axes.set_title(caption, pad=2, **getattr(axes.figure, "style", SCREEN).text)
    if frame:
        _frame(axes, (0, 0), 1, 1, frame, axes.transAxes)


def place(
    axes: Axes,
    square: tuple[float, float, float],
    pixels: Any,
    caption: str = "",
    frame: str | None = None,
) -> None:
    """Draw a picture as large as fits into a square of the axes (left, bottom, side), as `show`."""
    left, bottom, side = square
    pixels = np.asarray(pixels)
    height, width = side * np.array(pixels.shape[:2]) / max(pixels.shape[:2])
    left, bottom = left + (side - width) / 2, bottom + (side - height) / 2
    extent = (left, left + width, bottom, bottom + height)
    _picture(axes, pixels, extent=extent, aspect="auto")
    if caption:
        style = getattr(axes.figure, "style", SCREEN)
        top = bottom + height + 0.02
        axes.text(left + width / 2, top, caption, ha="center", va="bottom", **style.text)
    if frame:
        _frame(axes, (left, bottom), width, height, frame, axes.transData)


def _picture(axes: Axes, pixels: Any, **how: Any) -> None:
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        how = {"cmap": "gray", "vmin": 0, "vmax": 1} | how
    axes.imshow(pixels, **{"interpolation": "nearest"} | how)


def _frame(
    axes: Axes, corner: tuple[float, float], width: float, height: float, color: str, of: Transform
) -> None:
    edge = Rectangle(corner, width, height, transform=of, fill=False, clip_on=False)
    edge.set(edgecolor=color, linewidth=3)
    axes.add_patch(edge)
