"""The header of a safetensors file, read with every number checked, and written.

A file is the header's length in 8 bytes, the header as JSON, and the tensors one after the other:
https://github.com/huggingface/safetensors#format
"""

import io
import json
import math
import os
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import numpy as np

_MOST_HEADER = 2**22  # bytes
NUMBER_TYPES = {  # the format's name: ours, and the bytes of a number
    "F64": ("float64", 8), "F32": ("float32", 4), "F16": ("float16", 2), "BF16": ("bfloat16", 2),
    "I64": ("int64", 8), "I32": ("int32", 4), "I16": ("int16", 2), "I8": ("int8", 1),
    "U64": ("uint64", 8), "U32": ("uint32", 4), "U16": ("uint16", 2), "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}  # fmt: skip
_FORMAT_NAMES = {name: kind for kind, (name, _) in NUMBER_TYPES.items()}


class TensorEntry(NamedTuple):
    """A tensor: its number type (the format's own name if we have none), and its bytes' place."""

    kind: str
    shape: tuple[int, ...]
    start: int
    stop: int


class Header(NamedTuple):
    """The tensors of a file by name, and its metadata."""

    tensors: dict[str, TensorEntry]
    metadata: dict[str, str]


def read_header(file: io.BufferedIOBase) -> Header:
    """Read the header of an open file, and nothing else; `ValueError` says what is wrong with it.

    Every tensor lies in the file and has the bytes that its shape needs; together they fill it.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= min(_MOST_HEADER, size - 8):
        raise ValueError(f"its header takes {length} bytes, expected 2 to {_MOST_HEADER}")
    try:
        header = json.loads(file.read(length).decode())
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its metadata are not texts")
    first = 8 + length
    tensors = {name: _checked(name, entry, first) for name, entry in header.items()}
    end = first
    for entry in sorted(tensors.values(), key=lambda entry: (entry.start, entry.stop)):
        if entry.start != end:
            raise ValueError(f"a tensor begins at byte {entry.start}, where the last ends at {end}")
        end = entry.stop
    if end != size:
        raise ValueError(f"is cut short or too long: has {size} bytes, expected {end}")
    return Header(tensors, {utf8(key): utf8(value) for key, value in metadata.items()})


def _checked(name: str, entry: Any, first: int) -> TensorEntry:
    """One tensor of the header; the bytes of all tensors begin at `first`."""
    fields = entry if isinstance(entry, dict) else {}
    kind, shape, ends = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(kind, str) or not _are_sizes(shape, 8) or not _are_sizes(ends, 2):
        raise ValueError(f"{name[:80]!r} is not described as safetensors does")
    start, stop = (*ends, 0, 0)[:2]
    named, item_bytes = NUMBER_TYPES.get(kind, (kind[:20], 0))
    if stop < start or (item_bytes and item_bytes * math.prod(shape) != stop - start):
        size = stop - start
        raise ValueError(f"{name[:80]!r} of shape {tuple(shape)}, {kind}, has {size} bytes")
    return TensorEntry(named, tuple(shape), first + start, first + stop)


def _are_sizes(values: Any, most: int) -> TypeGuard[list[int]]:
    """Whether these are at most `most` whole numbers of a size that files have."""
    return (
        isinstance(values, list)
        and len(values) <= most
        and all(type(value) is int and 0 <= value < 2**48 for value in values)
    )


def utf8(value: str) -> str:
    """A text without the lone surrogates that JSON and file names may have."""
    return value.encode(errors="replace").decode()


def header_bytes(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The beginning of a file whose tensors come in this order."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, array in tensors.items():
        start, end = end, end + array.nbytes
        kind, shape = _FORMAT_NAMES[array.dtype.name], list(array.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
