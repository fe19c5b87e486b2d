"""Each command writes its picture and its numbers; each mistake is one line and exit code 2."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import jaxviz
from jaxviz.analyses import load_analyses
from jaxviz.files import file_stems
from jaxviz.networks.catalog import shipped_file, shipped_networks
from jaxviz.networks.weights_files import save_weights

pytestmark = pytest.mark.once

QUICK = ("--window", 76, "--stride", 76)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two labeled folders of two small pictures each."""
    root = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    for name in ("a/one.png", "a/two.png", "b/three.png", "b/four.png"):
        file = root / name
        file.parent.mkdir(exist_ok=True)
        coarse = Image.fromarray(draw.integers(0, 255, (6, 8, 3), np.uint8))
        coarse.resize((120, 90)).save(file)
    return root


@pytest.fixture
def picture(folder):
    return folder / "a" / "one.png"


def check_results(png, network, options, arrays):
    with Image.open(png) as image:
        image.load()
        assert min(image.size) > 50
        assert image.info["Software"] == "jaxviz"
    with np.load(png.with_suffix(".npz"), allow_pickle=False) as found:
        record = json.loads(str(found["jaxviz"]))
        assert set(found) == {"jaxviz", *arrays}
        assert all(found[name].size for name in arrays)
    assert record["sha256"] == shipped_file(network)[1]
    assert record["network"] == network
    assert record["preprocessing"]["crop"] == (227 if network == "squeezenet" else 224)
    assert record["jaxviz"] == jaxviz.__version__
    assert record["options"] == record["options"] | options
    return record


def run_all(command, png, *arguments):
    code, out, err = command(*arguments, "--output", png, "--save-arrays")
    assert (code, err) == (0, "")
    assert str(png) in out or str(png.parent) in out
    return out


@pytest.mark.parametrize("again", [False, True], ids=["new", "over our own"])
def test_filters(again, command, tmp_path):
    png = tmp_path / "new" / "filters.png"
    for _ in range(1 + again):
        run_all(command, png, "filters", "--top", 3, "--layer", "conv1", "--layer", "conv2")
    options = {"layer": ["conv1", "conv2"], "top": 3}
    check_results(png, "alexnet", options, ["conv1.filters", "conv2.slices"])
    assert sorted(path.name for path in png.parent.iterdir()) == ["filters.npz", "filters.png"]


def test_activations(command, tmp_path, picture):
    png = tmp_path / "maps.png"
    out = run_all(command, png, "activations", picture, "--channel", 7, "--layer", "conv3")
    assert "99 x 99 pixels" in out  # what one unit of conv3 sees
    options = {"picture": str(picture), "channel": [7], "layer": ["conv3"]}
    check_results(png, "alexnet", options, ["conv3.maps", "conv3.pixels"])


@pytest.mark.parametrize(
    "options",
    [{}, {"fill": "blur", "score": "logit", "target": "tabby"}, {"target": "conv_stem:3"}],
)
def test_occlude(options, command, tmp_path, picture):
    png = tmp_path / "hot.png"
    given = [f"--{name}={value}" for name, value in options.items()]
    run_all(command, png, "occlude", picture, *QUICK, *given)
    wanted = {"window": [76, 76], "stride": [76, 76], "fill": "mean", **options}
    arrays = ["scores", "baseline", "heatmap", "coverage"]
    arrays += ["pixels", "row_starts", "col_starts", "fill_values", "fill_pixels"]
    check_results(png, "efficientnet_lite0", wanted, arrays)
    with np.load(png.with_suffix(".npz")) as found:
        assert found["scores"].shape == (1, 3, 3)
        assert found["heatmap"].shape == (1, 224, 224)


@pytest.mark.parametrize("name", ["patches", "features", "pack"])
def test_a_command_that_writes_a_folder_refuses_the_name_of_a_file(name, command, tmp_path, folder):
    code, out, err = command(name, folder, "--output", tmp_path / "new.png")
    assert (code, out) == (2, "")
    assert "expected a folder's name, got that of a file" in err
    assert not (tmp_path / "new.png").exists()


