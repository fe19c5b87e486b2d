"""Weights files are data: checked byte by byte, name by name, shape by shape, and never run."""

import hashlib
import json
import re
import struct

import numpy as np
import pytest
from conftest import ROOT, refusal
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

import jaxviz
from jaxviz.networks import catalog
from jaxviz.networks.weights_files import read_weights, save_weights

SHIPPED = ROOT / "weights"
NETWORKS = catalog.shipped_networks()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def small(tmp_path):
    """A small valid file, to damage."""
    tensors = {"a.kernel": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.ones(2, "f4")}
    return save_weights(tmp_path / "small.safetensors", tensors, {"source": "here"})


@pytest.fixture
def changed(tmp_path):
    """Write SqueezeNet's weights after a change to its dict of tensors."""

    def write(change):
        tensors = {k: v.copy() for k, v in load_file(SHIPPED / "squeezenet.safetensors").items()}
        change(tensors)
        return save_weights(tmp_path / "changed.safetensors", tensors, {})

    return write


def test_shipped_files_are_the_ones_that_readme_and_catalog_name():
    text = (SHIPPED / "README.md").read_text(encoding="utf-8")
    listed = {name: digest for digest, name in re.findall(r"([0-9a-f]{64})\s+(\S+)", text)}
    assert len(listed) == 4
    for name, digest in listed.items():
        assert sha256(SHIPPED / name) == digest
    for name in NETWORKS:
        path, digest = catalog.shipped_file(name)
        assert listed[path.name] == digest == jaxviz.load(name).provenance["sha256"]


def test_there_are_1000_classes_each_with_a_name():
    names = catalog.class_names()
    assert len(names) == 1000
    assert [name for name in names if names.count(name) > 1] == ["crane", "crane"]
    assert all(name and name.strip() == name for name in names)
    assert (names[0].split(",")[0], names[281].split(",")[0], names[999].split(",")[0]) == (
        "tench",
        "tabby",
        "toilet tissue",
    )


def test_an_unknown_network_is_refused_with_the_valid_names():
    message = refusal(jaxviz.load, "resnet")
    assert "resnet" in message
    assert all(name in message for name in jaxviz.networks())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("place", [9, 5000, -1])
def test_one_flipped_bit_in_a_shipped_file_is_caught(name, place, tmp_path, monkeypatch):
    path, _ = catalog.shipped_file(name)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    (tmp_path / path.name).write_bytes(data)
    monkeypatch.setattr(catalog, "shipped_folder", lambda: tmp_path)
    assert str(tmp_path / path.name) in refusal(jaxviz.load, name)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_valid_file_in_place_of_the_shipped_one_is_caught(name, tmp_path, monkeypatch):
    path, _ = catalog.shipped_file(name)
    save_weights(tmp_path / path.name, load_file(path), {"source": "elsewhere"})
    monkeypatch.setattr(catalog, "shipped_folder", lambda: tmp_path)
    message = refusal(jaxviz.load, name)
    assert "damaged" in message
    assert sha256(tmp_path / path.name) in message
    monkeypatch.undo()
    assert jaxviz.load(name, weights=tmp_path / path.name).name == name


def test_missing_files_folders_and_empty_files_are_refused_by_name(tmp_path):
    (tmp_path / "empty").touch()
    for name in ("absent", "empty", "."):
        assert str(tmp_path / name) in refusal(jaxviz.load, "alexnet", weights=tmp_path / name)


def test_a_file_cut_short_anywhere_is_refused_by_name(small):
    data = small.read_bytes()
    for length in range(len(data)):
        small.write_bytes(data[:length])
        assert str(small) in refusal(read_weights, small), length


@given(st.binary(min_size=0, max_size=80), st.integers(0, 300))
def test_noise_is_refused_or_read_as_tensors(tmp_path_factory, noise, place):
    tensors = {"x": np.ones((2, 3), np.float32)}
    file = save_weights(tmp_path_factory.mktemp("noise") / "x", tensors, {"a": "b"})
    data = file.read_bytes()
    file.write_bytes(data[:place] + noise + data[place + len(noise) :])
    try:
        found = read_weights(file)
    except jaxviz.InputError as error:
        assert str(file) in str(error)
    else:
        assert sum(value.nbytes for value in found.tensors.values()) <= file.stat().st_size
        theirs = load_file(file)  # safetensors' own reader
        assert found.tensors.keys() == theirs.keys()
        assert all(found.tensors[name].tobytes() == theirs[name].tobytes() for name in theirs)


