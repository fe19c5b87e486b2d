"""The figure of a probe: right answers by layer, and which classes are taken for which."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from ..analyses.base import short
from ..analyses.probing import ProbeAnalysis
from .dispatch import figure_of
from .figure import blank
from .style import SCREEN, Style, printable

_TRAINED, _SHUFFLED, _LINE = "#b35806", "#8c8c8c", "#542788"
_LARGEST = 0.5  # inches, of a picture
_PICTURED = 24  # classes, of which each has a picture and numbers


@figure_of.register
def probe_accuracies(analysis: ProbeAnalysis, *, style: Style = SCREEN) -> Figure:
    """On the left how often each layer is right, on the right what is taken for what."""
    number = len(analysis.classes)
    side = float(np.clip(0.45 * number, 3.2, 9)) * style.scale
    title = (
        f"{analysis.network}: telling {number} classes apart by a linear classifier, "
        f"{len(analysis.truth)} pictures"
    )
    height = max(side + style.room(0.9), 0.4 * len(analysis.layers) + style.room(1.2))
    figure = blank(4.6 * style.scale + side + 0.9, height, title, style)
    left, right = figure.subplots(1, 2, width_ratios=[4.2 * style.scale, side + 0.6])
    _accuracies(left, analysis, style)
    _confusion(right, analysis, side, style)
    return figure


def _accuracies(axes: Any, analysis: ProbeAnalysis, style: Style) -> None:
    places = np.arange(len(analysis.layers))
    drawn = [(analysis.accuracy, analysis.intervals, _TRAINED, "trained", 0.0)]
    if analysis.shuffled is not None and analysis.shuffled_intervals is not None:
        drawn.append(
            (analysis.shuffled, analysis.shuffled_intervals, _SHUFFLED, "weights shuffled", 0.22)
        )
    for shares, intervals, color, label, down in drawn:
        axes.errorbar(
            shares, places + down, xerr=np.abs(intervals.T - shares[None]), fmt="o", color=color,
            markersize=5, elinewidth=1.5, label=label,
        )  # fmt: skip
    axes.axvline(analysis.pixels, color=_LINE, linestyle="--", linewidth=1.2, label="raw pixels")
    axes.axvspan(
        *analysis.pixels_interval, color=_LINE, alpha=0.08, linewidth=0, label="and their interval"
    )
    axes.axvline(
        analysis.chance, color="#bbbbbb", linestyle=":", linewidth=1.2, label="largest class"
    )
    axes.set_yticks(places, [printable(short(name, 28)) for name in analysis.layers])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.tick_params(labelsize=style.font_size)
    axes.set_xlabel("right answers, with 95 % intervals", **style.text)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    axes.legend(
        fontsize=style.font_size, frameon=False, loc="lower center", ncols=2,
        bbox_to_anchor=(0.5, 1.0),
    )  # fmt: skip


def _confusion(axes: Any, analysis: ProbeAnalysis, side: float, style: Style) -> None:
    table = analysis.confusion
    number = len(table)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Oranges", vmin=0, vmax=1.3, interpolation="nearest")
    axes.tick_params(length=0)
    for edge in axes.spines.values():
        edge.set_visible(False)
    names = [printable(short(name, 14)) for name in analysis.classes]
    axes.set_xlabel(f"what {analysis.layer} takes it for", **style.text)
    axes.set_ylabel("what it is", **style.text)
    axes.set_title("pictures that were left out of the fit", **style.text)
    if number > _PICTURED:
        axes.set(xticks=[], yticks=[])
        return
    small = min(0.8 * side / number, _LARGEST)  # inches
    for row, col in zip(*np.nonzero(table), strict=True):
        axes.text(col, row, str(table[row, col]), ha="center", va="center", **style.text)
    pad = 72 * small + 4
    axes.set_xticks(range(number), names, rotation=90, fontsize=style.font_size)
    axes.set_yticks(range(number), names, fontsize=style.font_size)
    axes.tick_params(axis="both", pad=pad)
    zoom = 72 * small / analysis.thumbnails.shape[1]
    for place, pixels in enumerate(analysis.thumbnails):
        for edge, side_of in (((-0.5, place), (1, 0.5)), ((place, number - 0.5), (0.5, 1))):
            offset = (2 - 4 * side_of[0], 2 - 4 * side_of[1])  # points, away from the matrix
            axes.add_artist(
                AnnotationBbox(
                    OffsetImage(pixels, zoom=zoom),
                    edge,
                    offset,
                    boxcoords="offset points",
                    frameon=False,
                    pad=0,
                    annotation_clip=False,
                    box_alignment=side_of,
                )
            )
