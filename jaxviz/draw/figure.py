"""A blank figure, a picture on it, and how it shows itself in a notebook."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from .saving import png
from .style import SCREEN, Style


class StyledFigure(Figure):
    """A matplotlib Figure with a style, which a notebook shows without pyplot."""

    def __init__(self, *args: Any, style: Style, **options: Any) -> None:
        super().__init__(*args, **options)
        self.style = style

    def _repr_png_(self) -> bytes:
        return png(self)


def blank(width: float, height: float, title: str, style: Style) -> StyledFigure:
    """An empty figure of so many inches, its title on the left.

    `height` includes one line for the title; if it needs more, the figure grows.
    """
    title = style.fold(title, width - 0.1, title=True)
    height += style.room(0.19) * title.count("\n")
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    figure = StyledFigure(figsize=(width, height), dpi=110, layout=layout, style=style)
    if title:
        figure.suptitle(title, x=0.01, ha="left", **style.title)
    return figure


def show(axes: Axes, pixels: Any, caption: str = "", frame: str | None = None, **how: Any) -> None:
    """Draw a picture, its caption above it and its frame around; `how` is for `imshow`."""
    axes.set_axis_off()
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        how = {"cmap": "gray", "vmin": 0, "vmax": 1} | how
    axes.imshow(pixels, **{"interpolation": "nearest"} | how)
    if caption:
        axes.set_title(caption, pad=2, **getattr(axes.figure, "style", SCREEN).text)
    if frame:
        edge = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, clip_on=False)
        edge.set(edgecolor=frame, linewidth=3)
        axes.add_patch(edge)
