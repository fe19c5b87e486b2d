"""A figure, from a blank sheet to PNG bytes, and one picture on it."""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..files import MARK, write_whole

TEXT: dict[str, Any] = {"fontsize": 8, "color": "#333333"}
_TITLE: dict[str, Any] = {"fontsize": 10, "color": "#111111", "fontweight": "bold"}


def png(figure: Figure) -> bytes:
    """Draw a figure as PNG bytes that carry our mark."""
    buffer = io.BytesIO()
    with canvas_of(figure):
        figure.savefig(buffer, format="png", metadata={"Software": MARK}, facecolor="white")
    return buffer.getvalue()


@contextlib.contextmanager
def canvas_of(figure: Figure) -> Iterator[FigureCanvasAgg]:
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


def blank(width: float, height: float, title: str) -> Figure:
    """An empty figure of so many inches, its title on the left."""
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    figure = Figure(figsize=(width, height), dpi=110, layout=layout)
    if title:
        figure.suptitle(title, x=0.01, ha="left", **_TITLE)
    return figure


def show(axes: Axes, pixels: Any, caption: str = "", frame: str | None = None, **how: Any) -> None:
    """Draw a picture, its caption above it and its frame around; `how` is for `imshow`."""
    axes.set_axis_off()
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        how = {"cmap": "gray", "vmin": 0, "vmax": 1} | how
    axes.imshow(pixels, **{"interpolation": "nearest"} | how)
    if caption:
        axes.set_title(caption, pad=2, **TEXT)
    if frame:
        edge = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, clip_on=False)
        edge.set(edgecolor=frame, linewidth=3)
        axes.add_patch(edge)
