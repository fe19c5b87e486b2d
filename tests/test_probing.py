"""Probes of pictures: what transfers, heads in files, and one's own classes in every command."""

import numpy as np
import pytest
from conftest import ROOT, refusal
from PIL import Image

import jaxviz
from jaxviz import analyses, draw, sweep
from jaxviz.analyses.probing import asked_layers
from jaxviz.files import is_ours
from jaxviz.networks.head_features import head_features
from jaxviz.networks.heads import load_head, save_head, with_head

pytestmark = pytest.mark.once

EXAMPLES = ROOT / "examples" / "images"
KINDS = ("farm", "landscape", "person")


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """The pictures of three kinds."""
    folder = tmp_path_factory.mktemp("kinds")
    for kind in KINDS:
        (folder / kind).symlink_to(EXAMPLES / kind)
    return folder


@pytest.fixture(scope="module")
def probed(alexnet, few):
    pictures = sweep.folder_pictures(few, alexnet.preprocessing)
    return analyses.probe(alexnet, pictures, layers=["conv1", "conv3", "pool5"])


@pytest.mark.slow
def test_features_transfer_where_pixels_and_shuffled_weights_do_not(alexnet):
    pictures = sweep.folder_pictures(EXAMPLES, alexnet.preprocessing)
    found = analyses.probe(alexnet, pictures, layers=["conv1", "pool5"]).analysis
    assert len(found.classes) == 12
    first, last = found.accuracy
    assert last > 0.45 > 0.25 > max(found.pixels, *found.shuffled)
    assert first > max(found.pixels, found.chance)
    assert found.intervals[1, 0] > found.pixels_interval[1]
    assert found.confusion.sum() == len(found.paths)
    assert found.layer == "pool5"


def test_the_accuracy_is_that_of_the_function(alexnet, probed):
    found = probed.analysis
    assert found.classes == KINDS
    images = alexnet.preprocess([f"{found.folder}/{path}" for path in found.paths])
    maps = jaxviz.activation_maps(alexnet.apply, alexnet.params, images, layers="conv3")["conv3"]
    probe = jaxviz.linear_probe(np.asarray(head_features(maps)), found.truth, folds=4)
    np.testing.assert_allclose(probe.accuracy, found.accuracy[found.layers.index("conv3")])
    assert found.thumbnails.shape == (3, 64, 64, 3)


def test_layers_are_spread_evenly_and_hold_the_features(squeezenet):
    found = asked_layers(squeezenet, None)
    assert 8 <= len(found) <= 9
    assert squeezenet.spec.feature_layer in found
    assert asked_layers(squeezenet, "conv1") == ("conv1",)


def test_the_figure_and_what_is_kept(probed, tmp_path):
    found = probed.analysis
    file = analyses.save_analyses(tmp_path / "probe.npz", [found], {})
    (read,) = analyses.load_analyses(file)[0]
    assert read.facts == found.facts
    assert draw.png(draw.figure_of(read)) == draw.png(draw.figure_of(found))
    alone = found._replace(shuffled=None, shuffled_intervals=None)
    many = alone._replace(
        classes=tuple(f"kind {i}" for i in range(40)),
        thumbnails=np.zeros((40, 8, 8, 3), np.uint8),
    )
    for one in (alone, many):
        assert len(draw.figure_of(one).axes) == 2


@pytest.mark.parametrize(("length", "cells"), [(7, 3), (6, 6), (3, 6), (13, 6)])
def test_cells_are_averages_of_all_pixels_in_order(length, cells):
    maps = np.arange(length, dtype=np.float32).reshape(1, length, 1, 1)
    found = np.asarray(head_features(maps, cells))[0]
    assert len(found) == min(length, cells)
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(found.mean(), maps.mean(), atol=1e-5)
    np.testing.assert_allclose(head_features(np.ones((2, 9, length, 3)), cells), 1, rtol=1e-6)


