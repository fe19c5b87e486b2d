"""What starting costs: help imports nothing heavy, and compiled programs are found again."""

import ast
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import jaxviz
from jaxviz.cli import app, startup

pytestmark = [pytest.mark.once, pytest.mark.optimized]

HEAVY = {"jax", "jaxlib", "flax", "matplotlib", "numpy", "PIL", "safetensors"}
COMMANDS = [command.callback.__name__ for command in app.registered_commands]
STUB = ast.parse(Path(jaxviz.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))


def fresh(code, *arguments, **environment):
    """Run code in an interpreter of its own and return what it printed last."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    own = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "TF_CPP_MIN_LOG_LEVEL")  # of the tests
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=inherited | environment
    )
    assert not done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS), ("weights", "list")])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from jaxviz.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted(sys.modules))"
    )
    loaded = set(ast.literal_eval(fresh(code, *arguments, "--help")))
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_importing_the_package_imports_nothing_heavy():
    assert not set(ast.literal_eval(fresh("import sys, jaxviz; print([*sys.modules])"))) & HEAVY


def test_every_name_of_the_stub_is_there():
    imports = [node for node in STUB.body if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports for alias in node.names}
    assert names == set(jaxviz.__all__) == set(dir(jaxviz))
    for node in imports:
        for alias in node.names:
            assert alias.asname == alias.name  # type checkers take it for public
            assert getattr(jaxviz, alias.name) is not None
    star = {}
    exec("from jaxviz import *", star)
    assert names <= set(star)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="heatmaps"):
        _ = jaxviz.heatmaps


def test_a_package_of_the_same_name_hides_no_function():
    code = (
        "import jaxviz.networks.catalog\n"
        "print(type(jaxviz.networks).__name__, jaxviz.networks()[0])"
    )
    assert fresh(code) == f"{types.FunctionType.__name__} alexnet"


COUNTED = """
import collections, sys
from jaxviz.cli import main, startup
startup.prepare()
import jax
seen = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: seen.update([event.split("/")[-1]]))
try: main()
except SystemExit as end: assert not end.code
print(seen["cache_hits"], seen["compile_requests_use_cache"])
"""


@pytest.fixture
def activations(photographs, tmp_path):
    """Run a command with a cache folder; (programs found, programs asked for), and the numbers."""

    def run(folder):
        output = tmp_path / "maps.png"
        given = ("activations", photographs / "cat" / "chelsea.png", "--top", 1, "-o", output)
        found, asked = fresh(COUNTED, *given, "--save-arrays", JAXVIZ_CACHE=str(folder)).split()
        return int(found), int(asked), output.with_suffix(".npz").read_bytes()

    return run


def test_the_second_command_compiles_nothing_and_gives_the_same_bits(activations, tmp_path):
    found, asked, first = activations(tmp_path / "cache")
    assert found == 0 < asked
    programs = sorted((tmp_path / "cache" / "compiled").iterdir())
    assert programs
    found, again, second = activations(tmp_path / "cache")
    assert found == again == asked
    assert second == first

    for path in programs:  # as if the first command had been killed while it wrote
        path.write_bytes(path.read_bytes()[:100])
    found, _, third = activations(tmp_path / "cache")
    assert found == 0
    assert third == first


def test_a_folder_that_cannot_be_written_does_no_harm(activations, tmp_path):
    (tmp_path / "file").touch()
    found, _, _ = activations(tmp_path / "file")
    assert found == 0
    assert (tmp_path / "file").is_file()


def test_the_library_leaves_settings_alone():
    code = "import jaxviz, jax\njaxviz.load('alexnet')\nprint(jax.config.jax_compilation_cache_dir)"
    assert fresh(code) == "None"
    before = dict(os.environ)
    startup.prepare()  # JAX runs here already
    assert before == dict(os.environ)


def test_the_folder_stays_small(tmp_path, monkeypatch):
    for age in range(5):
        path = tmp_path / f"program{age}"
        path.write_bytes(bytes(10))
        os.utime(path, (1000 - age, 1000 - age))
    monkeypatch.setattr(startup, "_MAX_BYTES", 30)
    startup._shrink(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["program0", "program1", "program2"]
    startup._shrink(tmp_path / "absent")