def test_neighbors(command, tmp_path, folder):
    png = tmp_path / "near.png"
    out = run_all(command, png, "neighbors", folder, "--layer", "pool2", "--top", 2)
    assert "same kind by raw pixels" in out
    kinds = [f"{m}.{f}" for m in ("cosine", "euclidean", "raw_pixels") for f in ("distances",)]
    kinds += [name.replace("distances", "indices") for name in kinds]
    options = {"layer": "pool2", "top": 2}
    shown = [f"shown.{field}" for field in ("numbers", "pixels", "placements", "sha256")]
    rows = ["queries", "indices", "distances", "labels"]
    check_results(png, "alexnet", options, ["features", "paths", *kinds, *rows, *shown])


def test_neighbors_of_named_pictures(command, tmp_path, folder):
    png = tmp_path / "near.png"
    asked = ("--picture", folder / "b" / "four.png", "--picture", "one.png")
    run_all(command, png, "neighbors", folder, "--layer", "pool2", "--top", 1, *asked)
    with np.load(png.with_suffix(".npz")) as found:
        names = [found["paths"][query] for query in found["queries"]]
    assert names == ["b/four.png", "a/one.png"]
    code, _, err = command("neighbors", folder, "--layer", "pool2", "--picture", "five.png")
    assert code == 2
    assert "picture: no picture of the collection ends in five.png" in err


def test_neighbors_of_a_large_folder_are_found_without_its_pixels(
    command, tmp_path, folder, monkeypatch
):
    monkeypatch.setattr("jaxviz.cli.folder_commands._IN_MEMORY", 0)
    out = run_all(command, tmp_path / "near.png", "neighbors", folder, "--layer", "pool2")
    assert "same kind by pool2, cosine" in out
    assert "raw pixels" not in out


def test_patches(command, tmp_path, folder):
    output = tmp_path / "patches"
    arguments = ("patches", folder, "--layer", "conv2", "--top", 2, "--channel", 5, "--channel", 9)
    code, _, err = command(*arguments, "--output", output, "--save-arrays")
    assert (code, err) == (0, "")
    arrays = [f"conv2.{field}" for field in ("values", "images", "rows", "cols")]
    arrays += [f"shown.{field}" for field in ("numbers", "pixels", "placements", "sha256")]
    check_results(output / "conv2.png", "alexnet", {}, [*arrays, "paths", "channels"])
    manifest = json.loads((output / "jaxviz.json").read_text("utf-8"))
    assert manifest["provenance"]["sha256"] == shipped_file("alexnet")[1]
    assert [(p["channel"], p["rank"]) for p in manifest["patches"]] == [
        (5, 0),
        (5, 1),
        (9, 0),
        (9, 1),
    ]
    for patch in manifest["patches"]:
        top, left, bottom, right = patch["picture_box"]
        assert 0 <= top <= bottom <= 90
        assert 0 <= left <= right <= 120


def test_patches_of_each_label_and_by_the_mean(command, tmp_path, folder):
    output = tmp_path / "out"
    arguments = ("patches", folder, "--layer", "conv1", "--channel", 5, "--rank-by", "mean")
    code, _, err = command(*arguments, "--by-label", "--save-arrays", "--output", output)
    assert (code, err) == (0, "")
    records = json.loads((output / "jaxviz.json").read_text("utf-8"))["patches"]
    labels = [(one["label"], one["rank"]) for one in records]
    assert sorted(labels) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert all(Path(one["image"]).parent.name == one["label"] for one in records)
    (page,), _ = load_analyses(output / "conv1.npz")
    assert page.values.shape == (2, 64, 9)
    assert {title.partition("\n")[2] for title in page.titles} == {"a", "b"}


def test_weights_list_names_what_is_shipped(command):
    code, out, err = command("weights", "list")
    assert (code, err) == (0, "")
    for name in shipped_networks():
        assert shipped_file(name)[1] in out
    assert "BSD-3-Clause" in out


def test_version(command):
    assert command("--version") == (0, f"jaxviz {jaxviz.__version__}\n", "")


@pytest.mark.parametrize("group", [(), ("weights",)])
def test_without_a_command_help_is_shown(command, group):
    code, out, err = command(*group)
    assert code == 2
    assert "Usage: jaxviz" in out + err
    assert "jaxviz: " not in err


def test_an_interruption_says_how_to_go_on(command, folder, monkeypatch, tmp_path):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxviz.sweep.top_patches", interrupted)
    code, _, err = command("patches", folder, "-o", tmp_path / "out")
    assert code == 130
    assert err.startswith("jaxviz: interrupted; ")
    assert err.count("\n") == 1


