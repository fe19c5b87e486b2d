"""Each example runs as it stands, from any folder, and draws a picture."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.once, pytest.mark.optimized]

FOLDER = Path(__file__).resolve().parents[1] / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
TECHNIQUES = {
    "first_layer_filters",
    "middle_layer_filters",
    "nearest_neighbors",
    "activation_maps",
    "top_patches",
    "occlusion",
}
GRAY = {"middle_layer_filters"}
LONG = {"feature_images", "equinox_network", "flax_network", "overview"}


def run(name, folder, monkeypatch, *options):
    monkeypatch.chdir(folder)
    script = FOLDER / f"{name}.py"
    monkeypatch.setattr(sys, "argv", [str(script), *options])
    runpy.run_path(str(script), run_name="__main__")


def test_there_is_an_example_for_every_technique():
    assert set(NAMES) >= TECHNIQUES


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in NAMES]
)
def test_it_draws_a_picture_into_the_current_folder(name, tmp_path, monkeypatch, capsys):
    run(name, tmp_path, monkeypatch)

    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.png"]
    assert f"{name}.png" in capsys.readouterr().out
    pixels = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int)
    drawn = (pixels != 255).any(axis=2)
    assert drawn.mean() > 0.3, "mostly blank"
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100, "no picture has so few colors"
    colorful = (np.ptp(pixels, axis=2) > 60).mean()
    assert colorful == 0 if name in GRAY else colorful > 0.02, "a color bar alone has less"


def test_the_picture_can_go_elsewhere(tmp_path, monkeypatch):
    run("first_layer_filters", tmp_path, monkeypatch, "-o", "elsewhere.png")

    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere.png"]


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_says_what_to_look_for(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
    assert len(text.splitlines()) >= 5
    assert "Look" in text
