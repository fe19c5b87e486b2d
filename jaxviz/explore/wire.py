"""How arrays travel to the page: a JSON header and the bytes of each array, ready for typed arrays.

An answer is a little-endian uint32, the length of the header; the header, UTF-8 JSON; and the
arrays, each at a multiple of eight bytes from the start. The header's `arrays` has of each its
`dtype`, `shape` and the `start` of its bytes.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

KINDS = ("uint8", "int32", "float32")
_ALIGNED = 8


class Arrays(NamedTuple):
    """What a view answers that has arrays: they by name, and a header of what JSON can say."""

    arrays: Mapping[str, np.ndarray]
    header: Mapping[str, Any] = {}


def packed(answer: Arrays) -> bytes:
    """The bytes of an answer.

    >>> data = packed(Arrays({"x": np.arange(3, dtype=np.uint8)}, {"layer": "conv1"}))
    >>> unpacked(data).header, unpacked(data).arrays["x"].tolist()
    ({'layer': 'conv1'}, [0, 1, 2])
    """
    kept = {name: np.ascontiguousarray(array) for name, array in answer.arrays.items()}
    described: dict[str, Any] = {}
    start = 0
    for name, array in kept.items():
        if array.dtype.name not in KINDS:
            raise TypeError(f"{name}: {array.dtype} does not travel")
        described[name] = {"dtype": array.dtype.name, "shape": array.shape, "start": start}
        start += -(-array.nbytes // _ALIGNED) * _ALIGNED
    header = json.dumps({**answer.header, "arrays": described}, allow_nan=False).encode()
    header += b" " * (-(len(header) + 4) % _ALIGNED)
    parts = [len(header).to_bytes(4, "little"), header]
    for array in kept.values():
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        parts += [data, b"\0" * (-len(data) % _ALIGNED)]
    return b"".join(parts)


def unpacked(data: bytes) -> Arrays:
    """What `packed` was given."""
    length = int.from_bytes(data[:4], "little")
    header = json.loads(data[4 : 4 + length])
    arrays = {}
    for name, told in header.pop("arrays").items():
        kind = np.dtype(told["dtype"]).newbyteorder("<")
        count = int(np.prod(told["shape"]))
        array = np.frombuffer(data, kind, count, 4 + length + told["start"])
        arrays[name] = array.reshape(told["shape"])
    return Arrays(arrays, header)


def quantized(maps: np.ndarray) -> dict[str, np.ndarray]:
    """Maps (channels, ...) in bytes: `low + step * bytes`, with a low and a step for each channel.

    >>> found = quantized(np.array([[[0.0, 1.0]], [[2.0, 2.0]]]))
    >>> found["bytes"].tolist(), found["low"].tolist()
    ([[[0, 255]], [[0, 0]]], [0.0, 2.0])
    """
    flat = maps.reshape(len(maps), -1).astype(np.float32)
    low, high = flat.min(axis=1), flat.max(axis=1)
    step = (high - low) / np.float32(255)
    scaled = (flat - low[:, None]) / np.where(step > 0, step, 1)[:, None]
    return {
        "bytes": np.rint(scaled).astype(np.uint8).reshape(maps.shape), "low": low, "step": step
    }  # fmt: skip