@pytest.fixture
def spoiled(tmp_path, picture):
    """Files to stumble over."""
    data = picture.read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (3, 3)).save(tmp_path / "photo.png")
    np.savez(tmp_path / "mine.npz", x=1)
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4 years of work")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    (tmp_path / "hollow").mkdir()
    weights, _ = shipped_file("squeezenet")
    (tmp_path / "broken.safetensors").write_bytes(weights.read_bytes()[:3000])
    return tmp_path


MISTAKES = {  # a part of the message: the command, with P a picture, F a folder, T spoiled files
    "unknown name 'vgg'": "occlude P --network vgg",
    "unknown name 'conv9'": "activations P --layer conv9",
    "no convolution 'pool1'": "filters --layer pool1",
    "has no maps": "activations P --network squeezenet --layer pool10",
    "expected 0 to 255": "activations P --layer conv5 --channel 256",
    "channel: expected 0 to 191, got [-1]": "patches F --layer conv2 --channel=-1",
    "whole images": "patches F --rank-by mean --all-positions",
    "all pictures have the same": "patches T/ --by-label",
    "only --by-label": "patches F --labels T/mine.csv",
    "several rows by label": "patches F --by-label --imagine",
    "no class is called 'unicorn'": "occlude P --target unicorn",
    "134 or 517": "occlude P --target crane",
    "not from 0 to 999": "occlude P --target 1000",
    "no class is called '²'": "occlude P --target ²",
    "no class is called '--5'": "occlude P --target=--5",
    "expected LAYER:CHANNEL": "occlude P --target conv_stem:x",
    "channel: expected 0 to 31": "occlude P --target conv_stem:32",
    "fc8 (and so its classes) are not shipped": "occlude P --network alexnet --target tabby",
    "fill: unknown 'plaid'": "occlude P --fill plaid",
    "fill: unknown 'rgb(300,0,0)'": "occlude P --fill rgb(300,0,0)",
    "score: unknown name 'loss'": "occlude P --score loss",
    "is larger than the image": "occlude P --window 228",
    "larger than the window": "occlude P --window 8 --stride 9",
    "no such file": "activations T/absent.png",
    "is a folder": "activations F",
    "damaged picture": "activations T/cut.png",
    "not a picture": "occlude T/text.png",
    "no pictures in this folder": "neighbors T/hollow",
    "no such file or folder": "patches T/absent",
    "at least two pictures": "neighbors T/photo.png",
    "none could be read": "neighbors T/cut.png",
    "ends in .png, .pdf or .svg, got T/x.gif": "filters --output T/x.gif",
    "photo.png: exists and was not made by jaxviz": "filters --output T/photo.png",
    "paper.pdf: exists": "filters --output T/paper.pdf",
    "photo.png: exists and": "draw T/mine.npz --output T/photo.png",
    "mine.npz: not an npz": "draw T/mine.npz",
    "absent.npz: no such file": "draw T/absent.npz",
    "holds one figure": "filters --layer conv1 --layer conv2 --top 1 --output T/x.svg",
    "for '--dpi'": "filters --dpi 0",
    "dpi: 9000 gives": "filters --top 1 --dpi 9000",
    "mine.npz: exists": "filters --output T/mine.png --save-arrays",
    "not a folder": "filters --output T/photo.png/x.png",
    "full: is not empty": "patches F --output T/full",
    "photo.png: is a file": "patches F --output T/photo.png",
    "full: is not empty and": "tour P --output T/full",
    "File name too long": f"activations T/{'x' * 300}.png",
    f"{'y' * 300}.png: ": f"filters --output T/{'y' * 300}.png",
    "broken.safetensors: not a valid": "occlude P --weights T/broken.safetensors",
    "absent.safetensors: no such": "filters --weights T/absent.safetensors",
    "jaxviz: weights: ": "filters --weights F",
    "no such command 'show'; see jaxviz --help": "show P",
    "; see jaxviz patches --help": "patches",
    "--layers": "activations P --layers conv5",
    "for '--top'": "patches F --top 0",
    "for '--rows'": "patches F --rows many",
    "'umap'": "map F --method umap",
    "unexpected extra argument": "features F P",
}


