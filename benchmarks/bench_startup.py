"""How long a person waits: the command line as a cold process, imports and all included."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PICTURE = Path(__file__).resolve().parents[1] / "examples/images/cat/chelsea.png"


def command(*arguments, **environment):
    def run():
        subprocess.run(
            [sys.executable, "-m", "jaxviz", *arguments],
            check=True, capture_output=True, env=os.environ | environment,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("arguments", ["--help", "occlude --help"])
def bench_startup_help(arguments, compare):
    compare({"jaxviz": command(*arguments.split())}, number=1, unit="commands", rounds=7)


@pytest.mark.parametrize("arguments", ["weights list", "filters"])
def bench_startup_command(arguments, tmp_path, monkeypatch, compare):
    kept = {"JAXVIZ_CACHE": str(tmp_path / "cache")}
    monkeypatch.chdir(tmp_path)
    compare({"jaxviz": command(*arguments.split(), **kept)}, number=1, unit="commands", rounds=5)


def bench_startup_occlude(tmp_path, monkeypatch, compare):
    """Once more, as it is the second time, beside the first time, when all is compiled."""
    arguments = ("occlude", str(PICTURE), "-o", "occluded.png")
    kept = {"JAXVIZ_CACHE": str(tmp_path / "cache")}
    monkeypatch.chdir(tmp_path)
    compare(
        {
            "jaxviz": command(*arguments, **kept),
            "jaxviz, for the first time": command(
                *arguments, JAX_ENABLE_COMPILATION_CACHE="false"
            ),
        },
        number=1, unit="commands", rounds=5,
    )  # fmt: skip
