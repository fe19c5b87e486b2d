"""How long a person waits: the command line as a cold process, imports and compilation included."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["--help", "filters"])
def bench_startup(command, tmp_path, benchmark, environment):
    arguments = [command] if command == "--help" else [command, "-o", str(tmp_path / "filters.png")]

    def run():
        subprocess.run(
            [sys.executable, "-m", "jaxviz", *arguments], check=True, capture_output=True
        )

    benchmark.pedantic(run, rounds=3, iterations=1)
    benchmark.extra_info |= environment
    if benchmark.stats is not None:
        benchmark.extra_info["wall_seconds"] = benchmark.stats.stats.median
