"""What weights there are, whether they are intact, and what to do where there are none."""

import numpy as np
import pytest
from conftest import ROOT
from safetensors.numpy import load_file

import jaxviz
from jaxviz.networks import catalog, loading, places
from jaxviz.networks.sources import OFFICIAL
from jaxviz.networks.weights_files import save_weights
from jaxviz.porting import port_weights

pytestmark = pytest.mark.once


def test_list_names_what_is_shipped_and_what_can_be_had(command):
    code, out, err = command("weights", "list")
    assert (code, err) == (0, "")
    shipped, _, had = out.partition("Complete; fetch them")
    for name in catalog.shipped_networks():
        path, digest = catalog.shipped_file(name)
        assert str(path) in shipped
        assert digest in shipped
    for name, official in OFFICIAL.items():
        assert f"\n{name}: " in had
        for text in (official.address, official.digest, official.license, official.accuracy):
            assert text in had


def test_list_names_what_was_fetched(command, fetched_alexnet):
    code, out, err = command("weights", "list")
    assert (code, err) == (0, "")
    fetched = out.partition("Fetched, in ")[2].partition("Complete; fetch them")[0]
    assert "alexnet: 1000 classes, 16 tensors, 61,100,840 numbers" in fetched
    assert str(fetched_alexnet) in fetched
    assert "a test" in fetched
    assert "--network alexnet --weights full" in fetched
    assert "\nalexnet: " not in out.partition("Complete; fetch them")[2]


