"""Files that lie, are cut short or have flipped bits: one line, soon, in little memory."""

import os
import random
import struct
import time
import tracemalloc

import caffe_files as files
import numpy as np
import pytest
from test_porting_deep_compression import made

import jaxviz
from jaxviz import porting
from jaxviz.porting import caffe_model, deep_compression, onnx_graph, onnx_model
from jaxviz.porting.source import opened

pytestmark = pytest.mark.once

WEIGHTS = files.tiny_weights()
FILES = {
    "caffe": files.caffemodel(WEIGHTS),
    "caffe V1": files.caffemodel(WEIGHTS, v1=True, legacy=True),
    "caffe unpacked": files.caffemodel(WEIGHTS, packed=False),
    "onnx": files.onnx_model(WEIGHTS),
    "onnx float_data": files.onnx_model(WEIGHTS, opset=4, raw=False, packed=False),
    "deep compression": made(0, 0.3)[0],
}


def recognizer(is_format):
    """A recognizer that opens the file itself."""

    def recognize(path):
        with opened(path) as source:
            return is_format(source)

    return recognize


READERS = {
    "caffe": (recognizer(caffe_model.is_caffe), caffe_model.port_caffe),
    "onnx": (recognizer(onnx_graph.is_onnx), onnx_model.port_onnx),
    "deep": (
        recognizer(deep_compression.is_deep_compression), deep_compression.port_deep_compression,
    ),
}  # fmt: skip
ENOUGH = 2**22  # besides a few times the file: pages, and what the tests themselves take
HUGE = 2**63 - 1
NUM_CASES = int(os.environ.get("JAXVIZ_NUM_CASES", "150"))


@pytest.fixture(autouse=True)
def tiny(tiny_networks):
    """All networks are tiny."""


@pytest.fixture
def attempt(tmp_path):
    """Port bytes in each way there is; return the refusals, None for what was read."""
    path = tmp_path / "hostile"

    def port(data, reader=None):
        files.write(path, data)
        recognizes, read = READERS[reader] if reader else (None, None)
        said = []
        for function in (recognizes, read) if reader else (whole,):
            try:
                function(path)
                said.append(None)
            except jaxviz.InputError as error:
                assert "\n" not in str(error)
                assert str(path) in str(error)
                assert len(str(error)) < 600
                said.append(str(error))
        assert [file.name for file in tmp_path.iterdir()] == ["hostile"]
        return said[-1]

    def whole(path):
        porting.port_weights(path, tmp_path / "ours.safetensors")
        (tmp_path / "ours.safetensors").unlink()

    return port


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_anywhere_is_refused(name, attempt):
    data = FILES[name]
    assert attempt(data) is None
    reader = name.split()[0]
    step = max(1, len(data) // 100)
    for length in range(0, len(data), step):
        assert attempt(data[:length], reader) or (reader == "onnx" and length > len(data) - 10), (
            length
        )


@pytest.mark.parametrize("name", FILES)
def test_flipped_bits_and_lost_or_repeated_bytes_are_refused_or_read(name, attempt):
    chance = random.Random(name)
    reader = name.split()[0]
    for _ in range(NUM_CASES):
        data = bytearray(FILES[name])
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(data))
            kind = chance.random()
            if kind < 0.6:
                data[place] ^= 1 << chance.randrange(8)
            elif kind < 0.75:
                data[place : place + chance.randint(1, 9)] = b""
            elif kind < 0.9:
                data[place:place] = chance.choice([b"\xff" * 9, b"\x80" * 11, b"\0" * 5])
            else:
                data[place:place] = data[place : place + 40]
        attempt(bytes(data), reader)


def repeated(value, times, number=100):
    """A message in a message in a message."""
    for _ in range(times):
        value = files.field(number, value)
    return value


def lying_blob(shape=None, legacy=None, numbers=4):
    sides = [(i, n) for i, n in enumerate(legacy or (), start=1)]
    head = files.field(7, files.field(1, b"".join(map(files.varint, shape)))) if shape else b""
    return files.message(*sides) + head + files.field(5, b"\0" * 4 * numbers)


def with_blob(blob):
    layer = ("conv1", "Convolution", "data", "conv1", [])
    blobs = files.field(7, blob) * 2
    others = {name: both for name, both in WEIGHTS.items() if name != "conv1"}
    return files.caffe_layer(*layer, blobs=blobs) + files.caffemodel(others)


def with_tensor(**changes):
    tensor = files.onnx_tensor("conv1_w_0", WEIGHTS["conv1"][0])
    dims = changes.get("dims")
    if dims is not None:
        tensor = b"".join(files.field(1, n) for n in dims) + files.message((2, 1), (9, b"\0" * 16))
        tensor += files.field(8, "conv1_w_0")
    others = {name: both for name, both in WEIGHTS.items() if name != "conv1"}
    bias = files.onnx_tensor("conv1_b_0", WEIGHTS["conv1"][1])
    return files.onnx_model(others, tensors=[tensor, bias])


