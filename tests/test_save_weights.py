"""Saved weights come back as they were, in bytes that depend on their content alone."""

import hashlib

import numpy as np
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load_file, save_file

import jaxviz
from jaxviz.networks import catalog
from jaxviz.networks.weights_files import flat, nested, read_weights, save_weights

SHIPPED = ROOT / "weights"
NETWORKS = catalog.shipped_networks()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


names = st.from_regex(r"[a-z0-9_]{1,6}(\.[a-z]{1,6}){0,2}", fullmatch=True)
floats = arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_dims=4, max_side=4))


@settings(max_examples=50)
@given(st.dictionaries(names, floats, min_size=1, max_size=5), st.dictionaries(names, st.text()))
def test_saving_round_trips_and_its_bytes_depend_on_content_alone(tmp_path_factory, tensors, data):
    folder = tmp_path_factory.mktemp("saved")
    one = save_weights(folder / "one", tensors, data)
    turned = {k: np.asfortranarray(tensors[k]) for k in reversed(tensors)}
    two = save_weights(folder / "two", turned, dict(reversed(data.items())))
    assert one.read_bytes() == two.read_bytes()
    found = read_weights(one)
    assert found.metadata == data
    assert found.sha256 == sha256(one)
    assert set(found.tensors) == set(tensors)
    for name, value in tensors.items():
        np.testing.assert_array_equal(found.tensors[name], value)


def test_shipped_files_are_what_saving_them_again_gives(tmp_path):
    for name in NETWORKS:
        path, _ = catalog.shipped_file(name)
        file = read_weights(path)
        again = save_weights(tmp_path / path.name, file.tensors, file.metadata)
        assert again.read_bytes() == path.read_bytes()


def test_nested_and_flat_undo_each_other():
    tensors = load_file(SHIPPED / "squeezenet.safetensors")
    tree = nested(tensors)
    assert set(tree["fire2"]["squeeze1x1"]) == {"kernel", "bias"}
    assert flat(tree).keys() == tensors.keys()


def test_safetensors_own_writer_is_read_too(tmp_path):
    tensors = load_file(SHIPPED / "squeezenet.safetensors")
    save_file(tensors, tmp_path / "theirs.safetensors")
    network = jaxviz.load("squeezenet", weights=tmp_path / "theirs.safetensors")
    assert list(network.provenance) == ["network", "weights", "sha256", "preprocessing"]
