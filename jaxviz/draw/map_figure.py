"""The figure of a map: pictures at their points, framed in the color of their label."""

from collections import Counter
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..analyses.base import short
from ..analyses.picture_map import THUMBNAIL, PictureMap
from .dispatch import figure_of
from .figure import blank, show
from .style import SCREEN, Style

_SIDE = 1400  # pixels of a map
_FRAME = 3  # pixels
# Without gray, which is that of the others.
_COLORS = [colormaps["tab10"](place)[:3] for place in range(10) if place != 7]
_GRAY = (176, 176, 176)  # of pictures without a label, and of the labels that are left
# What lies farther out than both of these is drawn at the border.
_FENCE = 2.0  # quartile ranges beyond the quartiles
_MOST = 0.01  # of the points, on each side


@figure_of.register
def drawn_map(analysis: PictureMap, *, style: Style = SCREEN) -> Figure:
    """The map: small pictures at their points, and dots for the others.

    The colors of frames and dots are those of the nine most common labels. A few points far from
    all others are drawn at the border, which the title says.
    """
    shown, (inside, far) = analysis.shown, drawn_places(analysis.points)
    room = _SIDE - THUMBNAIL
    places = np.rint(inside * room).astype(int)
    colors, legend = _colors(analysis.labels, len(places))
    canvas = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    dots = places + THUMBNAIL // 2
    for offset in np.ndindex(5, 5):
        canvas[_SIDE - 1 - dots[:, 1] + offset[1] - 2, dots[:, 0] + offset[0] - 2] = colors
    for index, pixels in zip(shown.numbers.tolist(), shown.pixels, strict=True):
        left, top = places[index][0], room - places[index][1]
        box = canvas[top : top + THUMBNAIL, left : left + THUMBNAIL]
        box[:] = colors[index]
        frame = _FRAME if legend else 0
        inner = slice(frame, THUMBNAIL - frame)
        box[inner, inner] = pixels[inner, inner]
    method = {"pca": "principal components", "tsne": "t-SNE"}[analysis.method]
    title = f"{analysis.network} {analysis.layer}: {len(places)} pictures by {method}"
    if far:
        title += f"; {far} at the border lie farther out"
    side = 10 * style.scale
    lines = -(-len(legend) // 5)
    figure = blank(side + 0.4, side + style.room(0.6 + 0.2 * lines), title, style)
    axes = figure.subplots()
    show(axes, canvas)
    if analysis.shares is not None:
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_color("#cccccc")
        first, second = (f"{share:.0%} of the variance" for share in analysis.shares)
        axes.set_xlabel(f"first principal component, {first}", **style.text)
        axes.set_ylabel(f"second principal component, {second}", **style.text)
    if legend:
        figure.legend(
            handles=legend, loc="outside lower center", ncols=5, frameon=False,
            fontsize=style.font_size,
        )  # fmt: skip
    return figure


def drawn_places(points: np.ndarray) -> tuple[np.ndarray, int]:
    """The points from 0 to 1 along each axis, and how many were moved to the border for that."""
    first, third = np.quantile(points, [0.25, 0.75], axis=0)
    reach = _FENCE * (third - first)
    lowest = np.quantile(points, _MOST, axis=0, method="higher")
    highest = np.quantile(points, 1 - _MOST, axis=0, method="lower")
    low = np.maximum(points.min(axis=0), np.minimum(first - reach, lowest))
    high = np.minimum(points.max(axis=0), np.maximum(third + reach, highest))
    clipped = np.clip(points, low, high)
    far = int((clipped != points).any(axis=1).sum())
    return (clipped - low) / np.where(high > low, high - low, 1), far


def _colors(labels: Any, number: int) -> tuple[np.ndarray, list[Patch]]:
    """The color of each point, and the legend; gray and none without labels."""
    colors = np.full((number, 3), _GRAY, np.uint8)
    if labels is None:
        return colors, []
    common = Counter(labels.tolist()).most_common()
    legend = []
    for color, (label, count) in zip(_COLORS, common, strict=False):
        colors[labels == label] = np.rint(255 * np.array(color)).astype(np.uint8)
        legend.append(Patch(color=color, label=f"{short(label, 24)} ({count})"))
    if len(common) > len(_COLORS):
        gray = np.array(_GRAY) / 255
        legend.append(Patch(color=(*gray,), label=f"{len(common) - len(_COLORS)} other labels"))
    return colors, legend
