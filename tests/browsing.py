"""Chromium for tests, as Debian has it; without it they skip."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "images"
PICTURES = [EXAMPLES / name for name in ("cat/chelsea.png", "person/astronaut.png")]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("there is no chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()


def watched(browser, base, contexts, wrong, *, width, height, **options):
    """A page in a context of its own; what goes wrong goes to `wrong`, such as foreign requests."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(120_000)  # other tests may run beside
    contexts.append(context)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)

    def note(asked):
        if not asked.url.startswith((base, "blob:", "data:")):
            wrong.append(f"asks elsewhere: {asked.url}")

    page.on("request", note)
    return page


@contextlib.contextmanager
def explorer(*arguments, stderr=None):
    """The address of an explorer that runs until Ctrl-C, which must end it with exit code 0."""
    command = [sys.executable, "-m", "jaxviz", "explore", *map(str, arguments)]
    command += ["--no-browser", "--port", "0"]
    # Whoever reads the line gets it at once, also where Python keeps back what it prints.
    plain = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    pipes = {"stdout": subprocess.PIPE, "stderr": stderr}
    with subprocess.Popen(command, text=True, env=plain, **pipes) as process:
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0, "Ctrl-C does not end the explorer as it should"


@pytest.fixture(scope="module")
def address():
    """A running explorer of AlexNet and two pictures."""
    with explorer(*PICTURES) as running:
        yield running


@pytest.fixture
def open_page(browser, address):
    """`open_page("view=wall", width=1280)`: a page, whose mistakes fail the test at its end."""
    contexts, wrong = [], []

    def opened(state="", *, width=1280, height=900, **options):
        page = watched(
            browser, address, contexts, wrong, width=width, height=height, **options
        )  # fmt: skip
        page.goto(f"{address}#{state}")
        page.wait_for_selector("#classes li")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def wait_for_wall(page, layer):
    page.wait_for_function(
        "layer => document.querySelector('canvas.wall')?.dataset.layer === layer", arg=layer
    )


def barriers(page):
    """What axe finds that keeps people out: contrast, names, roles, keyboard (WCAG)."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # Else it reads the style sheets anew, which a page of a folder must not; only an experimental
    # rule wants that.
    found = axe.Axe().run(page, options={"preload": False}).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]