@pytest.mark.parametrize("said", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(
    said, command, folder, picture, spoiled, monkeypatch
):
    def place(text):
        text = re.sub(r"(?<![\w.])T/", f"{spoiled}/", text)
        return {"P": str(picture), "F": str(folder)}.get(text, text)

    monkeypatch.chdir(spoiled)  # where outputs go that were not named

    def state():
        return {p: p.is_file() and p.read_bytes() for p in spoiled.rglob("*")}

    before = state()
    code, _, err = command(*map(place, MISTAKES[said].split()))
    assert code == 2
    assert err.startswith("jaxviz: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert re.sub(r"(?<![\w.])T/", f"{spoiled}/", said) in err
    assert state() == before


def test_unreadable_pictures_of_a_folder_are_named_and_left_out(command, spoiled, picture):
    (spoiled / "second.png").write_bytes(picture.read_bytes())
    png = spoiled / "out" / "x.png"
    code, out, err = command("neighbors", spoiled, "--layer", "pool2", "-o", png)
    assert code == 0
    assert "pictures: 2" in out
    *skipped, others = (line for line in err.splitlines())
    names = sorted(line.split(":")[0] for line in skipped)
    assert names == [f"skipped {spoiled / name}" for name in ("cut.png", "text.png")]
    assert re.fullmatch(r"passed over, no pictures by their names: .*\d \.\w+.*", others)


def test_several_pictures_windows_of_two_sides_and_one_scale(command, tmp_path, folder):
    png = tmp_path / "hot.png"
    pictures = sorted(folder.glob("*/*.png"))[:2]
    options = ("--window", "113x57", "--stride", "113x57", "--one-scale")
    run_all(command, png, "occlude", *pictures, *options)
    with np.load(png.with_suffix(".npz")) as found:
        assert found["scores"].shape == (2, 2, 4)


@pytest.mark.parametrize("size", ["0", "-3", "3x", "3x4x5", "a", "1.5", ""])
def test_a_window_that_is_no_size(size, command, tmp_path, picture):
    code, _, err = command("occlude", picture, f"--window={size}", "-o", tmp_path / "x.png")
    assert code == 2
    assert "expected a size such as 32 or 32x16" in err
    assert err.count("\n") == 1


def test_a_layer_of_another_network_is_said_to_be_its(command, tmp_path, picture):
    code, _, err = command("activations", picture, "--layer", "pool10", "-o", tmp_path / "x.png")
    assert code == 2
    assert "; squeezenet has one of this name" in err
    assert err.count("\n") == 1


def test_layers_asked_for_twice_are_drawn_once(command, tmp_path, folder):
    twice = ("--layer", "conv2", "--layer", "conv2", "--channel", 5, "--top", 2)
    assert command("patches", folder, *twice, "-o", tmp_path / "out")[0] == 0
    manifest = json.loads((tmp_path / "out" / "jaxviz.json").read_text("utf-8"))
    assert [(one["channel"], one["rank"]) for one in manifest["patches"]] == [(5, 0), (5, 1)]


def test_layers_whose_names_make_one_file_name_get_two():
    assert file_stems(["a/b", "a_b", "c/d", "a/b/c"]) == ["a_b", "a_b-2", "c_d", "a_b_c"]


def test_weights_of_ones_own_are_recorded(command, tmp_path, picture):
    tensors = load_file(shipped_file("squeezenet")[0])
    own = save_weights(tmp_path / "own.safetensors", tensors, {})
    png = tmp_path / "x.png"
    given = ("--network", "squeezenet", "--weights", own, "-o", png, "--save-arrays")
    assert command("occlude", picture, *QUICK, *given)[0] == 0
    with np.load(tmp_path / "x.npz") as found:
        record = json.loads(str(found["jaxviz"]))
    assert record["weights"] == "own.safetensors"
    assert record["sha256"] not in (shipped_file(name)[1] for name in shipped_networks())


def test_labels_of_a_table(command, tmp_path, folder):
    table, png = tmp_path / "labels.csv", tmp_path / "out.png"
    table.write_text("one.png,cat\ntwo.png,dog\nthree.png,cat\nfour.png,cat\n")
    for name in ("neighbors", "map"):
        options = ("--layer", "pool2", "--labels", table, *(("--top", 1) if name != "map" else ()))
        run_all(command, png, name, folder, *options)
        with np.load(png.with_suffix(".npz")) as found:
            labels = dict(zip(found["paths"].tolist(), found["labels"].tolist(), strict=True))
        assert labels == {
            "a/one.png": "cat", "a/two.png": "dog", "b/three.png": "cat", "b/four.png": "cat"
        }  # fmt: skip
