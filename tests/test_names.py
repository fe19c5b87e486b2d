"""Every name that a file system allows goes through every command, and comes back the same."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jaxviz import sweep

pytestmark = pytest.mark.once

NAMES = [
    "$\\foo{$.png", "<b>&amp;.png", "猫.png", os.fsdecode(b"caf\xe9.png"), "a\nb.png", "-o.png",
    "quote'\".png", "\u202eright.png", "𝔘🦜.png", "%s %(x)s {0}.png",
    "n" * 251 + ".png", "no suffix",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures under two labels, which are no UTF-8 and a word of Japanese."""
    root = tmp_path_factory.mktemp("names")
    for number, name in enumerate(NAMES):
        label = root / ("ねこ", os.fsdecode(b"\xfcber"))[number % 2]
        label.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((48, 40)).save(buffer, "PNG")
        (label / name).write_bytes(buffer.getvalue())
    return root


def inside(paths, folder):
    return sorted(os.path.relpath(path, folder) for path in paths)


def all_of(folder):
    return inside((path for path in folder.rglob("*") if path.is_file()), folder)


@pytest.mark.parametrize("name", NAMES[:6], ids=ascii)
def test_one_picture(name, folder, command, tmp_path):
    (picture,) = folder.glob(f"*/{glob_escape(name)}")
    png = tmp_path / "out" / "x.png"
    code, _, err = command("activations", picture, "--layer", "conv1", "-o", png)
    assert (code, err) == (0, "")
    with Image.open(png) as image:
        assert image.info["Software"] == "jaxviz"


def glob_escape(name):
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)


def test_features_and_what_is_made_of_them(folder, command, tmp_path):
    features = tmp_path / "features"
    network = ("--network", "squeezenet")
    assert command("features", folder, *network, "-o", features)[::2] == (0, "")
    assert inside(sweep.load_features(features).paths, folder) == all_of(folder)
    again = command("features", folder, *network, "-o", features)
    assert again[::2] == (0, "")
    for name, options in (("neighbors", ("--top", 2)), ("map", ())):
        png = tmp_path / f"{name}.png"
        saved = (*network, *options, "-o", png, "--save-arrays")
        assert command(name, features, *saved)[::2] == (0, "")
        assert command("draw", png.with_suffix(".npz"), "-o", tmp_path / "x.svg")[::2] == (0, "")


def test_packed_pictures_and_their_patches(folder, command, tmp_path):
    packed, patches = tmp_path / "packed", tmp_path / "patches"
    network = ("--network", "squeezenet")
    assert command("pack", folder, *network, "-o", packed)[::2] == (0, "")
    manifest = json.loads((packed / "jaxviz.json").read_text("utf-8"))
    assert manifest["complete"]
    options = ("--layer", "conv1", "--channel", 0, "--top", 3, "--save-arrays")
    assert command("patches", packed, *network, *options, "-o", patches)[::2] == (0, "")
    listed = json.loads((patches / "jaxviz.json").read_text("utf-8"))["patches"]
    assert {os.path.relpath(one["image"], folder) for one in listed} <= set(all_of(folder))
    drawn = command("draw", patches / "conv1.npz", "-o", tmp_path / "again.png")
    assert drawn[::2] == (0, "")


@pytest.mark.slow
def test_the_tour(folder, command, tmp_path):
    assert command("tour", folder, "-o", tmp_path / "tour")[::2] == (0, "")
    manifest = json.loads((tmp_path / "tour" / "jaxviz.json").read_text("utf-8"))
    assert inside(manifest["pictures"], folder) == all_of(folder)


def test_an_output_that_is_not_utf8_is_printed_byte_for_byte(tmp_path):
    png = tmp_path / os.fsdecode(b"caf\xe9.png")
    line = [sys.executable, "-m", "jaxviz", "filters", "-o", png]
    ran = subprocess.run(line, capture_output=True, check=True)
    assert ran.stdout.strip().endswith(os.fsencode(png))
    assert png.is_file()
