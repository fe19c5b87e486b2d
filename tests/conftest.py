"""Fixtures and settings for all tests: annotations are checked as the code runs."""

import atexit
import contextlib
import functools
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import jaxtyping
import pytest
from browsing import address, browser, open_page  # noqa: F401 - fixtures
from hypothesis import settings

# What one test compiled serves the others, in all workers and in the commands that they start, and
# nothing is left in the user's cache folder.
if "PYTEST_XDIST_WORKER" not in os.environ:
    compiled = tempfile.mkdtemp(prefix="jaxviz-tests-")
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # jaxlib may reject a program, and compile it again

# Compilation takes most of the time of the tests; modules that are marked as `optimized`, and runs
# that say so themselves, compile as users do.
OPTIMIZATION = "JAX_DISABLE_MOST_OPTIMIZATIONS"
if OPTIMIZATION not in os.environ:
    os.environ |= {OPTIMIZATION: "1", "JAXVIZ_OPTIMIZE_MARKED": "1"}

# Before anything imports the package: every annotated function checks its arguments and results.
# As in every type checker, an int will do for a float.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
hook = jaxtyping.install_import_hook("jaxviz", CHECKER)

pytest.register_assert_rewrite("sweeping", "tolerances")  # asserts in helpers, under python -O too

settings.register_profile("jaxviz", derandomize=True, deadline=None, database=None, max_examples=25)
settings.load_profile("jaxviz")

ROOT = Path(__file__).resolve().parents[1]


def script_at(path):
    """Load a script that is part of no package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def oracle(name):
    """Import a program that tests compare with; without it they skip, unless oracles are asked for.

    `make test-oracles` installs all of them and lets no test skip.
    """
    if "JAXVIZ_ORACLES" in os.environ:
        return importlib.import_module(name)
    return pytest.importorskip(name)


def refusal(function, *arguments, **options):
    """Call a function that must refuse what it is given; return the one line in which it does."""
    from jaxviz import InputError

    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


collect_ignore = ["oracles"]  # scripts, some of which need torch


@pytest.fixture(autouse=True, scope="session")
def no_fetched_weights(tmp_path_factory):
    """Whatever weights the user has fetched, the tests see none but their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXVIZ_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="module")
def optimization(request):
    """Modules that are marked as `optimized` compile as users do, in commands too.

    JAX takes what it compiled either way for the same program, so that nothing may be kept.
    """
    if "JAXVIZ_OPTIMIZE_MARKED" not in os.environ or not request.node.get_closest_marker(
        "optimized"
    ):
        yield
        return
    import jax

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OPTIMIZATION, "0")
        jax.config.update(OPTIMIZATION.lower(), False)
        jax.clear_caches()
        yield
    jax.config.update(OPTIMIZATION.lower(), True)
    jax.clear_caches()


@pytest.fixture(autouse=True, scope="session")
def quick_tours():
    """Tours make images in two steps; what these look like, `make tour` shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxviz.report.tour._STEPS", 2)
        yield


@pytest.fixture
def unchecked():
    """Turn the annotations' checks off, to see what a caller without them is told."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def photographs():
    """The folder of example photographs."""
    return ROOT / "examples" / "images"


@pytest.fixture(scope="session")
def alexnet():
    """AlexNet as shipped: conv1 to pool5."""
    import jaxviz

    return jaxviz.load("alexnet")


@pytest.fixture(scope="session")
def squeezenet():
    """SqueezeNet as shipped: complete."""
    import jaxviz

    return jaxviz.load("squeezenet")


@pytest.fixture(scope="session")
def efficientnet_lite0():
    """EfficientNet-Lite0 as shipped: complete."""
    import jaxviz

    return jaxviz.load("efficientnet_lite0")


