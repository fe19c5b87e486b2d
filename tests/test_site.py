"""The site: its notebooks and guides run, it has every public name, and no link in it is dead."""

import ast
import json
import re
import subprocess
import sys
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import jaxviz

pytestmark = [pytest.mark.once, pytest.mark.optimized]

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "examples" / "site"
LECTURE = sorted((SITE / "lecture").glob("*.py"))
GUIDES = sorted(path for path in SITE.rglob("*.md") if "```{code-cell}" in path.read_text())
SLOW = {"gallery", "your_own_classes"}
PACKAGES = ("analyses", "draw", "sweep", "porting")


def public_names():
    """What the packages export: the names that are imported `as` themselves."""
    stubs = {"jaxviz": ROOT / "jaxviz" / "__init__.pyi"}
    stubs |= {f"jaxviz.{name}": ROOT / "jaxviz" / name / "__init__.py" for name in PACKAGES}
    for package, stub in stubs.items():
        for node in ast.walk(ast.parse(stub.read_text())):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.asname == alias.name and alias.name not in PACKAGES:
                        yield f"{package}.{alias.name}"


def listed_names():
    """The names that the reference lists, with their packages."""
    package = ""
    for line in (SITE / "reference" / "index.rst").read_text().splitlines():
        if line.startswith(".. currentmodule:: "):
            package = line.split(":: ")[1]  # None before the constants, which say theirs
        elif line.startswith(".. py:data:: "):
            yield line.split(":: ")[1]
        elif re.fullmatch(r"   \w+", line) and line.strip() != "commands":
            yield f"{package}.{line.strip()}"


def test_the_reference_lists_every_public_name_once():
    assert sorted(listed_names()) == sorted(public_names())


def cells(path):
    """The cells with code of a page, each with its outputs shown."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        found = re.findall(r"```\{code-cell\} ipython3\n(.*?)```", text, flags=re.DOTALL)
        return [re.sub(r"^:.*\n", "", one, flags=re.MULTILINE) for one in found]
    parts = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)[1:]
    return [code for kind, code in zip(parts[::2], parts[1::2], strict=True) if not kind.strip()]


def run(path, monkeypatch):
    """Run a page as a notebook does, where a cell shows what it ends with; return the pictures."""
    monkeypatch.chdir(path.parent)
    known = {"__name__": "__main__"}
    shown = []
    for code in cells(path):
        tree = ast.parse(code)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, path.name, "exec"), known)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), path.name, "eval"), known)
            if isinstance(value, matplotlib.figure.Figure) or hasattr(value, "_repr_png_"):
                shown.append(value)
    return shown


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in SLOW else ())
        for path in [*LECTURE, *GUIDES, SITE / "gallery.py"]
    ],
)
def test_a_page_runs_and_shows_pictures(path, monkeypatch, capsys):
    shown = run(path, monkeypatch)
    for one in shown:
        if hasattr(one, "_repr_png_"):
            assert one._repr_png_()[:4] == b"\x89PNG"
    assert shown or path.parent.name != "lecture"
    out = capsys.readouterr().out
    assert out or path.stem in ("gallery", "index")
    assert "nan" not in out


@pytest.mark.parametrize("path", LECTURE, ids=lambda path: path.stem)
def test_a_notebook_has_the_cells_of_its_python_file(path):
    jupytext = pytest.importorskip("jupytext")
    ours = jupytext.read(path)
    theirs = json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))
    assert [(cell.cell_type, cell.source) for cell in ours.cells] == [
        (cell["cell_type"], "".join(cell["source"])) for cell in theirs["cells"]
    ]
    assert not any(cell.get("outputs") for cell in theirs["cells"]), "outputs do not belong here"


def test_every_lesson_says_what_to_try_and_what_to_mind():
    assert len(LECTURE) == 6
    for path in LECTURE:
        text = path.read_text(encoding="utf-8")
        for part in ("The idea.", "What you see.", "One experiment.", "Be careful.", "Literature."):
            assert f"**{part}**" in text, (path.name, part)


class Links(HTMLParser):
    """Where a page leads to, and what in it can be led to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        self.links += [found[key] for key in ("href", "src") if found.get(key)]


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_without_a_dead_link(tmp_path):
    pytest.importorskip("sphinx", reason="make docs installs it")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    made = subprocess.run(
        [*command, SITE, tmp_path], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert made.returncode == 0, made.stderr

    found = [path for path in tmp_path.rglob("*.html") if "_static" not in path.parts]
    pages = {path: Links(path) for path in found}
    assert len(pages) > 100
    for path, page in pages.items():
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or url.netloc:
                assert url.scheme in ("https", "data", "mailto"), (path.name, link)
                continue
            target = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            assert target.exists(), (path.name, link)
            if target in pages:
                assert urllib.parse.unquote(url.fragment) in pages[target].anchors, link
    for name in public_names():
        anchors = (page.anchors for page in pages.values())
        assert any(name in one for one in anchors), f"{name} has no page"
    words = (tmp_path / "searchindex.js").read_text(encoding="utf-8")
    assert all(word in words for word in ("occlus", "receptiv", "heatmap")), "search knows nothing"


def test_example_folder_holds_what_the_pages_name():
    assert np.all([(jaxviz.example_folder() / kind).is_dir() for kind in ("cat", "dog", "person")])
