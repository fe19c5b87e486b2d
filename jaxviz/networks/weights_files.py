"""Weights files: safetensors, read as data, checked name by name and shape by shape."""

import hashlib
import itertools
import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from .._checks import InputError
from ..files import write_whole

MAX_BYTES = 2**31  # a complete AlexNet takes 244 MB
DIGEST = "tensors_sha256"  # the metadata entry by which ported files are known to be intact


class WeightsFile(NamedTuple):
    """What a weights file holds: flat names to arrays, its metadata and its sha256."""

    tensors: dict[str, np.ndarray]
    metadata: dict[str, str]
    sha256: str


def existing(path: str | os.PathLike[str]) -> Path:
    """Return a path at which there is a file."""
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise InputError(f"weights: {path}: {what}")
    return path


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return InputError(
        f"weights: {path}: not a valid safetensors file ({reason}); "
        "`jaxviz weights port FILE -o OUT.safetensors` makes one of other formats"
    )


def read_weights(path: str | os.PathLike[str]) -> WeightsFile:
    """Read a safetensors file; nothing in it is executed and its sizes are checked first."""
    path = existing(path)
    size = path.stat().st_size
    if not 8 < size <= MAX_BYTES:
        raise InputError(f"weights: {path}: {size} bytes, expected 9 to {MAX_BYTES}")
    data = path.read_bytes()
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    except (SafetensorError, ValueError, KeyError, AttributeError) as error:
        raise _unreadable(path, error) from None
    return WeightsFile(tensors, header.get("__metadata__", {}), hashlib.sha256(data).hexdigest())


def save_weights(
    path: str | os.PathLike[str], tensors: Mapping[str, Any], metadata: Mapping[str, str]
) -> Path:
    """Write a safetensors file whose bytes depend on nothing but its content."""
    arrays = {name: np.atleast_1d(value) for name, value in tensors.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in order:
        start, end = end, end + arrays[name].nbytes
        kind, shape = _kind(arrays[name].dtype), list(arrays[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    numbers = (_numbers(arrays[name]) for name in order)
    return write_whole(path, itertools.chain([struct.pack("<Q", len(text)), text], numbers))


def _numbers(array: np.ndarray) -> memoryview:
    """The bytes of an array in C order, the lowest byte of each number first."""
    ordered = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data


def _kind(dtype: np.dtype) -> str:
    """The format's name of a number type."""
    return "BOOL" if dtype.kind == "b" else f"{dtype.kind.upper()}{8 * dtype.itemsize}"


def nested(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Turn {"conv1.kernel": x} into {"conv1": {"kernel": x}}."""
    tree: dict[str, Any] = {}
    for name, value in tensors.items():
        *path, last = name.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return tree


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Undo `nested`."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        inner = isinstance(value, Mapping)
        found |= flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return found


def check_tensors(path: Any, found: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> None:
    """Refuse a file unless its names, shapes and types are just the expected ones."""
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if missing or extra:
        parts = [("missing", missing), ("not known", extra)]
        said = "; ".join(f"{what}: {', '.join(names[:4])}" for what, names in parts if names)
        raise InputError(f"weights: {path}: tensors do not fit the network ({said})")
    for name, value in expected.items():
        if found[name].shape != tuple(value.shape):
            raise InputError(
                f"weights: {path}: {name} has shape {found[name].shape}, expected {value.shape}"
            )
        if found[name].dtype != np.float32:
            raise InputError(f"weights: {path}: {name} is {found[name].dtype}, expected float32")
        with np.errstate(invalid="ignore"):  # both ends tell of all values, in no memory
            ends = found[name].min(), found[name].max()
        if not np.isfinite(ends).all():
            raise InputError(f"weights: {path}: {name} holds values that are not finite")


class WeightsHeader(NamedTuple):
    """What a weights file says of itself: the shape of each tensor, and its metadata."""

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]

    @property
    def num_numbers(self) -> int:
        """How many numbers all tensors have together."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def read_header(path: str | os.PathLike[str]) -> WeightsHeader:
    """Read the beginning of a safetensors file only, however large it is."""
    path = existing(path)
    try:
        with safe_open(path, framework="numpy") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            return WeightsHeader(shapes, file.metadata() or {})
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise _unreadable(path, error) from None


def tensors_digest(tensors: Mapping[str, np.ndarray]) -> str:
    """The sha256 of all numbers, in the order of the tensors' names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()


def check_digest(path: Any, file: WeightsFile) -> None:
    """Refuse a file whose numbers are not those that its metadata were written for."""
    expected = file.metadata.get(DIGEST)
    if expected is not None and expected != tensors_digest(file.tensors):
        raise InputError(
            f"weights: {path} is damaged: the sha256 of its numbers is not {expected}; fetch or "
            "port it again"
        )