LIES = {
    "a length beyond the end": files.field(1, "x") + files.varint(802) + files.varint(2**40),
    "a length of 64 bits": files.field(1, "x") + files.varint(802) + files.varint(2**64 - 1),
    "a number of 11 bytes": files.field(1, "x") + b"\xa0\x06" + b"\xff" * 10 + b"\x01",
    "a number without an end": files.field(1, "x") + b"\xa0\x06" + b"\xff" * 1000,
    "field number 0": files.field(1, "x") + b"\x02\x01x",
    "groups": files.field(1, "x") + b"\xa3\x06" * 1000,
    "unknown ways to write": files.field(1, "x") + b"\xa7\x06" * 1000,
    "messages 3,000 deep": repeated(b"", 3000),
    "V1 messages 3,000 deep": repeated(b"", 3000, 2),
    "graphs in graphs": files.field(1, 3) + repeated(b"", 3000, 7),
    "nothing but layers": files.field(100, files.message((1, "a"))) * 5000,
    "layers of layers": files.field(100, files.field(7, files.field(5, b"")) * 100_000),
    "a hundred thousand fields": files.field(1, "x") + b"\x28\x01" * 10**5,
    "a hundred thousand nodes": files.message((1, 3), (7, files.field(1, b"") * 10**5)),
    "a million numbers in a shape": with_blob(lying_blob([1] * 10**6)),
    "a name of a megabyte": files.field(100, files.field(1, "n" * 2**20)),
    "a huge shape": with_blob(lying_blob([HUGE, HUGE, HUGE, HUGE])),
    "a shape that overflows to 48": with_blob(lying_blob([2**62, 4, 1, 48])),
    "a negative shape": with_blob(lying_blob([-4, 3, 2, 2])),
    "legacy sides that are negative": with_blob(lying_blob(legacy=[-1, 3, 2, 2])),
    "legacy sides that are huge": with_blob(lying_blob(legacy=[HUGE] * 4)),
    "too few numbers": with_blob(lying_blob([4, 3, 2, 2], numbers=47)),
    "too many numbers": with_blob(lying_blob([4, 3, 2, 2], numbers=49)),
    "no numbers": with_blob(lying_blob([4, 3, 2, 2], numbers=0)),
    "numbers that are no floats": with_blob(
        lying_blob([4, 3, 2, 2], numbers=0) + files.field(5, b"\0" * 7)
    ),
    "ONNX: huge sides": with_tensor(dims=[HUGE] * 4),
    "ONNX: negative sides": with_tensor(dims=[-4, -3, 2, 2]),
    "ONNX: other sides": with_tensor(dims=[4, 3, 2, 3]),
    "ONNX: too few numbers": with_tensor(dims=[4, 3, 2, 2]),
    "ONNX: a thousand sides": with_tensor(dims=[1] * 1000),
    "ONNX: no graph": files.message((1, 3), (2, "x")),
    "ONNX: an empty graph": files.message((1, 3), (7, b"")),
    "ONNX: two graphs": FILES["onnx"] + FILES["onnx"],
    "deep compression: all codes": struct.pack("<8I", *[2**32 - 1] * 8) + b"\0" * 9000,
    "nothing": b"",
    "zeros": b"\0" * 10_000,
    "ones": b"\xff" * 10_000,
}


@pytest.mark.parametrize("reader", [None, *READERS])
@pytest.mark.parametrize("name", LIES)
def test_a_file_that_lies_is_refused_soon_and_in_little_memory(name, reader, attempt):
    data = LIES[name]
    tracemalloc.start()
    began = time.process_time()
    try:
        assert attempt(data, reader)
        taken = time.process_time() - began
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 3 * len(data) + ENOUGH
    assert taken < 30  # seconds, with memory traced and annotations checked


def test_values_that_are_not_finite_are_refused(attempt):
    for value in (np.nan, np.inf):
        weights = dict(WEIGHTS)
        kernel = weights["conv2"][0].copy()
        kernel.flat[3] = value
        weights["conv2"] = kernel, weights["conv2"][1]
        for data in (files.caffemodel(weights), files.onnx_model(weights)):
            assert "not finite" in attempt(data)


def test_a_sparse_file_of_terabytes_is_refused_unread(tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as handle:
        handle.truncate(2**40)
    for recognizes, read in READERS.values():
        for function in (recognizes, read):
            with pytest.raises(jaxviz.InputError, match=str(2**40)):
                function(path)
