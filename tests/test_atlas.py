"""The atlas: its numbers are those of the techniques, and its files appear whole or not at all."""

import json
import re
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from PIL import Image
from sweeping import SMALL, StopError, names, params, pixels
from sweeping import apply as tiny

import jaxviz
from jaxviz import sweep
from jaxviz.atlas import AtlasNetwork, write_atlas
from jaxviz.atlas.layers import picture_order
from jaxviz.techniques.patches import crop

pytestmark = pytest.mark.once

NUMBER, TOP = 41, 4
LAYERS = ("conv", "dense")
KINDS = ["one", "other", "third"]


def apply(params, images):
    found = tiny({layer: own["kernel"] for layer, own in params.items()}, images)
    return {layer: found[layer] for layer in LAYERS}


def kernels(seed=0):
    return {layer: {"kernel": kernel} for layer, kernel in params(seed).items()}


def network(name="tiny", seed=0):
    return jaxviz.Network(
        apply,
        kernels(seed),
        preprocessing=SMALL,
        roles={"first_layer": "conv", "logits": "dense"},
        labels=[f"class {i}, also {i}" for i in range(11)],
        name=name,
        title=name.title(),
    )


def entry(number=NUMBER, labeled=True, **options):
    images = pixels(number)
    labels = [KINDS[i % 3] for i in range(number)] if labeled else None
    paths = [f"{label}/{i}.png" for i, label in enumerate(labels or ["all"] * number)]
    pictures = sweep.ArrayPictures(images, paths=[Path(path) for path in paths])
    return AtlasNetwork(network(**options), LAYERS, pictures, labels)


def written(folder, *entries, **options):
    settings = {"top": TOP, "batch_size": 4} | options
    return write_atlas(folder, entries or [entry()], **settings)


def data(folder, key):
    """What a script of data hands to the page."""
    text = (folder / "data" / f"{key}.js").read_text(encoding="ascii")
    found, content = re.fullmatch(r"take\((\"[^\"]*\"),(.*)\);\n", text, re.DOTALL).groups()
    assert json.loads(found) == key
    return json.loads(content)


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas") / "site"
    assert written(folder) == [[]]
    return folder


def test_the_files_are_a_page_its_data_and_nothing_else(site):
    assert names(site) == ["data", "index.html", "jaxviz.json", "static"]
    made = json.loads((site / "jaxviz.json").read_text())
    assert (made["kind"], made["complete"]) == ("atlas", True)
    (told,) = data(site, "index")["networks"]
    assert [layer["name"] for layer in told["layers"]] == list(LAYERS)
    assert told["labels"] == [["one", 14], ["other", 14], ["third", 13]]
    assert [layer["shape"] for layer in told["layers"]] == [[5, 5, 7], [11]]


@pytest.mark.parametrize(("number", "layer"), [*enumerate(LAYERS)])
def test_numbers_are_those_of_top_patches(site, number, layer):
    content = data(site, f"tiny/{number:02}-{layer}")
    pictures = data(site, "tiny/pictures")
    prepared = np.asarray(SMALL.normalize(jnp.asarray(pixels(NUMBER))))
    batches = [prepared[start : start + 4] for start in range(0, NUMBER, 4)]
    best = jaxviz.top_patches(apply, kernels(), batches, layers=layer, k=TOP)[layer]
    order = [int(re.findall(r"\d+", name)[0]) for name in pictures["names"]]
    np.testing.assert_array_equal(np.array(order)[content["pictures"]], best.images)
    np.testing.assert_array_equal(content["rows"], best.rows)
    np.testing.assert_array_equal(content["cols"], best.cols)
    np.testing.assert_allclose(np.float32(content["values"]), best.values, rtol=1e-5, atol=1e-5)
    assert [KINDS[i % 3] for i in order] == [KINDS[i] for i in pictures["labels"]]


