"""Reading the pruned and quantized AlexNet of Deep Compression, nine megabytes.

Han, Mao & Dally 2016, "Deep compression: compressing deep neural networks with pruning, trained
quantization and Huffman coding", arXiv:1510.00149, sections 2 and 3; the file is the one that its
authors publish, where each weight is a code for one of few values and zeros are left out.
"""

import math
import os
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._checks import InputError
from ..networks import catalog
from ..networks.sources import file_digest
from .arrangement import Ported, caffe_shapes, in_caffe_order
from .source import Source, opened

NETWORK = "caffe_alexnet"
ORIGIN = "github.com/songhan/Deep-Compression-AlexNet"
PUBLISHED = "ea0d14e98edfbcbfba995003c94d7259fa23b6cc"  # git's id of the file there


class _Part(NamedTuple):
    """Where the parts of one layer lie in the file."""

    layer: str
    shape: tuple[int, ...]
    bits: int  # of a code
    num_codes: int
    codebook: int
    biases: int
    codes: int
    gaps: int
    end: int


def is_deep_compression(source: Source) -> bool:
    """Whether the file has the length that the counts at its start require."""
    return _parts(source)[-1].end == source.size


def port_deep_compression(path: str | os.PathLike[str]) -> Ported:
    """Read the file that the authors of Deep Compression publish, as caffe_alexnet.

    Where it is theirs to the byte, which git's id of its content tells, the metadata name them as
    its source. Raises `InputError` if it is damaged, or a code lies beyond the end of its layer.
    """
    with opened(path) as source:
        parts = _parts(source)
        if parts[-1].end != source.size:
            raise InputError(f"has {source.size} bytes, expected {parts[-1].end}")
        tensors: dict[str, np.ndarray] = {}
        shapes = catalog.parameter_shapes(NETWORK)[0]
        for part in parts:
            biases = source.read(part.biases, part.codes - part.biases)
            tensors[f"{part.layer}.bias"] = np.frombuffer(biases, "<f4").astype(np.float32)
            name = f"{part.layer}.kernel"
            tensors[name] = np.empty(shapes[name].shape, np.float32)
            place = in_caffe_order(name, tensors[name])
            place[...] = _weights(source, part).reshape(place.shape)
    metadata = {"network": NETWORK, "format": "Deep Compression"}
    if file_digest(Path(path), "git") == PUBLISHED:
        metadata |= {"source": ORIGIN, "license": "BSD-2-Clause"}
    return Ported(NETWORK, tensors, metadata)


def _parts(source: Source) -> list[_Part]:
    shapes = caffe_shapes(NETWORK)
    layers = sorted({name.split(".")[0] for name in shapes})
    counts = struct.unpack(f"<{len(layers)}I", source.read(0, 4 * len(layers)))
    parts, place = [], 4 * len(layers)
    for layer, count in zip(layers, counts, strict=True):
        shape = shapes[f"{layer}.kernel"]
        if count > math.prod(shape):
            raise InputError(f"{layer} has {count} codes for {math.prod(shape)} weights")
        bits = 8 if layer.startswith("conv") else 4
        biases = place + 4 * 2**bits
        codes = biases + 4 * math.prod(shapes[f"{layer}.bias"])
        gaps = codes + _bytes(count, bits)
        end = gaps + _bytes(count, 4)
        parts.append(_Part(layer, shape, bits, count, place, biases, codes, gaps, end))
        place = end
    return parts


def _bytes(count: int, bits: int) -> int:
    return -(-count * bits // 8)


def _weights(source: Source, part: _Part) -> np.ndarray:
    """All weights of a layer, flat: code 0 but where a code is given."""
    codebook = np.frombuffer(source.read(part.codebook, part.biases - part.codebook), "<f4")
    codes = _unpacked(source.read(part.codes, part.gaps - part.codes), part.bits, part.num_codes)
    gaps = _unpacked(source.read(part.gaps, part.end - part.gaps), 4, part.num_codes)
    size = math.prod(part.shape)
    if int(gaps.sum(dtype=np.int64)) + part.num_codes > size:
        raise InputError(f"{part.layer} has codes beyond its {size} weights")
    weights = np.full(size, codebook[0], np.float32)
    place = np.cumsum(gaps.astype(np.int32) + 1, dtype=np.int32) - 1  # fits: size does
    weights[place] = codebook[codes]
    return weights


def _unpacked(data: bytes, bits: int, count: int) -> np.ndarray:
    """Numbers of 8 bits, or of 4 with the low half of each byte first."""
    numbers = np.frombuffer(data, np.uint8)
    if bits == 4:
        numbers = np.stack([numbers & 15, numbers >> 4], axis=1).reshape(-1)
    return numbers[:count]