@pytest.mark.parametrize("length", [0, 1, 10**3, 10**9, 2**40, 2**63, 2**64 - 1])
def test_a_header_with_a_false_length_is_refused(length, small):
    data = small.read_bytes()
    small.write_bytes(struct.pack("<Q", length) + data[8:])
    assert str(small) in refusal(read_weights, small)


def file_with(path, header, data=b"\0" * 16):
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def tensor(shape, end=16, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        {"x": tensor([4], end=2**40)},
        {"x": tensor([2**62, 2**62])},
        {"x": tensor([5])},
        {"x": tensor([-4])},
        {"x": tensor([4], dtype="pickle")},
        {"x": {"dtype": "F32", "shape": [4]}},
        {"x": tensor([4]), "y": tensor([4])},
        {"__metadata__": {"a": {"b": "c"}}, "x": tensor([4])},
        b'{"x":' * 5000,
    ],
    ids=lambda header: str(header)[:60],
)
def test_a_header_that_lies_is_refused(header, tmp_path):
    file = file_with(tmp_path / "lies", header)
    assert str(file) in refusal(read_weights, file)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F8_E4M3", "F8_E5M2", "I64", "BOOL", "F64"])
def test_other_number_types_are_refused(dtype, tmp_path):
    sizes = {"BF16": 2, "F16": 2, "I64": 8, "F64": 8}
    header = {"x": tensor([16 // sizes.get(dtype, 1)], dtype=dtype)}
    file = file_with(tmp_path / "other", header)
    assert str(file) in refusal(jaxviz.load, "squeezenet", weights=file)


def test_a_sparse_file_of_terabytes_is_refused_unread(tmp_path, monkeypatch):
    file = tmp_path / "huge.safetensors"
    with file.open("wb") as handle:
        handle.truncate(2**40)
    monkeypatch.setattr(type(file), "read_bytes", lambda self: pytest.fail("was read"))
    assert str(2**40) in refusal(read_weights, file)


def test_every_tensor_must_be_there_and_no_other(changed):
    message = refusal(jaxviz.load, "squeezenet", weights=changed(lambda t: t.pop("conv1.bias")))
    assert "missing: conv1.bias" in message

    def add(tensors):
        tensors["conv11.bias"] = np.zeros(3, np.float32)

    assert "not known: conv11.bias" in refusal(jaxviz.load, "squeezenet", weights=changed(add))


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda x: x.reshape(-1), "shape"),
        (lambda x: x[..., :-1], "shape"),
        (lambda x: x.transpose(3, 2, 0, 1), "shape"),
        (lambda x: x.astype(np.float64), "float64"),
        (lambda x: x.astype(np.float16), "float16"),
        (lambda x: x.astype(np.int32), "int32"),
        (lambda x: np.where(x == x.max(), np.nan, x), "finite"),
        (lambda x: np.where(x == x.max(), -np.inf, x), "finite"),
    ],
)
def test_shape_type_and_values_of_every_tensor_are_checked(change, said, changed):
    def spoil(tensors):
        tensors["fire5.expand3x3.kernel"] = change(tensors["fire5.expand3x3.kernel"])

    message = refusal(jaxviz.load, "squeezenet", weights=changed(spoil))
    assert "fire5.expand3x3.kernel" in message
    assert said in message


def test_another_networks_file_is_refused(tmp_path):
    for name, other in (("alexnet", "squeezenet"), ("squeezenet", "alexnet")):
        file, _ = catalog.shipped_file(other)
        assert f"made for {other}" in refusal(jaxviz.load, name, weights=file)
        bare = save_weights(tmp_path / other, load_file(file), {})
        assert "do not fit" in refusal(jaxviz.load, name, weights=bare)


def test_metadata_cannot_pass_for_our_own_provenance(tmp_path):
    tensors = load_file(SHIPPED / "squeezenet.safetensors")
    lies = {"sha256": "0" * 64, "network": "vgg", "weights": "x", "preprocessing": "none"}
    file = save_weights(tmp_path / "lies.safetensors", tensors, {**lies, "source": "kept"})
    provenance = jaxviz.load("squeezenet", weights=file).provenance
    assert provenance["sha256"] == sha256(file)
    assert provenance["network"] == "squeezenet"
    assert provenance["weights"] == file.name
    assert provenance["preprocessing"]["crop"] == 227
    assert provenance["source"] == "kept"
