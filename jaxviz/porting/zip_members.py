"""The members of a zip archive, read from its directory with every number checked.

PKWARE, "APPNOTE.TXT - .ZIP File Format Specification", sections 4.3 and 4.4. Stored and deflated
members, with and without the zip64 fields; no encryption, no archives in several parts.
"""

import struct
from typing import NamedTuple

from .._checks import InputError
from .source import Section, Source

MAGIC = b"PK\x03\x04"
_MOST_DIRECTORY = 2**22
_MOST_RATIO = 64  # float32 weights of a pruned network deflate to a tenth, zeros to a thousandth
_SMALL = 2**20  # what may be all zeros, such as biases
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UTF8 = 0x800
_UNKNOWN_16, _UNKNOWN = 0xFFFF, 0xFFFFFFFF  # the number stands in a zip64 field


class Member(NamedTuple):
    """One file of an archive; `size` is that of its content, `packed` what it takes."""

    name: str
    offset: int  # of its local header
    size: int
    packed: int
    deflated: bool
    checksum: int

    def open(self, source: Source) -> Section:
        """Its content, from the start."""
        header = source.read(self.offset, 30)
        if header[:4] != MAGIC:
            raise InputError(f"is damaged: no header where member {self.name!r} begins")
        name_length, extra_length = struct.unpack_from("<HH", header, 26)
        return Section(
            source,
            self.offset + 30 + name_length + extra_length,
            self.size,
            packed=self.packed if self.deflated else None,
            checksum=self.checksum,
        )

    def content(self, source: Source, most: int) -> bytes:
        """The whole content, which must not take more than `most` bytes."""
        if self.size > most:
            raise InputError(
                f"member {self.name!r} takes {self.size} bytes, expected {most} at most"
            )
        return self.open(source).read(self.size)


def holds_member(source: Source, ending: str) -> bool:
    """Whether this is a zip archive with a member whose name ends so.

    Where it is the first member, it is found in an archive that is cut short, too.
    """
    if source.head(4) != MAGIC:
        return False
    return ending.encode() in source.head(300) or any(
        name.endswith(ending) for name in zip_members(source)
    )


def zip_members(source: Source) -> dict[str, Member]:
    """The members of a zip archive by name, in the order of its directory."""
    count, size, offset = _directory(source)
    if size > _MOST_DIRECTORY:
        raise InputError(f"its directory takes {size} bytes, expected {_MOST_DIRECTORY} at most")
    data, place = source.read(offset, size), 0
    members: dict[str, Member] = {}
    for _ in range(count):
        member, place = _entry(data, place)
        if member.name in members:
            raise InputError(f"holds two members of the name {member.name[:80]!r}")
        members[member.name] = member
    return members


def _directory(source: Source) -> tuple[int, int, int]:
    """Number of members, size and offset of the directory, from the record at the file's end."""
    tail_start = max(0, source.size - 22 - 2**16)
    tail = source.read(tail_start, source.size - tail_start)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) - end < 22:
        raise InputError("is cut short or no zip archive: its end record is missing")
    disk, first, here, count, size, offset, comment = struct.unpack_from("<4xHHHHIIH", tail, end)
    if len(tail) - end != 22 + comment or disk or first or here != count:
        raise InputError("is no zip archive of one whole part")
    if _UNKNOWN in (size, offset) or count == _UNKNOWN_16:
        place = tail_start + end - 20
        if place < 0:
            raise InputError("is cut short: its zip64 record is missing")
        mark, record = struct.unpack("<4s4xQ4x", source.read(place, 20))
        if mark != b"PK\x06\x07":
            raise InputError("is damaged: its zip64 record is missing")
        mark, count, size, offset = struct.unpack("<4s28xQQQ", source.read(record, 56))
        if mark != b"PK\x06\x06":
            raise InputError("is damaged: its zip64 record is not where it should be")
    if count * 46 > size:
        raise InputError(f"is damaged: {count} members in a directory of {size} bytes")
    return count, size, offset


def _entry(data: bytes, place: int) -> tuple[Member, int]:
    """The member whose directory entry begins at `place`, and where the next one begins."""
    if len(data) - place < 46 or data[place : place + 4] != b"PK\x01\x02":
        raise InputError("is damaged: its directory does not hold what it says")
    fields = struct.unpack_from("<4x4xHH4xIIIHHHHHII", data, place)
    flags, method, checksum, packed, size, name_length, extra_length, comment, *_, offset = fields
    start = place + 46
    extra = data[start + name_length : start + name_length + extra_length]
    following = start + name_length + extra_length + comment
    if following > len(data):
        raise InputError("is damaged: its directory is cut short")
    encoding = "utf-8" if flags & _UTF8 else "cp437"
    try:
        name = data[start : start + name_length].decode(encoding)
    except UnicodeDecodeError:
        raise InputError("is damaged: a member's name is not UTF-8") from None
    if _UNKNOWN in (size, packed, offset):
        size, packed, offset = _large(extra, [size, packed, offset])
    shown = repr(name[:80])
    if flags & _ENCRYPTED:
        raise InputError(f"member {shown} is encrypted")
    if method not in (_STORED, _DEFLATED):
        raise InputError(f"member {shown} is compressed by method {method}; expected 0 or 8")
    if method == _STORED and packed != size:
        raise InputError(f"is damaged: member {shown} has two sizes, {packed} and {size}")
    if size > max(_SMALL, packed * _MOST_RATIO):
        raise InputError(f"member {shown} would grow from {packed} to {size} bytes")
    return Member(name, offset, size, packed, method == _DEFLATED, checksum), following


def _large(extra: bytes, numbers: list[int]) -> list[int]:
    """The numbers, those that do not fit 32 bits from the zip64 field."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        field = extra[place + 4 : place + 4 + length]
        if kind == 1:
            wanted = numbers.count(_UNKNOWN)
            if len(field) < 8 * wanted:
                break
            found = iter(struct.unpack_from(f"<{wanted}Q", field))
            return [next(found) if number == _UNKNOWN else number for number in numbers]
        place += 4 + length
    raise InputError("is damaged: a zip64 field is missing")
