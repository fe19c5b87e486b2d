"""The pruned and quantized AlexNet becomes ours, every code at its place."""

import hashlib
import struct

import caffe_files as files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import complete_caffe
from test_porting_caffe import assert_ours

import jaxviz
from jaxviz.networks.sources import file_digest
from jaxviz.porting import deep_compression
from jaxviz.porting.source import opened

SHAPES = {layer: weight.shape for layer, (weight, _) in files.tiny_weights().items()}


def made(seed, density):
    """A file, and the weights {layer: (weight, bias)} that it stands for."""
    rng = np.random.default_rng(seed)
    codebooks, biases, codes, weights = {}, {}, {}, {}
    for layer, shape in SHAPES.items():
        values = rng.normal(size=256 if layer.startswith("conv") else 16).astype(np.float32)
        values[0] = rng.choice([0.0, 0.5])
        code = rng.integers(0, len(values), int(np.prod(shape)))
        code[rng.random(code.size) > density] = 0
        codebooks[layer], codes[layer] = values, code
        biases[layer] = rng.normal(size=shape[0]).astype(np.float32)
        weights[layer] = values[code].reshape(shape), biases[layer]
    return files.deep_compression(codebooks, biases, codes), weights


def test_every_code_is_at_its_place_however_few_there_are(ported):
    @settings(max_examples=30)
    @given(st.integers(0, 10**6), st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]))
    def check(seed, density):
        data, weights = made(seed, density)
        found = ported(data)
        assert found.network == "caffe_alexnet"
        assert found.metadata == {"network": "caffe_alexnet", "format": "Deep Compression"}
        assert_ours(found, complete_caffe.as_ours(weights))

    check()


def test_the_published_file_is_known_by_gits_id_of_it(ported, tmp_path, monkeypatch):
    data, _ = made(1, 0.3)
    digest = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    path = files.write(tmp_path / "net", data)
    assert file_digest(path, "git") == digest
    monkeypatch.setattr(deep_compression, "PUBLISHED", digest)
    assert ported(data).metadata["source"] == deep_compression.ORIGIN


def test_git_itself_gives_the_same_id(tmp_path):
    empty = files.write(tmp_path / "empty", b"")
    assert file_digest(empty, "git") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_codes_beyond_the_end_of_a_layer_are_refused(refusal):
    data, _ = made(2, 1.0)  # every weight has a code, so that no gap may be longer than nothing
    (count,) = struct.unpack("<I", data[:4])
    shape = SHAPES["conv1"]
    assert count <= np.prod(shape)
    gaps = 32 + 4 * 256 + 4 * shape[0] + count
    spoiled = bytearray(data)
    spoiled[gaps : gaps + -(-count // 2)] = b"\xff" * -(-count // 2)
    assert "conv1 has codes beyond its 48 weights" in refusal(bytes(spoiled))


@pytest.mark.parametrize("count", [49, 2**31, 2**32 - 1])
def test_more_codes_than_weights_are_refused(count, tmp_path, tiny_networks):
    data, _ = made(3, 0.5)
    path = files.write(tmp_path / "net", struct.pack("<I", count) + data[4:])
    with opened(path) as source, pytest.raises(jaxviz.InputError, match="codes for"):
        deep_compression.is_deep_compression(source)
    with pytest.raises(jaxviz.InputError, match=f"conv1 has {count} codes for 48 weights"):
        deep_compression.port_deep_compression(path)
