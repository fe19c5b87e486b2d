"""Arrays by name: safetensors and NumPy's npz, with torchvision's names or ours.

Of both formats only what describes the arrays is read before their sizes are checked.
"""

import functools
import json
import math
import os
import re
import struct
from typing import Any, TypeGuard

from .._checks import InputError
from ..files import MARK
from .arrangement import arranged
from .ported import Ported
from .source import Section, Source, opened
from .stored import BFLOAT16, Stored, checked, in_order
from .zip_members import MAGIC as ZIP_MAGIC
from .zip_members import Member, zip_members

_MOST_HEADER = 2**22
_SAFETENSORS = {  # number type: its name, bytes
    "F64": ("float64", 8), "F32": ("float32", 4), "F16": ("float16", 2), "BF16": (BFLOAT16, 2),
    "I64": ("int64", 8), "I32": ("int32", 4), "I16": ("int16", 2), "I8": ("int8", 1),
    "U64": ("uint64", 8), "U32": ("uint32", 4), "U16": ("uint16", 2), "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}  # fmt: skip
_NPY_MAGIC = b"\x93NUMPY"
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|])([A-Za-z])(\d{1,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,15}, ?)*(?:\d{1,15})?)\), ?\}\s*"
)


def is_arrays(path: str | os.PathLike[str]) -> bool:
    """Whether the file looks like safetensors or npz."""
    with opened(path) as source:
        return _is_safetensors(source) or _is_npz(source)


def port_arrays(path: str | os.PathLike[str], *, network: str | None = None) -> Ported:
    """Read named arrays, those of our own files included, for the network that they fit.

    `network` says which where they fit several and the file's metadata do not say. float16,
    bfloat16 and float64 become float32. Raises `InputError` for what no network of ours fits, and
    for damage.
    """
    with opened(path) as source:
        if _is_safetensors(source):
            tensors, metadata = _read_safetensors(source)
            return arranged(tensors, written_as="safetensors", metadata=metadata, network=network)
        tensors, beside = _read_npz(source)
        return arranged(tensors, written_as="npz", beside=beside, network=network)


def _is_safetensors(source: Source) -> bool:
    head = source.head(9)
    return len(head) == 9 and head[8:] == b"{" and head[4:8] == bytes(4)


def _is_npz(source: Source) -> bool:
    if source.head(4) != ZIP_MAGIC:
        return False
    if b".npy" in source.head(300):  # known of an archive that is cut short, too
        return True
    try:
        return any(name.endswith(".npy") for name in zip_members(source))
    except InputError:
        return False


def _read_safetensors(source: Source) -> tuple[dict[str, Stored], dict[str, str]]:
    (length,) = struct.unpack("<Q", source.read(0, 8))
    if length > _MOST_HEADER:
        raise InputError(f"its header takes {length} bytes, expected {_MOST_HEADER} at most")
    try:
        header = json.loads(source.read(8, length))
    except (ValueError, RecursionError):
        raise InputError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise InputError("its header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise InputError("its metadata are not texts")
    tensors = {name: _described(source, 8 + length, name, entry) for name, entry in header.items()}
    return tensors, metadata


def _described(source: Source, start: int, name: str, entry: Any) -> Stored:
    """One tensor of a safetensors file."""
    fields = entry if isinstance(entry, dict) else {}
    kind, shape, ends = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(kind, str) or not _counts(shape, 8) or not _counts(ends, 2):
        raise InputError(f"{name[:80]!r} is not described as safetensors does")
    sides, (first, last) = tuple(shape), (*ends, 0, 0)[:2]
    named, item = _SAFETENSORS.get(kind, (kind[:20], 0))
    count = math.prod(sides)
    if item and item * count != last - first:
        raise InputError(f"{name[:80]!r} of shape {sides}, {kind}, has {last - first} bytes")
    section = Section(source, start + first, last - first)  # refuses what is not in the file
    opened = functools.partial(Section, source, start + first, section.size)
    return checked(Stored(sides, named, opened, count, in_order(sides)))


def _counts(values: Any, most: int) -> TypeGuard[list[int]]:
    """Whether these are whole numbers of a size that files have."""
    return (
        isinstance(values, list)
        and len(values) <= most
        and all(type(value) is int and 0 <= value < 2**48 for value in values)
    )


def _read_npz(source: Source) -> tuple[dict[str, Stored], tuple[str, ...]]:
    members = zip_members(source)
    arrays = {
        name.removesuffix(".npy"): member
        for name, member in members.items()
        if name.endswith(".npy") and name != f"{MARK}.npy"
    }
    beside = tuple(name for name in members if not name.endswith(".npy"))
    return {name: _array(source, name, member) for name, member in arrays.items()}, beside


def _array(source: Source, name: str, member: Member) -> Stored:
    """One array, of which the header is read."""
    section = member.open(source)
    start = section.read(min(10, member.size))
    if start[:6] != _NPY_MAGIC or len(start) < 10 or start[6:8] not in (b"\1\0", b"\2\0"):
        raise InputError(f"{name[:80]!r} is no array of NumPy's")
    if start[6] == 2:
        start += section.read(2)
    length = int.from_bytes(start[8:], "little")
    if length > 2**16:
        raise InputError(f"{name[:80]!r} has a header of {length} bytes")
    described = _NPY_HEADER.fullmatch(section.read(length))
    if not described:
        raise InputError(f"{name[:80]!r} is no array of plain numbers")
    order, letter, item, fortran, sides = described.groups()
    shape = tuple(int(side) for side in sides.replace(b" ", b"").split(b",") if side)
    item_bytes = int(item)
    kind = {b"f": f"float{8 * item_bytes}"}.get(letter, (letter + item).decode())
    skip = member.size - section.left
    count = math.prod(shape)
    if letter == b"f" and skip + count * item_bytes != member.size:
        raise InputError(f"{name[:80]!r} of shape {shape} does not fill its {member.size} bytes")
    strides = in_order(shape[::-1])[::-1] if fortran == b"True" else in_order(shape)
    opened: Callable[[], Section] = lambda: member.open(source)  # noqa: E731
    return checked(Stored(shape, kind, opened, count, strides, skip=skip, big_endian=order == b">"))
