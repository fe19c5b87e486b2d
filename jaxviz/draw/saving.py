"""Figures to files: PNG, PDF and SVG that carry our mark and are the same bytes every time."""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .._checks import InputError
from ..files import MARK, figure_ending, write_whole
from .style import SCREEN, printable

_MAX_PIXELS = 2**27  # of one PNG: what Pillow and browsers still open
# Letters stay letters: they can be searched and copied, and a viewer that lacks the font takes one
# that is as wide.
_VECTOR_DPI = 300
_VECTORS: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": MARK}
_settings = threading.Lock()  # matplotlib's are global


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: float | None = None) -> Path:
    """Write a figure, whole or not at all, as the name's ending says: .png, .pdf or .svg.

    `dpi` is the number of pixels an inch, by default the figure's own, 110. In a PDF or an SVG it
    is that of the pictures, by default 300; the letters have none.

    >>> import tempfile
    >>> from jaxviz import draw
    >>> figure = draw.tile_grid([draw.Tile([[0.0, 1.0]])], columns=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw.save_figure(figure, f"{folder}/tile.pdf").name
    'tile.pdf'
    """
    return save_figures([figure], path, dpi=dpi)


def save_figures(
    figures: Sequence[Figure], path: str | os.PathLike[str], *, dpi: float | None = None
) -> Path:
    """Write figures as one file: one above the other in a PNG, one a page in a PDF.

    An SVG holds one figure; several are refused.
    """
    ending = figure_ending(path)
    if ending == ".png":
        return write_whole(path, stacked_png(figures, dpi=dpi))
    if ending == ".pdf":
        return write_whole(path, _pdf(figures, dpi))
    if len(figures) != 1:
        raise InputError(f"{path}: an SVG holds one figure, not {len(figures)}; take .pdf or .png")
    return write_whole(path, svg(figures[0], dpi=dpi))


def png(figure: Figure, *, dpi: float | None = None) -> bytes:
    """A figure as the bytes of a PNG that carries our mark."""
    _check_size([figure], dpi)
    return _saved(figure, format="png", dpi=dpi or "figure", metadata={"Software": MARK})


def stacked_png(figures: Sequence[Figure], *, dpi: float | None = None) -> bytes:
    """Figures one above the other, as the bytes of one PNG that carries our mark."""
    if len(figures) == 1:
        return png(figures[0], dpi=dpi)
    _check_size(figures, dpi)
    drawn = [Image.open(io.BytesIO(png(figure, dpi=dpi))).convert("RGB") for figure in figures]
    size = max(one.width for one in drawn), sum(one.height for one in drawn)
    sheet = Image.new("RGB", size, "white")
    top = 0
    for one in drawn:
        sheet.paste(one, (0, top))
        top += one.height
    mark = PngInfo()
    mark.add_text("Software", MARK)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", pnginfo=mark, dpi=(dpi or figures[0].dpi,) * 2)
    return buffer.getvalue()


def _check_size(figures: Sequence[Figure], dpi: float | None) -> None:
    """Refuse a resolution that is none, or that gives more pixels than a picture may have."""
    if dpi is not None and not 1 <= dpi <= 10_000:
        raise InputError(f"dpi: expected a number from 1 to 10000, got {dpi}")
    inches = [figure.get_size_inches() for figure in figures]
    width, height = max(size[0] for size in inches), sum(size[1] for size in inches)
    resolution = dpi or figures[0].dpi
    sides = width * resolution, height * resolution
    if sides[0] * sides[1] > _MAX_PIXELS or max(sides) >= 2**16:
        raise InputError(
            f"dpi: {resolution:g} gives {sides[0]:.0f} x {sides[1]:.0f} pixels, which is too many"
        )


def _pdf(figures: Sequence[Figure], dpi: float | None) -> bytes:
    from matplotlib.backends.backend_pdf import PdfPages  # slow, and seldom needed

    buffer = io.BytesIO()
    with (
        _vector_settings(),
        PdfPages(buffer, metadata={"Creator": MARK, "CreationDate": None}) as pages,
    ):
        for figure in figures:
            _check_size([figure], dpi)
            with canvas_of(figure):
                pages.savefig(figure, dpi=dpi or _VECTOR_DPI, facecolor="white")
    return buffer.getvalue()


def svg(figure: Figure, *, dpi: float | None = None) -> bytes:
    """A figure as the bytes of an SVG that carries our mark; `dpi` is that of its pictures."""
    _check_size([figure], dpi)
    metadata = {"Creator": MARK, "Date": None}
    with _vector_settings():
        return _saved(figure, format="svg", dpi=dpi or _VECTOR_DPI, metadata=metadata)


def _saved(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with canvas_of(figure):
        figure.savefig(buffer, facecolor="white", **options)
    return buffer.getvalue()


@contextlib.contextmanager
def _vector_settings() -> Iterator[None]:
    with _settings, matplotlib.rc_context(_VECTORS):
        yield


def _texts(figure: Figure) -> list[Text]:
    """What letters a figure shows: not the labels of axes that are off, which would be made now."""
    hidden = {axis for axes in figure.axes if not axes.axison for axis in (axes.xaxis, axes.yaxis)}
    waiting: list[Artist] = [figure]
    found = []
    while waiting:
        artist = waiting.pop()
        if isinstance(artist, Text):
            found.append(artist)
        waiting += [child for child in artist.get_children() if child not in hidden]
    return found


@contextlib.contextmanager
def canvas_of(figure: Figure) -> Iterator[FigureCanvasAgg]:
    """Make a figure ready to draw: plain texts in its font, and a layout that then stays."""
    style = getattr(figure, "style", SCREEN)
    for text in _texts(figure):
        text.set_parse_math(False)  # $ begins no formula
        text.set_text(printable(text.get_text()))
        font = style.font_of(text.get_text(), weight=text.get_fontweight())
        text.set_fontfamily(font.get_family())
        text.set_fontweight(font.get_weight())
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for the letter
        engine = figure.get_layout_engine()
        if engine is not None:  # run again, it would move everything a little
            engine.execute(figure)
            figure.set_layout_engine("none")
            for axes in figure.axes:  # the solver's last digits are not the same every time
                axes.set_position(np.round(axes.get_position(original=True).bounds, 6).tolist())
        yield canvas