def test_a_head_comes_back_from_its_file(alexnet, probed, tmp_path):
    path = save_head(tmp_path / "own.safetensors", probed.head)
    read = load_head(path)
    assert read[2:] == probed.head[2:]
    network = with_head(alexnet, read)
    assert network.labels == KINDS
    assert network.class_index("person") == 2
    found = probed.analysis
    images = network.preprocess([f"{found.folder}/{path}" for path in found.paths])
    run = network.apply, network.params, images
    logits = jaxviz.activation_maps(*run, layers="head")["head"]
    assert (np.asarray(logits).argmax(axis=1) == found.truth).mean() > 0.9  # it was fitted to them
    field = {"window": 60, "stride": 60, "fill": 0.0}
    maps = jaxviz.occlusion_map(*run, score=jaxviz.logit(2), **field)
    whole = jaxviz.occlusion_map(*run, score=jaxviz.logit(2), method="full", **field)
    np.testing.assert_allclose(maps.scores, whole.scores, atol=1e-2)
    np.testing.assert_array_equal(network.kernel("conv1"), alexnet.kernel("conv1"))


def test_a_network_with_a_head_is_not_probed(alexnet, few, probed):
    network = with_head(alexnet, probed.head)
    again = with_head(network, probed.head)
    assert [*again.layers()][-2:] == ["head", "head1"]
    pictures = sweep.folder_pictures(few, alexnet.preprocessing)
    assert "head: a probe asks the network itself" in refusal(analyses.probe, network, pictures)


def test_heads_that_do_not_fit(alexnet, squeezenet, probed, tmp_path):
    head = probed.head
    assert "head: fitted to alexnet, not to squeezenet" in refusal(with_head, squeezenet, head)
    other = head._replace(digest="0" * 64)
    assert "with other weights" in refusal(with_head, alexnet, other)
    assert "unknown name 'conv9'" in refusal(with_head, alexnet, head._replace(layer="conv9"))
    assert "do not fit" in refusal(with_head, alexnet, head._replace(weights=head.weights[1:]))
    assert "not those of 2 classes" in refusal(with_head, alexnet, head._replace(labels=("a", "b")))
    path = tmp_path / "head.safetensors"
    assert "head: " in refusal(load_head, path)
    data = save_head(path, head).read_bytes()
    path.write_bytes(data[:-4] + b"\0\0\x80\x7f")
    assert "damaged" in refusal(load_head, path)
    path.write_bytes(b"no head at all")
    assert "not a valid safetensors file" in refusal(load_head, path)
    shipped = ROOT / "weights" / "squeezenet.safetensors"
    assert "not a head of jaxviz" in refusal(load_head, shipped)


@pytest.mark.slow
def test_commands_with_ones_own_classes(few, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("--layer", "pool5", "--no-shuffled", "--save-arrays")
    code, out, _ = command("probe", few, "--save", "own.safetensors", *arguments)
    assert code == 0
    assert "own.safetensors" in out
    assert is_ours(tmp_path / "own.safetensors")  # so it may be written again
    (read,) = analyses.load_analyses("probe.npz")[0]
    assert read.shuffled is None
    picture = EXAMPLES / "person" / "astronaut.png"
    own = ("--head", "own.safetensors")
    code, out, _ = command("occlude", picture, *own, "--window", 75, "--stride", 75)
    assert code == 0
    assert "astronaut: person" in out
    assert command("attribute", picture, *own, "--target", "farm")[0] == 0
    assert command("imagine", *own, "--class", "person", "--steps", 2)[0] == 0
    code, out, _ = command("layers", *own)
    assert code == 0
    assert "head" in out
    code, _, error = command("occlude", picture, *own, "--target", "tabby")
    assert (code, "no class is called 'tabby'" in error) == (2, True)
    code, _, error = command("occlude", picture, *own, "--network", "squeezenet")
    assert (code, "head: fitted to alexnet, not to squeezenet" in error) == (2, True)


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ({"one": 4}, "labels: all pictures have the same"),
        ({"one": 4, "two": 1}, "expected at least two, each of at least two pictures"),
        ({"one": 2, "two": 2}, "got one (2), two (2)"),
    ],
)
def test_folders_that_cannot_be_told_apart(kinds, said, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, number in kinds.items():
        (tmp_path / "in" / kind).mkdir(parents=True)
        for i in range(number):
            pixels = np.random.default_rng(i).integers(0, 255, (30, 30, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / kind / f"{i}.png")
    code, _, error = command("probe", "in", "--save", "x.safetensors", "--no-shuffled")
    assert code == 2
    assert said in error
    assert not (tmp_path / "x.safetensors").exists()


def test_a_name_that_is_no_head(command, few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = command("probe", few, "--save", "head.npz")
    assert (code, "expected a name that ends in .safetensors" in error) == (2, True)
