"""Heatmaps of pictures by several methods, side by side."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analyses.attribution import FORMS, AttributionAnalysis
from .dispatch import figure_of
from .figure import blank, show
from .maps import SEQUENTIAL, SIGNED, faint_gray
from .style import SCREEN, Style

_MOST = 0.995  # of the pixels of a map are inside the scale of its colors
_COLUMNS = 5


@figure_of.register
def attributions(analysis: AttributionAnalysis, *, style: Style = SCREEN) -> Figure:
    """For each picture: itself, and what mattered by each method.

    Each map has a scale of its own, as the methods have no common unit. On the picture in gray,
    orange raises the score and purple lowers it; where a method has no sign, orange is more.
    Guided backpropagation and deconvolution give pictures of their own, gray where they are zero.

    >>> import jaxviz, numpy as np
    >>> network, gray = jaxviz.load("squeezenet"), np.full((300, 300, 3), 128, np.uint8)
    >>> analysis = jaxviz.analyses.attribution(network, [gray], methods=["gradient", "grad-cam"])
    >>> len(attributions(analysis).axes)
    3
    """
    tiles = len(analysis.methods) + 1
    columns = min(_COLUMNS, tiles)
    lines = -(-tiles // columns)
    side = 1.7 * style.scale
    captions = [
        style.fold(f"{name}: {answer}", 0.92 * side)
        for name, answer in zip(analysis.pictures, analysis.answers, strict=True)
    ]
    room = 0.05 + 0.15 * max(caption.count("\n") + 1 for caption in captions)
    rows = lines * len(captions)
    title = f"{analysis.network}: which pixels matter{_legend(analysis)}"
    height = rows * (side + style.room(room)) + style.room(0.4)
    figure = blank(columns * side, height, title, style)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for place, caption in enumerate(captions):
        first, *rest = grid[place * lines : (place + 1) * lines].flat
        show(first, analysis.pixels[place], caption)
        for axes, number in zip(rest, range(len(analysis.methods)), strict=False):
            _map(axes, analysis, place, number)
    return figure


def _legend(analysis: AttributionAnalysis) -> str:
    forms = {FORMS[name] for name in analysis.methods}
    if "signed" in forms:
        return "; where there is a sign, orange raises the score and purple lowers it"
    return "; the more orange, the more" if "magnitude" in forms else ""


def _map(axes: Axes, analysis: AttributionAnalysis, place: int, number: int) -> None:
    name = analysis.methods[number]
    caption = name.replace("-", " ").replace("grad cam", "Grad-CAM")
    values: Any = analysis.heatmaps[place, number]
    if FORMS[name] == "picture":
        colors = analysis.colors[place, number]
        show(axes, np.clip(0.5 + colors / (2 * _scale(colors)), 0, 1), caption)
        return
    show(axes, faint_gray(analysis.pixels[place]), caption)
    share = values / _scale(values)
    signed = FORMS[name] == "signed"
    axes.imshow(
        share, cmap=SIGNED if signed else SEQUENTIAL, vmin=-1 if signed else 0, vmax=1,
        interpolation="nearest", alpha=0.9 * np.sqrt(np.clip(np.abs(share), 0, 1)),
    )  # fmt: skip


def _scale(values: np.ndarray) -> float:
    return float(np.quantile(np.abs(values), _MOST)) or 1.0