@pytest.fixture(scope="session")
def weights_files(tmp_path_factory):
    """Weights by name; the complete AlexNet is made once, with random dense layers."""
    from oracles.complete_alexnet import write

    shipped = ROOT / "weights"
    complete = tmp_path_factory.mktemp("complete") / "complete.safetensors"
    yield {
        "alexnet": shipped / "alexnet.safetensors",
        "squeezenet": shipped / "squeezenet.safetensors",
        "efficientnet_lite0": shipped / "efficientnet_lite0.safetensors",
        "alexnet_complete": write(shipped / "alexnet.safetensors", complete),
    }
    complete.unlink()  # 244 MB


@pytest.fixture(scope="session")
def complete_alexnet(weights_files):
    """AlexNet with fc6, fc7 and fc8, whose numbers are random."""
    import jaxviz

    return jaxviz.load("alexnet", weights=weights_files["alexnet_complete"])


@pytest.fixture(scope="session")
def ported_alexnet(weights_files, tmp_path_factory):
    """The complete AlexNet as `jaxviz weights get` leaves it in the cache."""
    from jaxviz.porting import port_weights

    file = tmp_path_factory.mktemp("ported") / "alexnet.safetensors"
    port_weights(weights_files["alexnet_complete"], file, metadata={"source": "a test"})
    yield file
    file.unlink()  # 244 MB


@pytest.fixture
def fetched_alexnet(ported_alexnet, monkeypatch):
    """The complete AlexNet in a cache of this test's own."""
    monkeypatch.setenv("JAXVIZ_CACHE", str(ported_alexnet.parent))
    return ported_alexnet


@pytest.fixture(scope="session")
def caffe_weights(tmp_path_factory):
    """Random weights for caffe_alexnet and caffenet, which have the same tensors."""
    from oracles import complete_caffe
    from safetensors.numpy import save_file

    file = tmp_path_factory.mktemp("caffe") / "caffe.safetensors"
    save_file(complete_caffe.as_ours(complete_caffe.weights()), file)
    yield file
    file.unlink()  # 244 MB


def make_networks_tiny(patch):
    """Every network takes the parameters of one tiny AlexNet, for files of a few kilobytes.

    They would all fit named arrays alike, so that there only AlexNet is looked for.
    """
    from foreign_files import tiny_shapes

    from jaxviz.networks import catalog

    patch.setattr(catalog, "parameter_shapes", tiny_shapes)
    patch.setattr(catalog, "networks", lambda: ("alexnet",))


@pytest.fixture
def tiny_networks(monkeypatch):
    make_networks_tiny(monkeypatch)


@pytest.fixture
def ported(tmp_path, tiny_networks):
    """A function that ports bytes which are weights of the tiny network."""
    from jaxviz.porting import read_foreign

    def port(data):
        (tmp_path / "foreign").write_bytes(data)
        return read_foreign(tmp_path / "foreign")

    return port


@pytest.fixture(name="refusal")
def refusal_of_ported(ported):
    """A function that ports bytes which are refused; it returns the one line in which they are."""
    return functools.partial(refusal, ported)


@pytest.fixture
def refused(tmp_path):
    """The same, to a file; it returns what is said of the foreign one, with nothing else there."""
    from jaxviz.porting import port_weights

    def refuse(data):
        path = tmp_path / "foreign"
        path.write_bytes(data)
        message = refusal(port_weights, path, tmp_path / "ours.safetensors")
        assert message.startswith(f"weights: {path}: ")
        assert [file.name for file in tmp_path.iterdir()] == ["foreign"]
        return message.removeprefix(f"weights: {path}: ")

    return refuse


@pytest.fixture
def cheap():
    """A block that may take little time of the processor, and little memory at any one time."""

    @contextlib.contextmanager
    def block(memory=48 * 2**20, seconds=5):
        tracemalloc.start()
        start = time.process_time()
        try:
            yield
        finally:
            took = time.process_time() - start
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert took < seconds
        assert peak < memory

    return block


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line in this process: command("filters", ...) -> (exit code, out, err)."""

    def run(*arguments):
        from jaxviz.cli import main

        monkeypatch.setattr(sys, "argv", ["jaxviz", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run