def test_list_survives_a_file_that_is_none(command, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXVIZ_CACHE", str(tmp_path))
    (tmp_path / "caffenet.safetensors").write_bytes(b"\0" * 100)
    code, out, err = command("weights", "list")
    assert (code, err) == (0, "")
    assert "caffenet: damaged" in out


def test_verify_finds_everything_intact(command, fetched_alexnet):
    code, out, err = command("weights", "verify")
    assert (code, err) == (0, "")
    files = [catalog.shipped_file(name)[0] for name in catalog.shipped_networks()]
    for file in (*files, fetched_alexnet):
        assert f"{file}: intact" in out
    assert command("weights", "verify", "alexnet")[1].count("intact") == 2
    assert command("weights", "verify", files[1])[1] == f"{files[1]}: intact, for squeezenet\n"


@pytest.fixture
def ported(tmp_path):
    """SqueezeNet ported, with the digest of its numbers."""
    output = tmp_path / "ported.safetensors"
    port_weights(catalog.shipped_file("squeezenet")[0], output)
    return output


@pytest.mark.parametrize("place", [-1, -1000, -4_000_000])
def test_verify_finds_a_flipped_bit(place, command, ported):
    assert command("weights", "verify", ported)[0] == 0
    data = bytearray(ported.read_bytes())
    data[place] ^= 1
    ported.write_bytes(data)
    code, out, err = command("weights", "verify", ported, "squeezenet")
    assert code == 1
    assert err.startswith(f"jaxviz: weights: {ported} is damaged")
    assert err.count("\n") == 1
    assert out.count("intact") == 1  # the other one


def test_verify_finds_a_changed_shipped_file(command, monkeypatch, tmp_path):
    for name in catalog.shipped_networks():
        path, _ = catalog.shipped_file(name)
        save_weights(tmp_path / path.name, load_file(path), {"source": "elsewhere"})
    for module in (places, catalog):
        monkeypatch.setattr(module, "shipped_folder", lambda: tmp_path)
    code, out, err = command("weights", "verify")
    assert (code, out) == (1, "")
    assert [line.split(": sha256")[0] for line in err.splitlines()] == [
        f"jaxviz: weights: {tmp_path / name}.safetensors is damaged"
        for name in sorted(catalog.shipped_networks())
    ]


@pytest.mark.parametrize(
    "tensors, metadata, said",
    [
        ({"x": np.zeros(3, "f4")}, {}, "do not fit"),
        ({"x": np.zeros(3, "f4")}, {"network": "vgg"}, "unknown name 'vgg'"),
        (None, {"network": "alexnet"}, "do not fit"),
        (None, {"tensors_sha256": "0" * 64}, "is damaged"),
    ],
)
def test_verify_finds_what_fits_no_network(tensors, metadata, said, command, tmp_path):
    shipped = load_file(catalog.shipped_file("squeezenet")[0])
    file = save_weights(tmp_path / "x.safetensors", tensors or shipped, metadata)
    code, _, err = command("weights", "verify", file)
    assert code == 1
    assert said in err
    assert err.count("\n") == 1


def test_verify_takes_a_file_that_does_not_name_its_network(command, tmp_path):
    tensors = load_file(catalog.shipped_file("alexnet")[0])
    file = save_weights(tmp_path / "x.safetensors", tensors, {})
    assert command("weights", "verify", file)[:2] == (0, f"{file}: intact, for alexnet\n")


def test_show_prints_tensors_shapes_and_metadata(command, ported):
    for asked in (ported, "squeezenet"):
        code, out, err = command("weights", "show", asked)
        assert (code, err) == (0, "")
        assert "52 tensors, 1,235,496 numbers" in out
        lines = [line.split() for line in out.splitlines()]
        assert ["fire2.expand3x3.kernel", *["3", "x", "3", "x", "16", "x", "64"]] in lines
        assert ["network", "squeezenet"] in lines


def test_what_a_strangers_file_says_cannot_command_the_terminal(command, tmp_path):
    file = save_weights(
        tmp_path / "x.safetensors", {"a\x1b[2J": np.ones(1, "f4")}, {"source": "\x1b]0;x\x07\nb"}
    )
    code, out, _ = command("weights", "show", file)
    assert code == 0
    assert "\x1b" not in out
    assert "\x07" not in out
    assert len([line for line in out.splitlines() if line]) == 3


MISTAKES = {
    "unknown name 'vgg'": "get vgg",
    "caffenet is not here; fetch it with: jaxviz weights get caffenet": "show caffenet",
    "caffe_alexnet-onnx is not here": "verify caffe_alexnet-onnx",
    "absent.safetensors: no such file": "show absent.safetensors",
    "README.md: not a valid safetensors file": f"show {ROOT / 'weights' / 'README.md'}",
    "`jaxviz weights port FILE -o OUT.safetensors` makes one": f"show {ROOT / 'README.md'}",
    "weights: .: is a folder": "port . -o x.safetensors",
}


@pytest.mark.parametrize("said", MISTAKES)
def test_a_mistake_is_one_line(said, command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = command("weights", *MISTAKES[said].split())
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("network", ["alexnet", "caffe_alexnet", "caffenet"])
def test_without_fetched_weights_it_is_said_how_to_get_them(network, command, tmp_path):
    png = tmp_path / "x.png"
    arguments = ("filters", "--network", network, "--weights", "full", "-o", png)
    code, _, err = command(*arguments)
    assert code == 2
    assert f"jaxviz weights get {network}" in err
    assert err.count("\n") == 1
    assert not png.exists()


def test_without_a_name_the_network_is_the_one_that_the_weights_are_for(command, tmp_path):
    png = tmp_path / "x.png"
    weights = catalog.shipped_file("squeezenet")[0]  # the usual network of this command is AlexNet
    code, out, _ = command("filters", "--weights", weights, "-o", png)
    assert code == 0
    assert "3 x 3" in out
    code, _, err = command("filters", "--weights", weights, "--network", "alexnet", "-o", png)
    assert code == 2
    assert "made for squeezenet, not for alexnet" in err


def test_full_is_the_shipped_file_where_that_is_complete(command, tmp_path):
    assert loading.weights_file("squeezenet", "full") == catalog.shipped_file("squeezenet")[0]


def test_fetched_weights_serve_the_command_line(command, fetched_alexnet, tmp_path):
    png = tmp_path / "x.png"
    picture = ROOT / "examples" / "images" / "cat" / "chelsea.png"
    code, _, _ = command(
        "activations", picture, "--network", "alexnet", "--weights", "full", "-o", png,
        "--layer", "conv5", "--save-arrays",
    )  # fmt: skip
    assert code == 0
    with np.load(png.with_suffix(".npz")) as found:
        assert "a test" in str(found["jaxviz"])


def test_of_several_fetched_files_the_one_of_the_networks_name_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXVIZ_CACHE", str(tmp_path))
    assert places.cached_weights("caffe_alexnet") is None
    for name in ("caffe_alexnet-onnx", "caffe_alexnet-compressed", "caffe_alexnet"):
        file = tmp_path / f"{name}.safetensors"
        file.touch()
        assert places.cached_weights("caffe_alexnet") == file
    assert places.cached_weights("alexnet") is None


def test_fetched_weights_that_end_too_early_are_no_full_ones(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXVIZ_CACHE", str(tmp_path))
    port_weights(catalog.shipped_file("alexnet")[0], tmp_path / "alexnet.safetensors")
    with pytest.raises(jaxviz.InputError, match="ends before the classes"):
        jaxviz.load("alexnet", weights="full")
