"""How cost grows: occlusion, sweeps and neighbors against what makes them larger; with plots.

    python benchmarks/growth.py                      # everything, about six minutes on two cores
    python benchmarks/growth.py --only sweep         # a part; the others' figures stay
    python benchmarks/growth.py --only               # draws again what was measured

Writes results/growth-DEVICE.json and a PNG for each part. Figures are medians of a few calls after
one that compiled; jaxviz runs alone, for what grows is compared with itself.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import turns
from bench_sweep import sweep_jaxviz
from conftest import environment, git_commit
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from summary import device_name, rounded

import jaxviz
from jaxviz import sweep

RESULTS = Path(__file__).resolve().parent / "results"
CALLS = 3


def seconds(function):
    """The median of a few calls, each until its answer is there, after one to compile."""
    jax.block_until_ready(function())
    return statistics.median(turns.timed(function)[0] for _ in range(CALLS))


def series(values, measure):
    """[[value, figure], ...] as they come."""
    found = []
    for value in values:
        found.append([value, measure(value)])
        print(measure.__qualname__, found[-1], flush=True)
    return found


def occlusion():
    """Seconds for one map of SqueezeNet, both methods; what does not grow stays at the base."""
    network = jaxviz.load("squeezenet")
    base = {"window": 32, "stride": 16, "size": 227, "images": 1}
    grown = {
        "window": (16, 32, 64, 96), "stride": (32, 16, 8), "size": (131, 227, 323),
        "images": (1, 2, 4),
    }  # fmt: skip

    def run(method, what, value):
        given = base | {what: value}
        shape = given["images"], given["size"], given["size"], 3
        images = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 50

        def occlude():
            return jaxviz.occlusion_map(
                network.apply, network.params, images, score=jaxviz.log_probability(281),
                window=given["window"], stride=given["stride"], fill=0.0, method=method,
            )  # fmt: skip

        return seconds(occlude)

    return {
        what: {
            method: series(values, lambda value, m=method, w=what: run(m, w, value))
            for method in ("incremental", "full")
        }
        for what, values in grown.items()
    }


def sweeps():
    """Images/s of a sweep of AlexNet over an array in memory."""
    network = jaxviz.load("alexnet")
    pixels = np.random.default_rng(0).integers(0, 256, size=(512, 224, 224, 3), dtype=np.uint8)
    every = ("conv1", "conv2", "conv3", "conv4", "conv5")

    def rate(number=128, batch=32, layers=every):
        found = []
        for _ in range(CALLS):
            pictures = sweep.ArrayPictures(pixels[:number])
            found.append(number / sweep_jaxviz(network, pictures, batch, layers).seconds)
        return statistics.median(found)

    def on_devices(number):
        flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={number}"}
        command = [sys.executable, str(Path(__file__).with_name("bench_sweep.py")), "128"]
        found = []
        for _ in range(CALLS):
            made = subprocess.run(
                command, env=os.environ | flags | {"JAX_PLATFORMS": "cpu"}, check=True,
                capture_output=True, text=True,
            )  # fmt: skip
            found.append(128 / float(made.stdout.split()[0]))
        return statistics.median(found)

    return {
        "batch size": {"jaxviz": series((1, 4, 16, 32, 64), lambda n: rate(batch=n))},
        "images": {"jaxviz": series((64, 128, 256, 512), lambda n: rate(number=n))},
        "layers": {"jaxviz": series((1, 2, 3, 4, 5), lambda n: rate(layers=every[-n:]))},
        "virtual devices of one CPU, 4 images each": {"jaxviz": series((1, 2, 4, 8), on_devices)},
    }


def neighbors():
    """Seconds to find 10 neighbors of 1,000 vectors of 4,096 numbers, exactly."""
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((1000, 4096), np.float32)
    most = 64_000
    database = np.empty((most, 4096), np.float32)
    for first in range(0, most, 1000):
        database[first : first + 1000] = rng.standard_normal((1000, 4096), np.float32)

    def run(metric, rows):
        given = database[:rows]
        return seconds(lambda: jaxviz.nearest_neighbors(queries, given, k=10, metric=metric))

    sizes = (4000, 8000, 16_000, 32_000, most)
    return {
        "vectors in the database": {
            metric: series(sizes, lambda rows, m=metric: run(m, rows))
            for metric in ("cosine", "euclidean")
        }
    }


PARTS = {
    "occlusion": (occlusion, "Occlusion by SqueezeNet: window 32, stride 16, one image of 227 "
                  "pixels, where nothing else is said", "seconds for a map", {
        "window": "side of the window, pixels", "stride": "step between windows, pixels",
        "size": "side of the image, pixels", "images": "images",
    }),
    "sweep": (sweeps, "Top patches by AlexNet from an array in memory: batch 32, 128 images, five "
              "layers, where nothing else is said", "images/s", {}),
    "neighbors": (neighbors, "10 nearest neighbors, 4,096 numbers, exact",
                  "seconds for 1,000 queries", {}),
}  # fmt: skip
COLORS = ("#d95f02", "#5e3c99")


def draw(part, measured, where):
    """One panel for each thing that grows; both axes logarithmic, so a straight line is a power."""
    _, title, unit, names = PARTS[part]
    figure = Figure(figsize=(3.4 * len(measured) + 1.6, 3.6), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(measured), squeeze=False, sharey=True)[0]
    for axes, (what, lines) in zip(panels, measured.items(), strict=True):
        for color, (name, points) in zip(COLORS, lines.items(), strict=False):
            x, y = zip(*points, strict=True)
            axes.plot(x, y, "o-", color=color, label=name)
        axes.set(xscale="log", yscale="log", xlabel=names.get(what, what))
        axes.set_xticks(x, [f"{value:,}" for value in x])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        if len(lines) > 1:
            axes.legend(frameon=False)
    low, high = panels[0].get_ylim()
    ticks = [t * 10.0**e for e in range(-3, 5) for t in (1, 2, 5) if low <= t * 10.0**e <= high]
    panels[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panels[0].set_ylabel(unit)
    figure.suptitle(f"{title}\n{where}", fontsize=10)
    FigureCanvasAgg(figure)
    figure.savefig(RESULTS / f"growth-{part}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=PARTS, default=[*PARTS])
    about = environment()
    path = RESULTS / f"growth-{device_name(about)}.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"parts": {}}
    for part in parser.parse_args().only:
        found["environment"] = about
        figures = PARTS[part][0]()
        found["parts"][part] = {"commit": git_commit(), "measured": rounded(figures)}
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    where = f"{found['environment']['processor']}, {found['environment']['cores']} cores"
    for part, one in found["parts"].items():
        draw(part, one["measured"], where)


if __name__ == "__main__":
    main()
