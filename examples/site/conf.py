"""How Sphinx builds the site: `make docs` writes it into build/docs."""

import inspect
from pathlib import Path

from typer.testing import CliRunner

import jaxviz
from jaxviz.cli import app as cli

HERE = Path(__file__).parent

COMMANDS = [command.callback.__name__ for command in cli.registered_commands]
COMMANDS += [
    f"{group.name} {command.name or command.callback.__name__}"
    for group in cli.registered_groups
    for command in group.typer_instance.registered_commands
]

project = "jaxviz"
version = release = jaxviz.__version__
author = copyright = "the authors of jaxviz"  # noqa: A001

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["conf.py", "lecture/*.ipynb", "_templates"]
templates_path = ["_templates"]

# Pages may be Markdown, Markdown with code cells, or Python files with cells ("# %%").
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_mime_priority_overrides = [("html", "image/png", 0)]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

default_role = "py:obj"
autosummary_generate = True
autodoc_typehints = "none"  # signatures stay short; docstrings give shapes and units
autodoc_preserve_defaults = True
napoleon_use_rtype = False
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "jaxviz"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {"index": [], "gallery": [], "changes": []}
html_show_sourcelink = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "show_nav_level": 2,
}


def skip_field(app, what, name, member, skip, options):
    """Leave out what Python says of each field; the class's own docstring says what it holds."""
    if (inspect.getdoc(member) or "").startswith("Alias for field number"):
        return True
    return None


def write_commands(app):
    """Write the page of the shell's commands: what each says when asked for help."""
    commands = []
    for name in COMMANDS:
        words = name.split()
        help_text = CliRunner().invoke(cli, [*words, "--help"], env={"COLUMNS": "84"}).output
        text = "\n".join(line.rstrip() for line in help_text.strip().splitlines())
        commands.append(f"## jaxviz {name}\n\n```text\n{text}\n```\n")
    page = "# Commands\n\nWhat `jaxviz COMMAND --help` says of each.\n\n" + "\n".join(commands)
    (HERE / "reference" / "commands.md").write_text(page, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write_commands)
    app.connect("autodoc-skip-member", skip_field)
