"""What every benchmark shares: the `compare` fixture, inputs, and the file all results go to."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import jax
import pytest
import summary
import turns

import jaxviz
from jaxviz.cpu.policy import compiler_options
from jaxviz.pictures.folders import find_pictures
from jaxviz.pictures.sets import load_pictures

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "jax", "jaxlib", "flax", "numpy", "torch", "captum", "faiss-cpu", "scikit-learn",
    "torch-lucent",
)  # fmt: skip
RESULTS = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--results", type=Path, help="folder of DEVICE.json, to be made or updated")
    parser.addoption("--rounds", type=int, help="rounds of every benchmark, for a quick look")


def pytest_configure(config):
    config.stash[RESULTS] = {}
    config.option.benchmark_timer = "turns.clock"


def pytest_benchmark_group_stats(config):
    """No table of pytest-benchmark's, which has first contestants only, but to compare runs."""
    wanted = ("compare", "cprofile", "histogram")
    return None if any(getattr(config.option, f"benchmark_{one}") for one in wanted) else []


def pytest_benchmark_generate_machine_info():
    """What must be the same for two runs to be compared."""
    return environment()


def pytest_terminal_summary(terminalreporter, config):
    found = config.stash[RESULTS]
    if not found:
        return
    results = {"environment": environment(), "benchmarks": found}
    terminalreporter.write_line("\n" + summary.markdown(results))
    if config.option.results:
        terminalreporter.write_line(f"\n{summary.write(results, config.option.results)}")


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_commit():
    """The commit that is measured, marked `-dirty` where the working tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--match="]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def processor():
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def environment():
    return {
        "platform": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.local_device_count(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "python": platform.python_version(),
        "jaxviz": jaxviz.__version__,
        **{package: version(package) for package in PACKAGES},
        "compiler_options": str(compiler_options() or {}),
    }


@pytest.fixture
def compare(request, benchmark):
    """`compare({"jaxviz": function, "torch": other}, number=n, unit="images", rounds=5)`.

    Each function takes nothing and returns its answer; it ends when the answer is there. `number`
    is how many units one call works through. Keywords beside these say what was measured. Returns
    the figures of each contestant by name.
    """

    def run(contestants, *, number, unit, rounds=5, **about):
        figures = turns.in_turns(contestants, request.config.option.rounds or rounds, benchmark)
        for one in figures.values():
            one["per_second"] = number / one["seconds_median"]
        name = request.node.name.removeprefix("bench_")
        entry = {
            "commit": git_commit(), "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "number": number, "unit": unit, "about": about, "contestants": figures,
        }  # fmt: skip
        request.config.stash[RESULTS][name] = entry
        benchmark.extra_info |= entry
        return figures

    return run


@pytest.fixture(scope="session")
def load():
    """`jaxviz.load`, each network once."""
    loaded = {}

    def load_once(name):
        if name not in loaded:
            loaded[name] = jaxviz.load(name)
        return loaded[name]

    return load_once


@pytest.fixture(scope="session")
def photographs(load):
    """`photographs(name, number)`: normalized example photographs on the device, repeated."""

    def photographs_for(name, number):
        network = load(name)
        paths = find_pictures([ROOT / "examples" / "images"])
        paths = [paths[i % len(paths)] for i in range(number)]
        pixels = load_pictures(paths, network.spec.preprocessing).pixels
        return jax.block_until_ready(network.preprocess(list(pixels)))

    return photographs_for
