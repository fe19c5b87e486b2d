"""How cost grows: occlusion, sweeps and neighbors against what makes them larger; with plots.

    python benchmarks/growth.py                      # everything, about six minutes on two cores
    python benchmarks/growth.py --only sweep         # a part; the others' figures stay

Writes results/growth-DEVICE.json and, by growth_plots.py, a PNG for each part. Figures are medians
of a few calls after one that compiled; jaxviz runs alone, for what grows is compared with itself.
"""

import argparse
import functools
import statistics
import time
from pathlib import Path

import bench_sweep
import growth_plots
import jax
import numpy as np
import turns
from conftest import environment, git_commit
from summary import device_name, kept, rounded, save

import jaxviz
from jaxviz import sweep

CALLS = 3
METHODS = ("incremental", "full")


def medians(measures):
    """The median of each over a few rounds; in turns, so that a slow minute hits all alike."""
    found = {key: [] for key in measures}
    for _ in range(CALLS):
        for key, measure in measures.items():
            found[key].append(measure())
    return {key: statistics.median(figures) for key, figures in found.items()}


def seconds(function):
    """What measures one call until its answer is there; compiled here."""
    jax.block_until_ready(function())
    return lambda: turns.timed(function)[0]


def occlusion():
    """Seconds for the maps of SqueezeNet, both methods; what does not grow stays at the base."""
    network = jaxviz.load("squeezenet")
    base = {"window": 32, "stride": 16, "size": 227, "images": 1}
    grown = {
        "window": (16, 32, 64, 96), "stride": (8, 16, 32), "size": (131, 227, 323),
        "images": (1, 2, 4),
    }  # fmt: skip

    def measure(method, window, stride, size, images):
        shape = images, size, size, 3
        pixels = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 50

        def occlude():
            return jaxviz.occlusion_map(
                network.apply, network.params, pixels, score=jaxviz.log_probability(281),
                window=window, stride=stride, fill=0.0, method=method,
            )  # fmt: skip

        return seconds(occlude)

    def point(method, what, value):
        return method, *(base | {what: value}).values()

    points = {
        point(method, what, value)
        for method in METHODS for what, values in grown.items() for value in values
    }  # fmt: skip
    found = medians({key: measure(*key) for key in sorted(points)})
    return {
        what: {
            method: [[value, found[point(method, what, value)]] for value in values]
            for method in METHODS
        }
        for what, values in grown.items()
    }


def sweeps():
    """Images/s of a sweep of AlexNet over an array in memory."""
    network = jaxviz.load("alexnet")
    pixels = np.random.default_rng(0).integers(0, 256, size=(768, 224, 224, 3), dtype=np.uint8)
    every = ("conv1", "conv2", "conv3", "conv4", "conv5")

    base = {"images": 192, "batch size": 8, "layers": 5}
    grown = {
        "batch size": (1, 4, 8, 16, 32, 64), "images": (96, 192, 384, 768),
        "layers": (1, 2, 3, 4, 5),
    }  # fmt: skip

    def rate(number, batch, layers):
        pictures = sweep.ArrayPictures(pixels[:number])
        return number / bench_sweep.sweep_jaxviz(network, pictures, batch, every[-layers:]).seconds

    def rate_on_devices(devices, number=192):
        return number / bench_sweep.on_devices(devices, number)[0].seconds

    def point(what, value):
        return tuple((base | {what: value}).values())

    points = {point(what, value) for what, values in grown.items() for value in values}
    found = medians({key: functools.partial(rate, *key) for key in sorted(points)})
    on_devices = medians({n: functools.partial(rate_on_devices, n) for n in (1, 2, 4, 8)})
    measured = {
        what: [[value, found[point(what, value)]] for value in values]
        for what, values in grown.items()
    } | {"devices": [[*one] for one in on_devices.items()]}
    return {what: {"jaxviz": one} for what, one in measured.items()}


def neighbors():
    """Seconds to find 10 neighbors of 1,000 vectors of 4,096 numbers, exactly."""
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((1000, 4096), np.float32)
    most = 64_000
    database = np.empty((most, 4096), np.float32)
    for first in range(0, most, 1000):
        database[first : first + 1000] = rng.standard_normal((1000, 4096), np.float32)

    def measure(metric, rows):
        given = database[:rows]
        return seconds(lambda: jaxviz.nearest_neighbors(queries, given, k=10, metric=metric))

    sizes, metrics = (4000, 8000, 16_000, 32_000, most), ("cosine", "euclidean")
    found = medians({(one, rows): measure(one, rows) for one in metrics for rows in sizes})
    return {"vectors": {one: [[rows, found[one, rows]] for rows in sizes] for one in metrics}}


PARTS = {"occlusion": occlusion, "sweep": sweeps, "neighbors": neighbors}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--results", type=Path, default=growth_plots.RESULTS, help="a folder")
    given = parser.parse_args()
    about = environment()
    path = given.results / f"growth-{device_name(about)}.json"
    found = {"environment": about, "parts": kept(path, about, "parts")}
    commit = git_commit()  # before a file of results makes the working tree differ from it
    for part in given.only:
        started = time.perf_counter()
        measured = rounded(PARTS[part]())
        found["parts"][part] = {"commit": commit, "measured": measured}
        save(found, path)
        print(f"{part}: {time.perf_counter() - started:.0f} s", flush=True)
    growth_plots.draw_all(given.results)


if __name__ == "__main__":
    main()
