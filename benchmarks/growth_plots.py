"""Draws how cost grows, from what growth.py measured.

python benchmarks/growth_plots.py     # draws every results/growth-DEVICE.json again
"""

import json
import textwrap
from pathlib import Path
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

RESULTS = Path(__file__).resolve().parent / "results"
COLORS = ("#d95f02", "#5e3c99")


class Part(NamedTuple):
    """What a picture says beside its figures."""

    title: str
    unit: str
    rate: bool = False  # on an axis from zero; seconds are on a logarithmic one


PARTS = {
    "occlusion": Part(
        "Occlusion of SqueezeNet: seconds for all maps. What does not grow in a panel: "
        "window 32, stride 16, one image of 227 pixels.",
        "seconds",
    ),
    "sweep": Part(
        "Top patches of AlexNet's five convolutions: images/s of a sweep. What does not grow in "
        "a panel: 192 images in memory, batch 8, one device.",
        "images/s",
        rate=True,
    ),
    "neighbors": Part(
        "The 10 nearest neighbors of 1,000 vectors of 4,096 numbers, exact.", "seconds"
    ),
}
LABELS = {
    "window": "side of the window, pixels",
    "stride": "stride of the window, pixels",
    "size": "side of the image, pixels",
    "images": "number of images",
    "batch size": "batch size",
    "layers": "layers, from conv5 down",
    "devices": "devices that share the processor,\n4 images each",
    "vectors": "vectors in the database",
}
IN_PROPORTION = ("images", "vectors")


def draw(part, measured, where):
    """A panel for each thing that grows; dots are what was measured."""
    about, columns = PARTS[part], len(measured)
    layout = ConstrainedLayoutEngine(h_pad=0.12)  # inches; a tick's label may rise above its axes
    figure = Figure(figsize=(2.7 * columns + 2.6, 3.9), dpi=110, layout=layout)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, columns, squeeze=False, sharey=True)[0]
    for axes, (what, lines) in zip(panels, measured.items(), strict=True):
        for color, (name, points) in zip(COLORS, lines.items(), strict=False):
            x, y = zip(*points, strict=True)
            axes.plot(x, y, "o-", color=color, label=name)
        if what in IN_PROPORTION and not about.rate:
            for (first, took), *_, (last, _) in lines.values():
                dotted = [took, took * last / first]
                (line,) = axes.plot([first, last], dotted, ":", color="#888888", zorder=1)
            line.set_label("in proportion")
        axes.set(xscale="log", xlabel=LABELS[what])
        axes.set_xticks(x, [f"{value:,}" for value in x])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        if axes is panels[-1] and len(lines) > 1:
            axes.legend(frameon=False, fontsize=9)
    panels[0].set_ylabel(about.unit)
    if about.rate:
        panels[0].set_ylim(0, 1.08 * panels[0].get_ylim()[1])
    else:
        _seconds(panels[0])
    wide = int(figure.get_figwidth() * 13)
    figure.suptitle("\n".join([*textwrap.wrap(about.title, wide), where]), fontsize=10)
    return figure


def _seconds(axes):
    """A logarithmic axis with 1, 2 and 5 of every power of ten, and room for two of them."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low / 1.2, high * 1.2)
    low, high = axes.get_ylim()
    ticks = [t * 10.0**e for e in range(-4, 5) for t in (1, 2, 5) if low <= t * 10.0**e <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def draw_all(folder):
    """A PNG beside each file of results for each part in it."""
    for path in sorted(folder.glob("growth-*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        where = f"{found['environment']['processor']}, {found['environment']['cores']} cores"
        for part, one in found["parts"].items():
            draw(part, one["measured"], where).savefig(path.with_name(f"{path.stem}-{part}.png"))


if __name__ == "__main__":
    draw_all(RESULTS)