@pytest.mark.parametrize(("number", "layer"), [*enumerate(LAYERS)])
def test_means_of_labels_are_those_of_all_pictures(site, number, layer):
    content = data(site, f"tiny/{number:02}-{layer}")
    maps = jaxviz.activation_maps(
        apply, kernels(), SMALL.normalize(jnp.asarray(pixels(NUMBER))), layers=layer
    )[layer]
    peaks = np.asarray(maps, np.float64).reshape(NUMBER, -1, maps.shape[-1]).max(axis=1)
    by_label = np.stack([peaks[i::3].mean(axis=0) for i in range(3)])
    deviation = peaks.std(axis=0)
    association = (by_label - peaks.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    np.testing.assert_allclose(content["mean"], peaks.mean(axis=0), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(content["deviation"], deviation, rtol=1e-3, atol=1e-5)
    for channel, labels in enumerate(content["labels"]):
        assert sorted(labels) == [0, 1, 2]
        found = content["associations"][channel]
        assert found == sorted(found, reverse=True)
        np.testing.assert_allclose(found, association[labels, channel], rtol=0.02, atol=1e-4)
        np.testing.assert_allclose(
            content["labelMeans"][channel], by_label[labels, channel], rtol=0.01, atol=1e-4
        )


def test_sheets_hold_the_patches(site):
    content, pictures = data(site, "tiny/00-conv"), data(site, "tiny/pictures")
    field = jaxviz.receptive_field(apply, kernels(), (10, 10, 3), layer="conv")
    images = pixels(NUMBER)
    for channel in range(7):
        for rank in range(TOP):
            kind = "more" if rank else "best"
            told = content["sheets"][kind]
            place = channel * (TOP - 1) + rank - 1 if rank else channel
            (height, width), (high, wide) = told["size"], told["cell"]
            top, left = (part * side + 1 for part, side in zip(
                divmod(place, told["across"]), (high, wide), strict=True))  # fmt: skip
            with Image.open(site / "data" / "tiny" / "00-conv" / f"{kind}-0.png") as sheet:
                shown = np.asarray(sheet)[top : top + height, left : left + width]
            name = pictures["names"][content["pictures"][channel][rank]]
            box = field.box(content["rows"][channel][rank], content["cols"][channel][rank])
            picture = images[int(re.findall(r"\d+", name)[0])]
            np.testing.assert_array_equal(shown, crop(picture, box))


def test_filters_are_those_of_the_network(site):
    told = data(site, "tiny/00-conv")["sheets"]["filters"]
    assert (told["form"], told["inputs"], told["total"]) == ("filters", 3, 7)
    with Image.open(site / "data" / "tiny" / "00-conv" / "filters-0.png") as sheet:
        shown = np.asarray(sheet)[1:4, 1:4]
    tiles = np.asarray(jaxviz.filter_tiles(params()["conv"]))
    np.testing.assert_array_equal(shown, np.rint(tiles[0] * 255).astype(np.uint8))


class Stopping:
    """A counter that raises when it is called for the `stop`th time, whatever it counts."""

    def __init__(self, stop):
        self._left = stop

    def __call__(self, title):
        return self

    def __enter__(self):
        return self._progress

    def __exit__(self, *error):
        return None

    def _progress(self, done, total):
        self._left -= 1
        if self._left == 0:
            raise StopError


@pytest.mark.parametrize("stop", [1, 5, 9, 12, 13])
def test_resumed_equals_uninterrupted(site, tmp_path, stop):
    """Wherever it is stopped: eleven times in the sweep, then after each of two layers."""
    folder = tmp_path / "site"
    with pytest.raises(StopError):
        written(folder, counter=Stopping(stop), save_every=2)
    assert "index.html" not in names(folder)
    written(folder, save_every=3)
    assert files(folder) == files(site)


def test_an_atlas_is_replaced_whole(site, tmp_path):
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    with pytest.raises(StopError):
        written(folder, entry(labeled=False), counter=Stopping(5), save_every=1)
    before = {name: text for name, text in files(folder).items() if "unfinished" not in name}
    assert before == files(site)
    said = refusal(written, folder, entry(labeled=False), top=3)
    assert "another option k" in said
    assert "--restart" in said
    written(folder, entry(labeled=False), restart=True)
    assert names(folder) == names(site)
    assert "labels" not in data(folder, "tiny/00-conv")
    assert data(folder, "index")["networks"][0]["labels"] == []


def test_foreign_folders_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert "was not made by jaxviz" in refusal(written, tmp_path)
    features = tmp_path / "features"
    sweep.features(
        apply, kernels(), sweep.ArrayPictures(pixels(3)), prepare=SMALL.normalize, layer="dense",
        folder=features,
    )  # fmt: skip
    assert "holds features" in refusal(written, features)
    file = tmp_path / "notes.txt"
    assert "is a file" in refusal(written, file)
    assert file.read_text() == "mine"


def test_no_file_names_a_place_on_the_disk(tmp_path):
    folder = tmp_path / "pictures"
    for kind in ("a", "b"):
        (folder / kind).mkdir(parents=True)
        for i, image in enumerate(pixels(4)):
            Image.fromarray(image).save(folder / kind / f"<{i}>&.png")
    (folder / "a" / "broken.png").write_text("no picture")
    one = network()
    one.provenance["weights"] = str(tmp_path / "own.safetensors")
    pictures = sweep.open_pictures(folder, SMALL)
    labels = [path.parent.name for path in pictures.paths]
    (skipped,) = written(tmp_path / "site", AtlasNetwork(one, ["conv"], pictures, labels), top=20)
    assert [one.path for one in skipped] == [str(folder / "a" / "broken.png")]
    for name, content in files(tmp_path / "site").items():
        assert str(tmp_path).encode() not in content, name
    assert "a/<0>&.png" in data(tmp_path / "site", "tiny/pictures")["names"]
    content = data(tmp_path / "site", "tiny/00-conv")
    assert content["pictures"][0].count(-1) == 20 - 8  # there are but eight
    assert content["values"][0].count(None) == 20 - 8
    assert data(tmp_path / "site", "index")["networks"][0]["skipped"] == 1


def test_names_that_are_no_utf8_have_addresses(tmp_path):
    """A page's address cannot hold lone surrogates, by which Python names such files."""
    pictures = sweep.ArrayPictures(
        pixels(4), paths=[Path(f"{kind}/{i}\udcfe.png") for i, kind in enumerate("aab\udcff")]
    )
    labels = ["a", "a", "b", "\udcff"]
    written(tmp_path / "site", AtlasNetwork(network(), ["conv"], pictures, labels))
    told = data(tmp_path / "site", "index")["networks"][0]["labels"]
    assert ["\\udcff", 1] in told
    assert "a/0\\udcfe.png" in data(tmp_path / "site", "tiny/pictures")["names"]


def test_its_size_does_not_grow_with_the_pictures(tmp_path):
    sizes = []
    for number in (40, 400):
        folder = tmp_path / str(number)
        written(folder, entry(number)._replace(layers=["conv"]))
        found = files(folder)
        thumbnails = sum(len(one) for name, one in found.items() if "pictures" in name)
        sizes.append((len(found), sum(map(len, found.values())) - thumbnails))
        # Of pictures that no channel has among its best there is nothing.
        assert len(data(folder, "tiny/pictures")["names"]) <= 7 * TOP
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] < 1.05 * sizes[0][1]


def test_one_label_for_all_is_a_label(tmp_path):
    one = entry(8)._replace(layers=["conv"], labels=["same"] * 8)
    written(tmp_path / "site", one)
    content = data(tmp_path / "site", "tiny/00-conv")
    assert content["labels"] == [[0]] * 7
    assert content["associations"] == [[0]] * 7


def test_several_networks_share_a_page(tmp_path):
    one, other = entry(8), entry(8, name="Other/one", seed=1)
    folder = tmp_path / "site"
    written(folder, one._replace(layers=["conv"]), other._replace(layers=["dense", "conv"]))
    told = data(folder, "index")["networks"]
    assert [(one["name"], one["key"]) for one in told] == [
        ("tiny", "tiny"), ("Other/one", "Other-one"),
    ]  # fmt: skip
    assert [layer["file"] for layer in told[1]["layers"]] == ["00-conv", "01-dense"]
    assert data(folder, "Other-one/01-dense")["titles"][3] == "class 3"
    assert data(folder, "Other-one/01-dense")["classes"][3] == "class 3, also 3"


def test_images_are_made(tmp_path):
    folder = tmp_path / "site"
    written(folder, entry(8)._replace(layers=["conv"]), imagine=True, steps=2)
    content = data(folder, "tiny/00-conv")
    assert content["sheets"]["made"]["total"] == len(content["scores"]) == 7
    assert (folder / "data" / "tiny" / "00-conv" / "made-0.png").is_file()
    assert names(folder) == ["data", "index.html", "jaxviz.json", "static"]


def test_pictures_come_in_the_order_of_how_often_they_are_found():
    found = jaxviz.TopPatches(*(np.array([[2, 0, -1], [2, 1, 0]]),) * 4)
    assert picture_order([found], 4).tolist() == [0, 2, 1]


def test_the_command(command, photographs, tmp_path):
    layer = "fire2/squeeze1x1"
    options = ("--network", "squeezenet", "--layer", layer, "--top", 2, "-o", tmp_path / "site")
    code, said, errors = command("atlas", photographs / "cat", *options)
    assert code == 0, errors
    assert "squeezenet: 16 channels of 1 layer" in said
    assert (tmp_path / "site" / "index.html").is_file()
    assert not data(tmp_path / "site", "index")["networks"][0]["labels"]
    code, _, errors = command("atlas", photographs, *options, "--layer", "fire99")
    assert (code, "fire99" in errors) == (2, True)
    both = ("--network", "alexnet", "--weights", "x.safetensors")
    code, _, errors = command("atlas", photographs, *options, *both)
    assert (code, errors.startswith("jaxviz: weights: ")) == (2, True)
