"""The commands that sweep: pages, manifests, packed sets and features, each from the other."""

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image
from sweeping import names

import jaxviz
from jaxviz import cli
from jaxviz.techniques.embedding import principal_components

pytestmark = pytest.mark.once

EXAMPLES = Path(__file__).parents[1] / "examples" / "images"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Six pictures of two kinds, and one that is none."""
    folder = tmp_path_factory.mktemp("photographs")
    for kind in ("cat", "fish"):
        (folder / kind).mkdir()
        for path in sorted((EXAMPLES / kind).iterdir())[:3]:
            (folder / kind / path.name).write_bytes(path.read_bytes())
    (folder / "broken.jpg").write_text("no picture")
    return folder


def run(*arguments):
    """Run a command; its exit code, output and errors."""
    said, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["jaxviz", *map(str, arguments)]),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(errors),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    return ended.value.code or 0, said.getvalue(), errors.getvalue()


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Run commands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return run


@pytest.fixture(scope="module")
def drawn(photographs, tmp_path_factory):
    """All pages of a layer, and what the command said."""
    folder = tmp_path_factory.mktemp("drawn") / "out"
    return folder, run(
        "patches", photographs, *PATCHES, "--all-channels", "--rows", 10, "--context",
        "--save-arrays", "-o", folder,
    )  # fmt: skip


LAYER = "fire2/squeeze1x1"
STEM = LAYER.replace("/", "_")
PATCHES = ("--network", "squeezenet", "--layer", LAYER, "--batch-size", 4, "--top", 3)


def test_patches_draw_pages_and_list_every_patch(drawn):
    folder, (code, said, errors) = drawn
    assert code == 0, errors
    assert "broken.jpg: not a picture" in errors
    assert "pictures: 6" in said
    pages = [f"{STEM}{kind}-{number}.png" for kind in ("", "-context") for number in ("01", "02")]
    assert names(folder) == [*pages, f"{STEM}.npz", "jaxviz.json", "sweep-00000-of-00001.npz"]
    for page in pages:
        with Image.open(folder / page) as image:
            assert image.info["Software"] == "jaxviz"
    made = json.loads((folder / "jaxviz.json").read_text())
    assert [one["path"].endswith("broken.jpg") for one in made["skipped"]] == [True]
    assert len(made["patches"]) == 16 * 3
    assert {one["rank"] for one in made["patches"]} == {0, 1, 2}


def test_values_come_back_from_the_patch_alone(drawn):
    network = jaxviz.load("squeezenet")
    checked = 0
    for one in json.loads((drawn[0] / "jaxviz.json").read_text())["patches"]:
        top, left, bottom, right = one["input_box"]
        if min(top, left) < 0 or max(bottom, right) > 227:
            continue
        image = network.preprocess([one["image"]])
        alone = np.zeros((1, 227, 227, 3), np.float32)
        alone[0, top:bottom, left:right] = image[0, top:bottom, left:right]
        maps = jaxviz.activation_maps(network.apply, network.params, alone, layers=LAYER)
        again = maps[LAYER][0, one["row"], one["col"], one["channel"]]
        np.testing.assert_allclose(again, one["value"], rtol=1e-4, atol=1e-4)
        checked += 1
    assert checked >= 10


def test_a_packed_folder_draws_the_same_page(command, photographs):
    assert command("pack", photographs, "--network", "squeezenet", "-o", "packed")[0] == 0
    for source, folder in ((photographs, "a"), ("packed", "b")):
        code, _, errors = command("patches", source, *PATCHES, "-o", folder)
        assert code == 0
        assert "broken.jpg" in errors
    assert Path(f"a/{STEM}.png").read_bytes() == Path(f"b/{STEM}.png").read_bytes()
    found = [json.loads(Path(f"{name}/jaxviz.json").read_text())["patches"] for name in "ab"]
    assert found[0] == found[1]
    options = ("--network", "squeezenet", "--layer", LAYER, "--top", 2)
    code, said, errors = command("neighbors", "packed", *options)
    assert (code, "pictures: 6" in said, "broken.jpg" in errors) == (0, True, True)


def test_pages_are_drawn_again_from_their_arrays_alone(drawn, command):
    folder, _ = drawn
    shutil.copy(folder / f"{STEM}.npz", "again.npz")
    code, said, errors = command("draw", "again.npz")
    assert (code, errors) == (0, "")
    for kind in ("", "-context"):
        for number in ("01", "02"):
            page, again = folder / f"{STEM}{kind}-{number}.png", Path(f"again{kind}-{number}.png")
            assert again.read_bytes() == page.read_bytes()
            assert str(again) in said
    assert command("draw", "again.npz", "-o", "all.pdf")[0] == 0
    assert sorted(path.name for path in Path().glob("all*")) == ["all.pdf"]


def test_another_option_is_refused_in_one_line_until_restart(command, photographs):
    command("patches", photographs, *PATCHES, "-o", "out")
    before = Path("out/jaxviz.json").read_bytes()
    other = ("patches", photographs, *PATCHES[:-1], 2, "-o", "out")
    code, _, errors = command(*other)
    assert code == 2
    assert errors.count("\n") == 1
    assert "option k (3, now 2)" in errors
    assert Path("out/jaxviz.json").read_bytes() == before
    assert command(*other, "--restart")[0] == 0


def test_features_are_searched_and_mapped(command, photographs):
    code, said, _ = command("features", photographs, "--layer", "pool1", "-o", "made")
    assert (code, "features: 6 x 46656" in said) == (0, True)
    code, said, _ = command("neighbors", "made", "--top", 2, "--save-arrays")
    assert code == 0
    assert "same kind by pool1, cosine" in said
    found = np.load("neighbors.npz")
    vectors = np.load("made/features.npy")
    plain = jaxviz.nearest_neighbors(vectors, vectors, k=2, exclude_self=True)
    np.testing.assert_array_equal(found["indices"], plain.indices)
    code, said, _ = command("map", "made", "--save-arrays", "--pictures", 4)
    assert code == 0
    assert np.load("map.npz")["points"].shape == (6, 2)
    assert "cat/" in " ".join(np.load("map.npz")["paths"])
    for name in ("neighbors", "map"):
        assert command("draw", f"{name}.npz", "-o", "again.png")[0] == 0
        assert Path("again.png").read_bytes() == Path(f"{name}.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("map", "{}", "--layer", "conv9"), "conv9"),
        (("patches", "{}", "--process-id", 1), "belong together"),
        (("pack", "nowhere"), "no such file"),
    ],
)
def test_mistakes_are_one_line(command, photographs, arguments, said):
    code, _, errors = command(*(str(one).format(photographs) for one in arguments))
    assert code == 2
    assert said in errors
    assert errors.count("\n") == 1


def test_components_equal_those_of_a_decomposition():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(60, 30)) * np.geomspace(9, 0.1, 30)).astype(np.float32)
    found = principal_components(vectors, k=3)
    centered = vectors - vectors.mean(axis=0)
    left, scale, _ = np.linalg.svd(centered, full_matrices=False)
    expected = left[:, :3] * scale[:3]
    expected = expected * np.sign((expected * found.points).sum(axis=0))
    np.testing.assert_allclose(found.points, expected, atol=1e-2)
    np.testing.assert_allclose(found.shares, (scale**2 / (scale**2).sum())[:3], rtol=1e-4)
