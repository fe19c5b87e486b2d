"""Protocol buffers, read from a file one message at a time, every length checked.

The wire format alone, without schemas: a reader asks for the fields of a message, and for those of
a message inside it. Nothing nests by itself, so the depth of a file does not matter, and numbers
stay in the file until they are wanted.

https://protobuf.dev/programming-guides/encoding/
"""

import functools
import math
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .._checks import InputError
from .source import Section, Source
from .stored import READABLE, Stored, checked, in_order

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_PAGE = 2**12
_MOST_FIELDS = 20_000  # an AlexNet has some hundreds
_MOST_TEXT = 2**12
_MOST_RUN = 2**16


class Field(NamedTuple):
    """A field of a message: its number, how it is written, and what it holds.

    `value` is that of a varint. Otherwise what it holds lies at `start` to `end` in the file; of
    four-byte numbers `times` follow each other, `step` bytes apart.
    """

    number: int
    wire: int
    value: int
    start: int
    end: int
    times: int = 1
    step: int = 0


class Wire:
    """The fields of messages in a source; a file with too many of them is refused."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._left = _MOST_FIELDS
        self._page = -1
        self._bytes = b""

    def fields(self, inside: Field | None = None, *, clipped: bool = False) -> Iterator[Field]:
        """The fields of the whole file, or of the message in a field.

        `clipped` takes a last field that reaches beyond the end as if it ended there.
        """
        place, end = (0, self.source.size) if inside is None else self.span(inside)
        while place < end:
            self._left -= 1
            if self._left < 0:
                raise InputError(f"has more than {_MOST_FIELDS} fields")
            tag = place
            key, place = self.varint(place, end)
            number, wire = key >> 3, key & 7
            if not 0 < number < 2**29:
                raise InputError(f"is damaged: a field has the number {number}")
            if wire == VARINT:
                value, place = self.varint(place, end)
                yield Field(number, wire, value, place, place)
                continue
            size = {FIXED64: 8, FIXED32: 4}.get(wire, -1)
            if wire == BYTES:
                size, place = self.varint(place, end)
            if size < 0:
                raise InputError(f"is damaged: a field is written in the unknown way {wire}")
            if place + size > end:
                if not clipped:
                    raise InputError(f"is cut short: {size} bytes from {place} on, up to {end}")
                size = end - place
            if wire == FIXED32:
                count = 1 if clipped else self._run(tag, place - tag, end)
                step = place - tag + 4
                yield Field(number, wire, 0, place, place + 4 + (count - 1) * step, count, step)
                place += 4 + (count - 1) * step
                continue
            yield Field(number, wire, 0, place, place + size)
            place += size

    def message(self, inside: Field | None = None) -> "Message":
        """The fields of the whole file, or of the message in a field, by number."""
        return Message(self, inside)

    def floats(self, fields: list[Field], shape: tuple[int, ...], kind: str = "float32") -> Stored:
        """Packed numbers, or four-byte ones each with its tag, as a tensor of this shape."""
        if kind not in READABLE:
            raise InputError(f"its numbers are {kind}, expected {', '.join(READABLE)}")
        if len(fields) != 1 or fields[0].wire not in (BYTES, FIXED32):
            raise InputError(f"its numbers lie in {len(fields)} pieces, expected one")
        (field,) = fields
        opened: Callable[[], Section]
        if field.wire == BYTES:
            size = field.end - field.start
            opened = functools.partial(Section, self.source, field.start, size)
        else:
            size = 4 * field.times
            opened = functools.partial(_Tagged, self.source, field)
        item_bytes = np.dtype(kind).itemsize
        if size % item_bytes:
            raise InputError(f"its numbers take {size} bytes, no multiple of {item_bytes}")
        tensor = checked(Stored(shape, kind, opened, size // item_bytes, in_order(shape)))
        if tensor.length != math.prod(shape):
            raise InputError(f"of shape {shape} has {tensor.length} numbers")
        return tensor

    def span(self, field: Field) -> tuple[int, int]:
        """Where the bytes of a field begin and end."""
        if field.wire != BYTES:
            raise InputError(f"is damaged: field {field.number} is not written as it should be")
        return field.start, field.end

    def varint(self, place: int, end: int) -> tuple[int, int]:
        """The number that begins at `place`, and where it ends."""
        value = 0
        for i in range(10):
            if place >= end:
                raise InputError(f"is cut short at {end}, within a number")
            byte = self._byte(place)
            place += 1
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                if value >= 2**64:
                    break
                return value, place
        raise InputError(f"is damaged: a number of more than 64 bits at {place}")

    def _byte(self, place: int) -> int:
        page, within = divmod(place, _PAGE)
        if page != self._page:
            first = page * _PAGE
            self._bytes = self.source.read(first, min(_PAGE, self.source.size - first))
            self._page = page
        return self._bytes[within]

    def _run(self, tag: int, width: int, end: int) -> int:
        """How many four-byte numbers with the same tag follow each other."""
        step, count, more = width + 4, 0, 4
        wanted = self.source.read(tag, width)
        while True:
            fit = min(more, (end - tag) // step - count)
            data = self.source.read(tag + count * step, fit * step)
            tags = np.frombuffer(data, np.uint8).reshape(fit, step)[:, :width]
            same = (tags == np.frombuffer(wanted, np.uint8)).all(axis=1)
            if not same.all() or fit < more:
                return count + (int(same.argmin()) if not same.all() else fit)
            count, more = count + fit, min(2 * more, _MOST_RUN)


class Message:
    """One message: its fields by number; where a field must not repeat, the last one counts."""

    def __init__(self, wire: Wire, inside: Field | None = None) -> None:
        self.wire = wire
        self._fields: dict[int, list[Field]] = {}
        for field in wire.fields(inside):
            self._fields.setdefault(field.number, []).append(field)

    def all(self, number: int) -> list[Field]:
        """The fields with this number, in order."""
        return self._fields.get(number, [])

    def messages(self, number: int) -> list["Message"]:
        """The messages in the fields with this number."""
        return [Message(self.wire, field) for field in self.all(number)]

    def texts(self, number: int) -> list[str]:
        """The texts in the fields with this number."""
        return [self._read(field, "name").decode(errors="replace") for field in self.all(number)]

    def text(self, number: int) -> str:
        """The text with this number, empty if there is none."""
        return (self.texts(number) or [""])[-1]

    def integers(self, number: int) -> list[int]:
        """Signed whole numbers, one a field or packed."""
        values = []
        for field in self.all(number):
            if field.wire == VARINT:
                values.append(_signed(field.value))
                continue
            self._read(field, "shape")
            place = field.start
            while place < field.end:
                value, place = self.wire.varint(place, field.end)
                values.append(_signed(value))
        return values

    def integer(self, number: int) -> int:
        """The whole number with this number, 0 if there is none."""
        return (self.integers(number) or [0])[-1]

    def floats(self, number: int) -> list[float]:
        """Four-byte numbers, one a field; whole numbers do, too."""
        values = []
        for field in self.all(number):
            if field.wire == VARINT:
                values.append(float(_signed(field.value)))
            elif field.wire == FIXED32:
                values += struct.unpack("<f", self.wire.source.read(field.end - 4, 4))
            else:
                raise InputError("is damaged: a number is not written as one")
        return values

    def _read(self, field: Field, what: str) -> bytes:
        start, end = self.wire.span(field)
        if end - start > _MOST_TEXT:
            raise InputError(f"is damaged: a {what} takes {end - start} bytes")
        return self.wire.source.read(start, end - start)


class _Tagged(Section):
    """Four-byte numbers of which each has its tag before it, to be read without."""

    def __init__(self, source: Source, field: Field) -> None:
        self._tag = field.step - 4
        super().__init__(source, field.start - self._tag, field.times * field.step)
        self.size = self.left = 4 * field.times

    def _plain(self, count: int) -> bytes:
        step = 4 + self._tag
        data = np.frombuffer(super()._plain(count // 4 * step), np.uint8)
        return data.reshape(-1, step)[:, self._tag :].tobytes()


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
