"""Benchmarks: one clock for pytest-benchmark's records and for ours; plots as measured."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from conftest import oracle, script_at

pytestmark = pytest.mark.once

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
GLUE = ("conftest.py", "turns.py", "summary.py", "pytest.ini")
# The first call of each is outside the rounds; in these ours takes 1, 4 and 2 seconds.
FAKE = """
import numpy as np
from turns import Timed

TAKEN = {"ours": iter([100, 1, 4, 2]), "theirs": iter([100, 3, 4, 4])}
ANSWERS = {"ours": np.array([1.0, 2.0]), "theirs": np.array([1.0, 2.5])}


def bench_fake(compare):
    def contestant(name):
        return lambda: print(f"turn of {name}") or Timed(next(TAKEN[name]), ANSWERS[name])

    compare(
        {name: contestant(name) for name in TAKEN}, number=10, unit="images", rounds=3, window=16
    )
"""


@pytest.fixture
def fake(tmp_path):
    """Run pytest on a benchmark whose seconds are known; what it printed."""
    oracle("pytest_benchmark")
    for name in GLUE:
        shutil.copy(BENCHMARKS / name, tmp_path)
    (tmp_path / "bench_fake.py").write_text(FAKE)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}

    def run(*options):
        command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", *options]
        return subprocess.run(
            command, cwd=tmp_path, env=kept, check=True, capture_output=True, text=True
        ).stdout  # fmt: skip

    return run


@pytest.mark.oracle
def test_pytest_benchmark_records_our_seconds(fake, tmp_path):
    printed = fake("--results", "results", "--benchmark-json=run.json", "--benchmark-save=first")
    turns = re.findall(r"turn of (\w+)", printed)
    assert turns == ["ours", "theirs", "ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert "| fake | ours | 5 images/s | 2 |" in printed
    assert "Rounds" not in printed

    (ours,) = (tmp_path / "results").glob("*.json")
    entry = json.loads(ours.read_text())["benchmarks"]["fake"]
    theirs = entry["contestants"]["theirs"]
    assert entry["contestants"]["ours"]["seconds"] == [1, 4, 2]
    assert theirs["seconds"] == [3, 4, 4]
    assert (theirs["ratio_least"], theirs["ratio_median"], theirs["ratio_most"]) == (1, 2, 3)
    assert theirs["largest_difference"] == 0.5

    (recorded,) = json.loads((tmp_path / "run.json").read_text())["benchmarks"]
    assert recorded["stats"]["data"] == [1, 4, 2]
    assert recorded["extra_info"]["contestants"]["theirs"]["ratio_median"] == 2
    assert recorded["extra_info"]["about"] == {"window": 16}

    compared = fake("--benchmark-compare=0001")
    assert "(0001_first)" in compared
    assert "(NOW)" in compared


@pytest.fixture(scope="module")
def plots():
    return script_at(BENCHMARKS / "growth_plots.py")


GROWN = {
    "occlusion": {
        "window": {"incremental": [[16, 0.25], [96, 0.4]], "full": [[16, 1.2], [96, 0.6]]},
        "size": {"incremental": [[131, 0.1], [227, 0.3], [323, 0.7]]},
        "images": {"incremental": [[1, 0.25], [4, 1.1]], "full": [[1, 1.1], [4, 40.0]]},
    },
    "sweep": {
        "batch size": {"jaxviz": [[1, 80.0], [16, 150.0], [32, 155.0], [64, 150.0]]},
        "devices": {"jaxviz": [[1, 130.0], [2, 150.0], [4, 139.0], [8, 115.0]]},
    },
    "neighbors": {"vectors": {"cosine": [[4000, 0.13], [32_000, 1.0], [64_000, 2.0]]}},
}


@pytest.mark.parametrize("part", GROWN)
def test_growth_is_drawn_as_measured(part, plots):
    figure = plots.draw(part, GROWN[part], "a processor, 2 cores")
    figure.canvas.draw()
    for axes, lines in zip(figure.axes, GROWN[part].values(), strict=True):
        for name, points in lines.items():
            (line,) = [one for one in axes.get_lines() if one.get_label() == name]
            assert line.get_xydata().tolist() == points
        low, high = axes.get_ylim()
        assert all(low < y < high for points in lines.values() for _, y in points)


@pytest.mark.parametrize("part", GROWN)
def test_words_in_a_plot_keep_apart(part, plots):
    figure = plots.draw(part, GROWN[part], "a processor, 2 cores")
    figure.canvas.draw()
    words = [figure._suptitle]
    for axes in figure.axes:
        words += [axes.xaxis.label, *axes.get_xticklabels()]
    words += [figure.axes[0].yaxis.label, *figure.axes[0].get_yticklabels()]
    boxes = [word.get_window_extent() for word in words]
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second), (first, second)
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1


def test_plots_lie_beside_the_results_they_show(plots, tmp_path):
    found = {
        "environment": {"processor": "a processor", "cores": 2},
        "parts": {part: {"measured": measured} for part, measured in GROWN.items()},
    }
    (tmp_path / "growth-a-device.json").write_text(json.dumps(found))
    plots.draw_all(tmp_path)
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == {f"growth-a-device-{part}.png" for part in GROWN}


def test_products_are_counted_as_xla_counts_them(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    roofline = script_at(BENCHMARKS / "roofline.py")
    images, kernel = jnp.ones((2, 9, 8, 4)), jnp.ones((3, 3, 2, 6))

    def once(images):
        maps = jax.lax.conv_general_dilated(
            images, kernel, (2, 1), "VALID", feature_group_count=2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        return maps.reshape(2, -1) @ jnp.ones((144, 5))

    traced = jax.jit(once).trace(images)
    found = list(roofline.counted(traced.jaxpr.jaxpr))
    assert sum(one.operations for one in found) == traced.lower().cost_analysis()["flops"]
    many = jax.jit(lambda x: jax.lax.map(once, x)).trace(jnp.ones((7, *images.shape)))
    again = [one for one in roofline.counted(many.jaxpr.jaxpr) if one.operations]
    assert [one.times for one in again] == [7, 7]
    assert sum(one.num_bytes for one in again) == sum(one.num_bytes for one in found)
