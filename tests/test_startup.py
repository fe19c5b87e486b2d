"""What starting costs: help imports nothing heavy, and the public names are there all the same."""

import ast
import subprocess
import sys
import types
from pathlib import Path

import pytest

import jaxviz
from jaxviz.cli import app

HEAVY = {"jax", "jaxlib", "flax", "matplotlib", "numpy", "PIL", "safetensors"}
COMMANDS = [command.callback.__name__ for command in app.registered_commands]
STUB = ast.parse(Path(jaxviz.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))


def fresh(code, *arguments):
    """Run code in an interpreter of its own and return what it printed last."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
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
        "import jaxviz.networks.registry\n"
        "print(type(jaxviz.networks).__name__, jaxviz.networks()[0])"
    )
    assert fresh(code) == f"{types.FunctionType.__name__} alexnet"
