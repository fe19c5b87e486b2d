"""Weights files: safetensors, read as data, checked name by name and shape by shape."""

import contextlib
import hashlib
import io
import itertools
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import _safetensors
from .._checks import InputError
from ..files import write_whole

MAX_BYTES = 2**31  # a complete AlexNet takes 244 MB
_READABLE = {name for name, _ in _safetensors.NUMBER_TYPES.values()} - {"bfloat16"}
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


def read_weights(path: str | os.PathLike[str]) -> WeightsFile:
    """Read a safetensors file; nothing in it is executed and its sizes are checked first."""
    path = existing(path)
    size = path.stat().st_size
    if not 8 < size <= MAX_BYTES:
        raise InputError(f"weights: {path}: {size} bytes, expected 9 to {MAX_BYTES}")
    data = path.read_bytes()
    tensors: dict[str, np.ndarray] = {}
    with _naming(path):
        header = _safetensors.read_header(io.BytesIO(data))
        for name, (kind, shape, start, _) in header.tensors.items():
            if kind not in _READABLE:
                raise InputError(f"{name[:80]!r} has numbers of type {kind}")
            dtype = np.dtype(kind).newbyteorder("<")
            numbers = np.frombuffer(data, dtype, math.prod(shape), start)
            tensors[name] = numbers.reshape(shape)
    return WeightsFile(tensors, header.metadata, hashlib.sha256(data).hexdigest())


class WeightsHeader(NamedTuple):
    """The beginning of a weights file: the shape of each tensor, and the metadata."""

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]

    @property
    def num_numbers(self) -> int:
        """How many numbers all tensors have together."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def read_header(path: str | os.PathLike[str]) -> WeightsHeader:
    """Read the beginning of a safetensors file only, however large it is."""
    path = existing(path)
    with _naming(path), path.open("rb") as file:
        tensors, metadata = _safetensors.read_header(file)
    return WeightsHeader({name: tensor.shape for name, tensor in tensors.items()}, metadata)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in what is said of its header."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise InputError(
            f"weights: {path}: not a valid safetensors file ({error}); "
            "`jaxviz weights port FILE -o OUT.safetensors` makes one of other formats"
        ) from None


def save_weights(
    path: str | os.PathLike[str], tensors: Mapping[str, Any], metadata: Mapping[str, str]
) -> Path:
    """Write a safetensors file whose bytes depend on nothing but its content."""
    arrays = {name: np.atleast_1d(value) for name, value in tensors.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    arrays = {name: arrays[name] for name in order}
    header = _safetensors.header_bytes(arrays, metadata)
    return write_whole(path, itertools.chain([header], map(_data, arrays.values())))


def _data(array: np.ndarray) -> memoryview:
    """The bytes of an array in C order, the lowest byte of each number first."""
    ordered = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data


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
    tensors: dict[str, Any] = {}
    for name, value in tree.items():
        inner = isinstance(value, Mapping)
        tensors |= flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return tensors


def check_tensors(
    path: Any, tensors: Mapping[str, np.ndarray], expected: Mapping[str, Any]
) -> None:
    """Refuse a file unless its names, shapes and types are exactly the expected ones."""
    missing = [name for name in expected if name not in tensors]
    extra = [name for name in tensors if name not in expected]
    if missing or extra:
        parts = [("missing", missing), ("not known", extra)]
        details = "; ".join(f"{what}: {', '.join(names[:4])}" for what, names in parts if names)
        raise InputError(f"weights: {path}: tensors do not fit the network ({details})")
    for name, value in expected.items():
        if tensors[name].shape != tuple(value.shape):
            raise InputError(
                f"weights: {path}: {name} has shape {tensors[name].shape}, expected {value.shape}"
            )
        if tensors[name].dtype != np.float32:
            raise InputError(f"weights: {path}: {name} is {tensors[name].dtype}, expected float32")
        with np.errstate(invalid="ignore"):  # NaN and infinity show in the two ends
            ends = tensors[name].min(), tensors[name].max()
        if not np.isfinite(ends).all():
            raise InputError(f"weights: {path}: {name} holds values that are not finite")


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
