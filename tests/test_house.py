"""The house keeps its floors: what may import what, and how the public functions look."""

import ast
import inspect
from pathlib import Path

import pytest

import jaxviz

pytestmark = pytest.mark.once

PACKAGE = Path(jaxviz.__file__).parent

# Each room and the floor it is on; imports go strictly downward, but inside a package.
FLOORS = {
    "_typing": 0, "_remembered": 0, "_checks": 1, "_prefetch": 1, "_safetensors": 1,
    "_blur": 2, "_statistics": 2,
    "jaxpr": 2, "files": 2,
    "cpu": 3, "backward": 3, "_contract": 3, "_independence": 3,
    "_asked": 4,
    "pictures": 4, "devices": 4, "incremental": 4,
    "techniques": 5, "networks": 5,
    "sweep": 6, "porting": 6,
    "analyses": 7,
    "draw": 8,
    "report": 9, "explore": 9, "atlas": 9,
    "cli": 10, "__main__": 11,
}  # fmt: skip


def rooms():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], path


def imported(path):
    """The rooms of the package that a file imports, and the packages from outside."""
    depth = len(path.relative_to(PACKAGE).parts)
    inside, outside = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            outside.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            inside |= {name.split(".")[0] for name in names if name}
    return inside - {"__version__"}, outside


def test_every_room_has_a_floor():
    assert {name for name, _ in rooms()} <= set(FLOORS)


def test_imports_go_strictly_downward():
    for name, path in rooms():
        higher = {room for room in imported(path)[0] if FLOORS[room] >= FLOORS[name]}
        assert not higher - {name}, f"{path.name} imports {higher}"


def test_techniques_know_neither_networks_nor_matplotlib_nor_flax():
    for name, path in rooms():
        if FLOORS[name] <= FLOORS["techniques"] and name != "networks":
            assert not imported(path)[1] & {"flax", "matplotlib", "typer", "rich", "jinja2"}, path


def test_techniques_do_not_import_each_other():
    for path in sorted((PACKAGE / "techniques").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level == 1), path


def test_matplotlib_is_known_to_draw_alone():
    knowing = [(name, path.name) for name, path in rooms() if "matplotlib" in imported(path)[1]]
    assert {name for name, _ in knowing} == {"draw"}


def test_options_are_keyword_only_and_docstrings_have_examples():
    techniques = [getattr(jaxviz, name) for name in dir(jaxviz) if not name.startswith("_")]
    data = {
        "apply", "params", "images", "batches", "kernel", "queries", "database", "maps", "name",
        "index", "layer", "channel", "row", "col", "indices", "query_labels", "database_labels",
        "image_shape", "fun", "image", "vectors", "function", "module", "variables", "path",
        "network", "text", "weights", "features", "labels", "head",
        "heatmap", "occluded", "one", "other",
    }  # fmt: skip
    for function in filter(inspect.isfunction, techniques):
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
                assert name in data, f"{function.__name__}: {name} should be keyword-only"
        assert function.__doc__, function.__name__
        if function.__name__ != "networks":
            assert ">>>" in function.__doc__, f"{function.__name__} has no example"
