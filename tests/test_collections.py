"""Analyses of many pictures: right against brute force, and drawn again from their file alone."""

import hashlib
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import jaxviz
from jaxviz import analyses, draw, sweep
from jaxviz.analyses.collection import names_of
from jaxviz.files import read_arrays, write_arrays
from jaxviz.pictures.folders import find_pictures
from jaxviz.pictures.preprocessing import Preprocessing
from jaxviz.pictures.sets import FolderPictures, load_pictures

pytestmark = pytest.mark.once

PREPROCESSING = Preprocessing(24, 20, 255, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
KERNEL = np.random.default_rng(0).normal(size=(5, 5, 3, 4)).astype(np.float32)


def apply(params, images):
    maps = jax.lax.conv_general_dilated(
        images, params, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return {"conv": jax.nn.relu(maps), "classes": maps.mean((1, 2))}


@pytest.fixture(scope="module")
def network():
    """One convolution of small pictures, and as many classes as it has channels."""
    return jaxviz.Network(
        apply,
        jnp.asarray(KERNEL),
        preprocessing=PREPROCESSING,
        labels=[f"class {i}" for i in range(4)],
        roles={"logits": "classes"},
        title="Tiny",
    )


@pytest.fixture
def folder(tmp_path):
    """Seven pictures of two kinds, two of them the same; a broken one; an odd name."""
    draw_number = np.random.default_rng(1)
    for name in ("a/1.png", "a/2.png", "a/$x{.png", "b/4.png", "b/5.png", "b/6.png"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_number.integers(0, 255, (30, 40, 3), np.uint8)).save(path)
    shutil.copy(tmp_path / "pictures" / "a" / "1.png", tmp_path / "pictures" / "b" / "7.png")
    (tmp_path / "pictures" / "broken.png").write_text("no picture")
    return tmp_path / "pictures"


def on_disk(folder):
    return FolderPictures(find_pictures([folder]), PREPROCESSING)


def in_memory(folder):
    return load_pictures(find_pictures([folder]), PREPROCESSING)


def features_of(network, pictures, layer="conv"):
    return sweep.features(
        network.apply, network.params, pictures, prepare=PREPROCESSING.normalize, layer=layer
    )


def swept_of(network, pictures, layers):
    return sweep.top_patches(
        network.apply, network.params, pictures, prepare=PREPROCESSING.normalize, layers=layers, k=3
    )


def made(network, pictures):
    """One analysis of each kind."""
    features = features_of(network, pictures)
    swept = swept_of(network, pictures, ["conv", "classes"])
    pages = [
        page
        for layer, context in (("conv", True), ("classes", False))
        for page in analyses.patch_pages(network, swept, pictures, layer=layer, context=context)
    ]
    return [
        analyses.nearest_pictures(network, features, pictures, queries=[0, 4], top=3),
        analyses.picture_map(network, features, pictures, num_shown=4),
        analyses.channel_pictures(network, features, pictures, channel=2, top=3),
        *pages,
    ]


PART = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=5).filter(
    lambda part: part not in (".", "..")
)
PATHS = st.lists(st.tuples(st.sampled_from(["", "/", "../", "a/b/"]), PART, PART), min_size=1)


@given(PATHS)
def test_a_folder_and_a_name_give_the_path_back(parts):
    paths = [Path(start) / first / second for start, first, second in parts]
    folder, names = names_of(paths)
    # NumPy's strings end where only zeros follow, which no name holds.
    assert [Path(folder) / str(name) for name in names] == paths
    assert not any(Path(name).is_absolute() for name in names) or not folder


@pytest.mark.parametrize("source", [in_memory, on_disk])
def test_an_analysis_is_drawn_again_from_its_file_alone(source, network, folder, tmp_path):
    found = made(network, source(folder))
    found = found if source is in_memory else found[:1]  # the others do not differ
    shutil.rmtree(folder)
    for number, analysis in enumerate(found):
        path = analyses.save_analyses(tmp_path / f"{number}.npz", [analysis], {})
        ((again,), _) = analyses.load_analyses(path)
        assert (again.facts, again.alt) == (analysis.facts, analysis.alt)
        before, after = (
            [(ending, draw.png(figure)) for ending, figure in draw.pages_of(one)]
            for one in (analysis, again)
        )
        assert before == after


def test_an_analysis_shows_itself_in_a_notebook(network, folder):
    found = made(network, on_disk(folder))[1]
    assert found._repr_png_() == draw.png(draw.figure_of(found))


@pytest.mark.parametrize("source", [in_memory, on_disk])
def test_what_is_shown_is_named_and_hashed(source, network, folder):
    pictures = source(folder)
    for analysis in made(network, pictures):
        for number, digest in zip(analysis.shown.numbers, analysis.shown.sha256, strict=True):
            path = Path(analysis.folder) / analysis.paths[number]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
        assert analysis.folder == str(folder)


def test_a_picture_that_is_gone_is_gray_among_neighbors_and_refused_among_patches(network, folder):
    pictures = on_disk(folder)
    features, swept = features_of(network, pictures), swept_of(network, pictures, "conv")
    (folder / "b" / "4.png").unlink()
    found = analyses.nearest_pictures(network, features, pictures, queries=[3], top=2)
    assert Path(found.paths[3]).name == "4.png"
    assert (found.shown.pixels_of(3) == 224).all()
    assert found.shown.sha256[found.shown.numbers == 3] == [""]
    with pytest.raises(jaxviz.InputError, match=r"4\.png: could be read before"):
        list(analyses.patch_pages(network, swept, pictures, layer="conv"))


@pytest.mark.parametrize("source", [in_memory, on_disk])
def test_the_nearest_pictures_are_those_of_brute_force(source, network, folder):
    pictures = source(folder)
    features = features_of(network, pictures)
    found = analyses.nearest_pictures(network, features, pictures, queries=[1, 5], top=4)
    vectors = np.float64(features.vectors)
    pixels = np.float64([PREPROCESSING.fit(np.asarray(Image.open(p))) for p in features.paths])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    flat = pixels.reshape(len(pixels), -1) / 255
    distances = {
        "cosine": 1 - unit @ unit.T,
        "euclidean": np.linalg.norm(vectors[:, None] - vectors, axis=2),
        "raw_pixels": np.linalg.norm(flat[:, None] - flat, axis=2),
    }
    for values in distances.values():
        np.fill_diagonal(values, np.inf)
    nearest = {
        name: np.argsort(values, axis=1, kind="stable")[:, :4] for name, values in distances.items()
    }
    np.testing.assert_array_equal(found.indices, nearest["cosine"][[1, 5]])
    expected = np.take_along_axis(distances["cosine"], nearest["cosine"], 1)[[1, 5]]
    np.testing.assert_allclose(found.distances, expected, atol=1e-5)
    for name, values in distances.items():
        rows = getattr(found, name)
        if source is on_disk:
            assert rows is None
            continue
        np.testing.assert_array_equal(rows.indices, nearest[name])
        expected = np.take_along_axis(values, nearest[name], 1)
        np.testing.assert_allclose(rows.distances, expected, rtol=1e-5, atol=1e-6)


def test_no_picture_is_its_own_neighbor_among_copies(network, folder):
    for i in range(8):
        shutil.copy(folder / "a" / "1.png", folder / "a" / f"copy{i}.png")
    pictures = in_memory(folder)
    found = analyses.nearest_pictures(network, features_of(network, pictures), pictures, top=2)
    for rows in (found.cosine, found.euclidean, found.raw_pixels):
        assert not (rows.indices == np.arange(len(rows.indices))[:, None]).any()


def test_labels_are_the_folders_unless_told_otherwise(network, folder):
    pictures = in_memory(folder)
    features = features_of(network, pictures)
    found = analyses.nearest_pictures(network, features, pictures)
    assert found.labels.tolist() == ["a"] * 3 + ["b"] * 4
    kinds = [path.parent.name for path in pictures.paths]
    share = np.mean([[kinds[i] == kinds[q]] for q, (i, *_) in enumerate(found.cosine.indices)])
    assert f"{share:.0%} of nearest neighbors" in dict(found.facts)["same kind by conv, cosine"]
    without = analyses.nearest_pictures(network, features, pictures, labels=None)
    assert without.labels is None
    assert [what for what, _ in without.facts] == ["pictures", "looked up here"]


def test_patches_are_cut_from_their_pictures(network, folder):
    pictures = on_disk(folder)
    swept = swept_of(network, pictures, "conv")
    (page,) = analyses.patch_pages(network, swept, pictures, layer="conv", channels=[3, 1])
    assert page.num_read == 7
    assert page.channels.tolist() == [3, 1]
    for record in page.records:
        pixels = PREPROCESSING.fit(np.asarray(Image.open(record["image"])))
        maps = apply(KERNEL, PREPROCESSING.normalize(pixels)[None])["conv"][0]
        assert maps[..., record["channel"]].max() == pytest.approx(record["value"], rel=1e-4)
        value = maps[record["row"], record["col"], record["channel"]]
        assert value == pytest.approx(record["value"], rel=1e-4)
    first = page.patches(0)[0]
    top, left, bottom, right = page.field.box(first.row, first.col)
    whole = np.pad(page.shown.pixels_of(first.picture), [(9, 9), (9, 9), (0, 0)])
    expected = whole[top + 9 : bottom + 9, left + 9 : right + 9]
    np.testing.assert_array_equal(page.pixels(first), expected)


def test_pages_that_come_at_once_are_those_that_come_one_by_one(network, folder):
    pictures = in_memory(folder)
    swept = swept_of(network, pictures, "conv")
    how = {"layer": "conv", "rows": 3, "every_channel": True, "context": True}
    pages = list(analyses.patch_pages(network, swept, pictures, **how))
    (whole,) = analyses.patch_pages(network, swept, pictures, at_once=True, **how)
    assert [page.page for page in pages] == [1, 2]
    assert [r for page in pages for r in page.records] == whole.records
    one_by_one = [drawn for page in pages for drawn in draw.pages_of(page)]
    at_once = list(draw.pages_of(whole))
    endings = ["-01", "-context-01", "-02", "-context-02"]
    assert [ending for ending, _ in one_by_one] == [ending for ending, _ in at_once] == endings
    for (_, one), (_, other) in zip(one_by_one, at_once, strict=True):
        assert draw.png(one) == draw.png(other)


def test_one_channel_is_shown_on_the_pictures_that_excite_it_most(network, folder):
    pictures = in_memory(folder)
    features = features_of(network, pictures)
    found = analyses.channel_pictures(network, features, pictures, channel=1, top=3)
    maps = np.asarray(apply(KERNEL, PREPROCESSING.normalize(pictures.pixels))["conv"])[..., 1]
    np.testing.assert_allclose(found.peaks, maps.max(axis=(1, 2)), rtol=1e-4, atol=1e-4)
    best = sorted(np.argsort(-maps.max(axis=(1, 2)), kind="stable")[:3])
    assert found.shown.numbers.tolist() == best
    np.testing.assert_allclose(found.maps, maps[best], rtol=1e-4, atol=1e-4)
    with pytest.raises(jaxviz.InputError, match="channel: expected 0 to 3"):
        analyses.channel_pictures(network, features, pictures, channel=4)
    flat = features_of(network, pictures, "classes")
    with pytest.raises(jaxviz.InputError, match="classes has no maps"):
        analyses.channel_pictures(network, flat, pictures, channel=0)


def test_a_map_keeps_names_and_shares(network, folder):
    pictures = on_disk(folder)
    features = features_of(network, pictures)
    found = analyses.picture_map(network, features, pictures, num_shown=3)
    expected = jaxviz.principal_components(features.vectors)
    np.testing.assert_array_equal(found.points, expected.points)
    np.testing.assert_array_equal(found.shares, expected.shares)
    assert found.paths.tolist() == [str(path.relative_to(folder)) for path in features.paths]
    assert found.shown.pixels.shape == (3, 56, 56, 3)


def test_arrays_that_do_not_fit_together_are_refused_in_one_line(
    network, folder, command, tmp_path
):
    pictures = on_disk(folder)
    swept = swept_of(network, pictures, "conv")
    (page,) = analyses.patch_pages(network, swept, pictures, layer="conv")
    nearest = analyses.nearest_pictures(network, features_of(network, pictures), pictures, top=2)
    file, figure = tmp_path / "x.npz", tmp_path / "x.png"
    for analysis, name in (
        (page, "channels"), (page, "conv.images"), (nearest, "queries"), (nearest, "indices"),
    ):  # fmt: skip
        arrays, provenance = read_arrays(analyses.save_analyses(file, [analysis], {}))
        write_arrays(file, arrays | {name: arrays[name] + 100}, provenance)
        code, out, err = command("draw", file, "-o", figure)
        assert (code, out) == (2, ""), name
        assert err.startswith(f"jaxviz: {file}: its arrays do not fit together")
        assert err.count("\n") == 1
        assert not figure.exists()
