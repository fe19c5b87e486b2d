"""Every measured figure in the pages comes from a file of results."""

import re

import pytest
from conftest import ROOT, script_at

pytestmark = pytest.mark.once

BENCHMARKS = ROOT / "benchmarks"
PAGES = [
    ROOT / "README.md",
    *(BENCHMARKS / name for name in ("README.md", "PERFORMANCE.md", "PROFILE.md")),
]
UNITS = r"(images|variants|queries|commands)/s|times (as|faster|slower|less|more)|seconds|ms|s\b"
MEASURED = re.compile(rf"(?<![\w.\[])\d[\d.,]* ({UNITS})")


@pytest.fixture(scope="module")
def summary():
    return script_at(BENCHMARKS / "summary.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.name}")
def test_tables_and_figures_are_those_of_the_results(page, summary):
    text = page.read_text(encoding="utf-8")
    assert summary.with_tables(text, BENCHMARKS / "results") == text
    assert summary.with_figures(text, page.parent) == text


@pytest.mark.parametrize("page", [PAGES[0], *PAGES[2:]], ids=lambda page: page.name)
def test_no_measured_figure_stands_alone(page, summary):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not [match[0] for match in MEASURED.finditer(summary.FIGURE.sub("[figure]", text))]


def test_a_wrong_figure_is_put_right(summary):
    page = PAGES[2]
    figure = summary.FIGURE.search(page.read_text(encoding="utf-8"))
    wrong = figure[0].replace(f"[{figure[1]}]", "[" + re.sub(r"\d", "9", figure[1]) + "]")
    assert summary.with_figures(wrong, page.parent) == figure[0]
