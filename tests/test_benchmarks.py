"""Benchmarks: one clock for pytest-benchmark's records and for ours."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
    pytest.importorskip("pytest_benchmark")
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
