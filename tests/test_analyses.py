"""Analyses: all that a figure needs, kept in a file, and drawn again without network or picture."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from typing import NamedTuple

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float, Int
from PIL import Image

import jaxviz
from jaxviz import analyses, draw
from jaxviz.analyses import load_analyses, save_analyses
from jaxviz.analyses.base import ENTRIES, KINDS, kind
from jaxviz.files import write_arrays

pytestmark = pytest.mark.once

QUICK = {"window": 76, "stride": 76}


@pytest.fixture(scope="module")
def cat(photographs):
    return photographs / "cat" / "chelsea.png"


@pytest.fixture(scope="module")
def occluded(squeezenet, cat):
    return analyses.occlusion(squeezenet, [cat], **QUICK)


@pytest.fixture(scope="module")
def mapped(alexnet, cat):
    return analyses.activations(alexnet, cat, "conv5", top=3)


def equal(one, two):
    assert type(one) is type(two)
    if isinstance(one, np.ndarray):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)
    elif isinstance(one, tuple):
        assert len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            equal(first, second)
    else:
        assert one == two


def png_size(path):
    with Image.open(path) as picture:
        return picture.size


def refusal(function, *arguments, **options):
    with pytest.raises(jaxviz.InputError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_saved_is_read_back_and_draws_the_same(
    alexnet, squeezenet, cat, occluded, mapped, tmp_path
):
    images = [Image.open(cat), np.asarray(Image.open(cat).convert("L"))]
    several = analyses.occlusion(
        squeezenet, images, targets=["pool1:3", "pool1:5"], fill="blur", **QUICK
    )
    filters = [analyses.filters(alexnet, layer, top=3) for layer in ("conv1", "conv2")]
    for made in ([occluded], [mapped], filters, [several], [mapped, occluded, mapped]):
        file = save_analyses(tmp_path / "x.npz", made, {"options": {"top": 3}})
        read, provenance = load_analyses(file)
        assert provenance == {"options": {"top": 3}}
        assert len(read) == len(made)
        for before, after in zip(made, read, strict=True):
            equal(before, after)
            assert (before.facts, before.alt) == (after.facts, after.alt)
            assert draw.png(draw.figure_of(before)) == draw.png(draw.figure_of(after))


class Inner(NamedTuple):
    numbers: tuple[int, ...]
    values: Float[np.ndarray, " n"]


class Sample(NamedTuple):
    """One field of every type that a file can hold."""

    layer: str
    flag: bool
    share: float
    perhaps: float | None
    names: tuple[str, ...]
    chances: tuple[float | None, ...]
    inner: Inner
    other: Int[np.ndarray, "n 2"]

    @property
    def facts(self):
        return []

    @property
    def alt(self):
        return ""


@pytest.fixture(scope="module")
def sample():
    kind("sample", other="{layer}.other")(Sample)
    yield
    del KINDS["sample"], ENTRIES[Sample]


texts = st.text(st.characters(exclude_characters="\0"), max_size=5)
numbers = st.floats(allow_nan=False)
samples = st.builds(
    lambda n, **fields: Sample(
        **fields,
        inner=Inner(tuple(range(n)), np.arange(n, dtype=np.float32)),
        other=np.arange(2 * n).reshape(n, 2),
    ),
    n=st.integers(0, 3), layer=st.sampled_from(["a", "b/c"]), flag=st.booleans(), share=numbers,
    perhaps=st.none() | numbers, names=st.lists(texts, max_size=3).map(tuple),
    chances=st.lists(st.none() | numbers, max_size=3).map(tuple),
)  # fmt: skip


@given(made=st.lists(samples, max_size=3))
def test_every_type_of_field_comes_back(made, sample, tmp_path_factory):
    file = save_analyses(tmp_path_factory.mktemp("x") / "x.npz", made, {})
    read, _ = load_analyses(file)
    assert len(read) == len(made)
    for before, after in zip(made, read, strict=True):
        equal(before, after)


def test_entries_get_a_number_only_where_they_would_collide(alexnet, mapped, tmp_path):
    one, two = (analyses.filters(alexnet, layer, top=1) for layer in ("conv1", "conv2"))
    for made, names in (
        ([one, two], {"conv1.filters", "conv2.slices"}),
        ([one, one], {"0.conv1.filters", "1.conv1.filters"}),
        ([mapped], {"conv5.maps", "conv5.pixels"}),
    ):
        with np.load(save_analyses(tmp_path / "x.npz", made, {}), allow_pickle=False) as found:
            assert set(found) == {"jaxviz", *names}


def test_occlusion_holds_all_that_was_measured(squeezenet, cat, occluded):
    pixels = squeezenet.spec.preprocessing.fit(np.asarray(Image.open(cat).convert("RGB")))
    np.testing.assert_array_equal(occluded.pixels[0], pixels)
    assert occluded.paths == (str(cat),)
    assert occluded.pictures == ("chelsea",)
    assert occluded.sha256 == (hashlib.sha256(cat.read_bytes()).hexdigest(),)
    images = squeezenet.preprocess([cat])
    logits = np.asarray(squeezenet.apply(squeezenet.params, images)["pool10"][0], np.float64)
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    best = int(logits.argmax())
    assert occluded.class_indices == (best,)
    assert occluded.targets == (squeezenet.label(best),)
    assert occluded.probabilities[0] == pytest.approx(chances[best], rel=1e-4)
    assert occluded.baseline[0] == pytest.approx(np.log(chances[best]), abs=1e-4)
    assert occluded.row_starts.tolist() == occluded.col_starts.tolist() == [0, 76, 151]
    assert (occluded.window, occluded.stride) == ((76, 76), (76, 76))
    assert (occluded.fill, occluded.fill_values.tolist()) == ("mean", [[0, 0, 0]])
    assert (occluded.score, occluded.unit) == ("log-probability", "drop of log probability (nats)")
    hidden = images.at[:, 151:227, 76:152].set(0)
    score = jaxviz.log_probability(best)(squeezenet.apply(squeezenet.params, hidden))[0]
    assert occluded.scores[0, 2, 1] == pytest.approx(float(score), abs=1e-3)


def test_activations_hold_all_that_was_measured(alexnet, cat, mapped):
    maps = np.asarray(alexnet.apply(alexnet.params, alexnet.preprocess([cat]))["conv5"][0])
    np.testing.assert_allclose(mapped.maps, maps, atol=1e-3)
    assert list(mapped.channels) == np.argsort(-maps.max(axis=(0, 1)))[:3].tolist()
    assert mapped.field.size == (163, 163)
    assert mapped.field.stride == (16, 16)
    assert mapped.sha256 == hashlib.sha256(cat.read_bytes()).hexdigest()
    assert mapped.path == str(cat)


def test_pictures_that_are_no_files_have_the_digest_of_their_pixels(squeezenet):
    gray = np.full((300, 300, 3), 128, np.uint8)
    one, two = analyses.read_pictures(squeezenet, [gray, Image.fromarray(gray)])
    assert one.sha256 == two.sha256 == hashlib.sha256(one.pixels.tobytes()).hexdigest()
    assert (one.path, one.name, two.name) == ("", "picture 1", "picture 2")
    assert analyses.read_pictures(squeezenet, [one])[0] is one


def test_pictures_of_one_name_are_told_apart_by_their_folders(squeezenet, cat, tmp_path):
    paths = [tmp_path / folder / "1.png" for folder in ("a", "b")] + [cat]
    for path in paths[:2]:
        path.parent.mkdir()
        Image.new("RGB", (300, 300)).save(path)
    names = [one.name for one in analyses.read_pictures(squeezenet, paths)]
    assert names == ["a/1", "b/1", "chelsea"]


def test_pictures_of_two_sizes_are_one_line(squeezenet):
    one, two = (
        analyses.Picture("x", np.zeros((size, size, 3), np.uint8), "", "") for size in (227, 224)
    )
    message = refusal(analyses.occlusion, squeezenet, [one, two], **QUICK)
    assert "expected all of one size, got 227 x 227 x 3, 224 x 224 x 3" in message


def test_a_picture_whose_every_part_is_in_the_way_says_so(squeezenet, occluded):
    heatmap = -1 - np.abs(occluded.heatmap)
    ((_, said),) = occluded._replace(heatmap=heatmap).facts
    assert "nowhere above 0, highest -1" in said
    assert "nowhere" not in occluded.facts[0][1]


def test_a_class_that_stays_certain_is_said(occluded):
    ((_, said),) = occluded._replace(heatmap=occluded.heatmap * 1e-6).facts
    assert "too little to be colored" in said
    assert "too little" not in occluded.facts[0][1]


def test_targets_that_do_not_go_together_are_refused(squeezenet):
    gray = np.full((300, 300, 3), 128, np.uint8)
    for targets in (["tabby"], ["tabby"] * 3, []):
        message = refusal(analyses.occlusion, squeezenet, [gray] * 2, targets=targets, **QUICK)
        assert "one for each of 2 pictures" in message
    message = refusal(analyses.occlusion, squeezenet, [gray] * 2, targets=["tabby", "pool1:3"])
    assert "classes alone or feature maps alone" in message
    assert "at least one" in refusal(analyses.occlusion, squeezenet, [], **QUICK)


DRAWN = """
import sys
from jaxviz.cli import main
try: main()
except SystemExit as end: assert not end.code
unneeded = {"flax", "jaxviz.networks.network", "matplotlib.pyplot", "jaxviz.report"}
loaded = unneeded & set(sys.modules)
assert not loaded, loaded
"""


@pytest.mark.parametrize(
    "given",
    ["filters --layer conv1 --layer conv2 --top 3", "activations P --top 2", "occlude P"],
)
def test_a_command_and_jaxviz_draw_make_the_same_figure(given, command, cat, tmp_path):
    picture = tmp_path / "cat.png"
    shutil.copy(cat, picture)
    words = [picture if word == "P" else word for word in given.split()]
    words += ["--window", 76, "--stride", 76] if "occlude" in words else []
    png = tmp_path / "one.png"
    code, said, _ = command(*words, "-o", png, "--save-arrays")
    assert code == 0
    picture.unlink()
    again = tmp_path / "again.png"
    arguments = ["draw", str(png.with_suffix(".npz")), "-o", str(again)]
    done = subprocess.run(
        [sys.executable, "-c", DRAWN, *arguments], check=True, capture_output=True, text=True
    )
    assert again.read_bytes() == png.read_bytes()
    assert done.stdout.splitlines()[:-1] == said.splitlines()[:-2]  # without the files' names


def test_jaxviz_draw_sets_letters_sizes_and_formats(occluded, command, tmp_path):
    file = save_analyses(tmp_path / "x.npz", [occluded], {})
    assert command("draw", file)[0] == 0
    usual = png_size(tmp_path / "x.png")
    options = ("--scale", 2, "--font-size", 16, "--dpi", 55, "--font", "DejaVu Serif")
    assert command("draw", file, "-o", tmp_path / "large.png", *options)[0] == 0
    large = png_size(tmp_path / "large.png")
    assert large == pytest.approx(usual, abs=3)
    assert command("draw", file, "-o", tmp_path / "x.svg", *options)[0] == 0
    assert "DejaVu Serif" in (tmp_path / "x.svg").read_text()


@pytest.mark.parametrize("use_draw", [False, True])
def test_an_analysis_shows_itself_in_a_notebook(use_draw, occluded, tmp_path):
    file = save_analyses(tmp_path / "x.npz", [occluded], {})
    code = (
        "import sys, jaxviz\n"
        f"{'from jaxviz import draw' if use_draw else ''}\n"
        "(one,), _ = jaxviz.analyses.load_analyses(sys.argv[1])\n"
        "sys.stdout.buffer.write(one._repr_png_())"
    )
    command = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(command, check=True, capture_output=True)
    assert done.stdout == draw.png(draw.figure_of(occluded))


def test_files_that_hold_no_analysis_are_refused_in_one_line(
    occluded, command, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    good = save_analyses(tmp_path / "good.npz", [occluded], {}).read_bytes()
    with np.load(tmp_path / "good.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "jaxviz"}
        (record,) = json.loads(str(file["jaxviz"]))["analyses"]

    def changed(fields=None, kind="occlusion", **given):
        fields = record["fields"] | (fields or {})
        stored = {name: value for name, value in fields.items() if value is not ...}
        write_arrays(
            tmp_path / "x.npz", arrays | given, {"analyses": [{"kind": kind, "fields": stored}]}
        )

    def is_refused():
        code, out, err = command("draw", "x.npz", "-o", "drawn.png")
        assert (code, out) == (2, "")
        assert err.startswith("jaxviz: x.npz: ")
        assert err.count("\n") == 1
        assert not (tmp_path / "drawn.png").exists()

    np.savez(tmp_path / "x.npz", scores=np.zeros(3))
    is_refused()
    np.savez(tmp_path / "x.npz", jaxviz=np.array({"a": 1}, object), allow_pickle=True)
    is_refused()
    write_arrays(tmp_path / "x.npz", arrays, {"options": {}})
    is_refused()
    for wrong in (3, "text", {"a": 1}, [3], [None], [{"kind": []}], [{}]):
        write_arrays(tmp_path / "x.npz", arrays, {"analyses": wrong})
        is_refused()
    changed(kind="unknown")
    is_refused()
    for name, value in (
        ("heatmap", np.zeros((1, 3, 3), np.float32)), ("baseline", np.zeros(1, np.int32)),
        ("pixels", np.zeros((2, 227, 227, 3), np.uint8)), ("scores", np.zeros(3)),
    ):  # fmt: skip
        changed(**{name: value})
        is_refused()
    for field, value in (
        ("window", [3]), ("window", "32"), ("targets", [1]), ("unit", None), ("unit", ...),
        ("more", 1), ("pixels", {"array": "absent"}), ("pixels", {"other": 1}), ("targets", {}),
        ("heatmap", [[1.0]]), ("window", {"array": "scores"}), ("stride", [1, [2]]),
    ):  # fmt: skip
        changed({field: value})
        is_refused()
    draw_from = np.random.default_rng(0)
    for cut in [0, 10, *draw_from.integers(len(good), size=10).tolist()]:
        (tmp_path / "x.npz").write_bytes(good[:cut])
        is_refused()
    for place in draw_from.integers(len(good), size=30):
        broken = bytearray(good)
        broken[place] ^= 0xFF
        (tmp_path / "x.npz").write_bytes(broken)
        code, _, err = command("draw", "x.npz", "-o", "drawn.png")
        assert code == 0 or (code == 2 and err.count("\n") == 1)
        (tmp_path / "drawn.png").unlink(missing_ok=True)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("jaxviz.npy", b"\x93NUMPY\x01\x00\xff\xff")
    is_refused()


@pytest.mark.slow
def test_occlusion_by_several_fills_says_what_is_told_from_zero(squeezenet, cat, tmp_path):
    run = (squeezenet, [cat])
    found = analyses.occlusion(*run, repeats=3, seed=2, **QUICK)
    images = squeezenet.preprocess([cat])
    fills = jaxviz.random_fills(images, key=jax.random.key(2), num=3)
    wanted = jaxviz.occlusion_statistics(
        squeezenet.apply, squeezenet.params, images, fills=fills, key=jax.random.key(2),
        score=jaxviz.log_probability(found.class_indices[0]), **QUICK,
    )  # fmt: skip
    np.testing.assert_allclose(found.heatmap, wanted.heatmap, atol=1e-4)
    assert (found.distinct == np.asarray(wanted.distinct)).mean() > 0.99
    file = save_analyses(tmp_path / "several.npz", [found], {})
    (read,) = load_analyses(file)[0]
    assert draw.png(draw.figure_of(read)) == draw.png(draw.figure_of(found))
    plain = found._replace(repeats=1, distinct=None)
    assert draw.png(draw.figure_of(plain)) != draw.png(draw.figure_of(found))
    assert "name one fill, or draw several" in refusal(
        analyses.occlusion, *run, repeats=4, fill="gray", **QUICK
    )
    assert "repeats: expected 1, or 3 or more" in refusal(
        analyses.occlusion, *run, repeats=2, **QUICK
    )
