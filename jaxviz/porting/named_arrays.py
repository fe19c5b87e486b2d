"""Reading safetensors and NumPy's npz files with torchvision's names or ours.

Only the headers are read before the sizes of the arrays are checked.
"""

import functools
import math
import os
import re
from collections.abc import Callable

from .._checks import InputError
from .._safetensors import read_header
from ..files import MARK
from .arrangement import Ported, from_names
from .source import Section, Source, opened
from .stored import Stored, checked, in_order
from .zip_members import Member, holds_member, zip_members

_NPY_MAGIC = b"\x93NUMPY"
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|])([A-Za-z])(\d{1,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,15}, ?)*(?:\d{1,15})?)\), ?\}\s*"
)


def is_arrays(source: Source) -> bool:
    """Whether the file looks like safetensors or npz."""
    return _is_safetensors(source) or holds_member(source, ".npy")


def port_arrays(path: str | os.PathLike[str], *, network: str | None = None) -> Ported:
    """Read named arrays, those of our own files included, for the network that they fit.

    `network` says which where they fit several and the file's metadata do not say. float16,
    bfloat16 and float64 become float32. Raises `InputError` for what no network of ours fits, and
    for damage.
    """
    with opened(path) as source:
        if _is_safetensors(source):
            tensors, metadata = _read_safetensors(source)
            return from_names(tensors, written_as="safetensors", metadata=metadata, network=network)
        tensors, others = _read_npz(source)
        return from_names(tensors, written_as="npz", left_over=others, network=network)


def _is_safetensors(source: Source) -> bool:
    head = source.head(9)
    return len(head) == 9 and head[8:] == b"{" and head[4:8] == bytes(4)


def _read_safetensors(source: Source) -> tuple[dict[str, Stored], dict[str, str]]:
    try:
        header = read_header(source.file)
    except ValueError as error:
        raise InputError(str(error)) from None
    tensors: dict[str, Stored] = {}
    for name, (kind, shape, start, stop) in header.tensors.items():
        data = functools.partial(Section, source, start, stop - start)
        tensors[name] = checked(Stored(shape, kind, data, math.prod(shape), in_order(shape)))
    return tensors, header.metadata


def _read_npz(source: Source) -> tuple[dict[str, Stored], tuple[str, ...]]:
    members = zip_members(source)
    arrays = {
        name.removesuffix(".npy"): member
        for name, member in members.items()
        if name.endswith(".npy") and name != f"{MARK}.npy"
    }
    others = tuple(name for name in members if not name.endswith(".npy"))
    return {name: _array(source, name, member) for name, member in arrays.items()}, others


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
