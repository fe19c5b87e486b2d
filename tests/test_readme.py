"""The README's Python runs as it stands, and what its comments promise is what comes out."""

import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.once, pytest.mark.optimized]

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS)
def test_python_runs_as_it_stands_without_a_clone(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    promised = re.findall(r"^print\(.*\)  # (.*)$", code, flags=re.MULTILINE)
    assert promised
    assert capsys.readouterr().out.splitlines() == promised


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)# ]+)[^)]*\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_commands_and_functions_named_exist():
    import jaxviz
    from jaxviz.cli import app

    commands = {command.callback.__name__ for command in app.registered_commands}
    commands |= {group.name for group in app.registered_groups}
    assert set(re.findall(r"^    jaxviz (\w+)", README, flags=re.MULTILINE)) <= commands
    table = README.split("| technique |")[1].split("\n\n")[0]
    for name in re.findall(r"`(\w+)", table):
        assert hasattr(jaxviz, name), name
