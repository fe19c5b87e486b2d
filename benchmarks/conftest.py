"""What every benchmark shares: photographs, and a run that keeps compile time apart."""

import datetime
import importlib.metadata
import platform
import subprocess
import time
from pathlib import Path

import jax
import pytest

import jaxviz
from jaxviz._compilation import compiler_options
from jaxviz.images import find_pictures, load_pictures

ROOT = Path(__file__).resolve().parents[1]
COMPILE_EVENTS = (
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


def git_commit():
    """The commit that is measured, marked `-dirty` where the working tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--match="]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"


@pytest.fixture(scope="session")
def environment():
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": git_commit(),
        "jaxviz": jaxviz.__version__,
        "jax": jax.__version__,
        "jaxlib": importlib.metadata.version("jaxlib"),
        "python": platform.python_version(),
        "platform": jax.default_backend(),
        "device_kind": jax.devices()[0].device_kind,
        "num_devices": jax.local_device_count(),
        "compiler_options": str(compiler_options() or {}),
    }


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


@pytest.fixture(scope="session")
def compile_clock():
    """Seconds that JAX reports to have spent on lowering and compiling, summed up so far."""
    spent = [0.0]

    def listen(event, seconds, **_):
        if event in COMPILE_EVENTS:
            spent[0] += seconds

    jax.monitoring.register_event_duration_secs_listener(listen)
    return lambda: spent[0]


@pytest.fixture
def measure(benchmark, environment, compile_clock):
    """`measure(function, *args, number=n, unit="images", rounds=5)` times a jaxviz call.

    The first call compiles and stays outside the rounds; each round is one later call, which ends
    when its results are there. `number` is how many units one call works through.
    """

    def timed(function, *args, number, unit, rounds=5):
        def call():
            return jax.block_until_ready(function(*args))

        jax.clear_caches()
        compiled_before, start = compile_clock(), time.perf_counter()
        call()
        first, compiling = time.perf_counter() - start, compile_clock() - compiled_before
        compiled_before = compile_clock()
        benchmark.pedantic(call, rounds=rounds, iterations=1)
        benchmark.extra_info |= environment
        benchmark.extra_info |= {
            "compile_seconds": compiling,
            "first_call_seconds": first,
            "recompile_seconds": compile_clock() - compiled_before,
        }
        if benchmark.stats is not None:  # it is with --benchmark-disable
            benchmark.extra_info[f"{unit}_per_second"] = number / benchmark.stats.stats.median

    return timed
