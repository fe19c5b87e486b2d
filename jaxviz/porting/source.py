"""A file of unknown origin: every read is checked against the file's size before it allocates."""

import contextlib
import hashlib
import os
import zlib
from collections.abc import Iterator
from typing import Any

from .._checks import InputError
from ..networks.weights_files import MAX_BYTES, existing

_PIECE = 2**20
_PACKED_PIECE = 2**16


class Source:
    """A file open for reading, with its size; use it in a `with` statement."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = existing(path)
        self.size = self.path.stat().st_size
        if self.size == 0:
            raise InputError(f"weights: {self.path}: is empty")
        if self.size > MAX_BYTES:
            raise InputError(
                f"weights: {self.path}: {self.size} bytes, expected {MAX_BYTES} at most"
            )
        self.file = self.path.open("rb")

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def read(self, offset: int, count: int) -> bytes:
        """Read `count` bytes from `offset`, all of which must lie in the file."""
        if not 0 <= offset <= offset + count <= self.size:
            raise InputError(f"is cut short: {count} bytes from {offset} on, in {self.size}")
        self.file.seek(offset)
        data = self.file.read(count)
        if len(data) != count:
            raise InputError("changed while it was read")
        return data

    def sha256(self) -> str:
        """The hash of the whole file."""
        self.file.seek(0)
        return hashlib.file_digest(self.file, "sha256").hexdigest()

    def head(self, count: int) -> bytes:
        """The first bytes, at most `count`."""
        return self.read(0, min(count, self.size))


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Open a file for a reader; what the reader refuses gets the file's name."""
    with Source(path) as source:
        try:
            yield source
        except InputError as error:
            raise InputError(f"weights: {source.path}: {error}") from None


class Section:
    """A part of a source, plain or deflated, to be read from its start to its end.

    `size` is what comes out, `left` how much is still to come. `checksum` is the CRC-32 it must
    have, None where there is none.
    """

    def __init__(
        self,
        source: Source,
        offset: int,
        size: int,
        *,
        packed: int | None = None,
        checksum: int | None = None,
    ) -> None:
        stored = size if packed is None else packed
        if not 0 <= offset <= offset + stored <= source.size or size < 0:
            raise InputError(f"is cut short: {stored} bytes from {offset} on, in {source.size}")
        self.size = self.left = size
        self._source = source
        self._place, self._end = offset, offset + stored
        self._inflate = None if packed is None else zlib.decompressobj(-zlib.MAX_WBITS)
        self._waiting = b""
        self._checksum, self._sum = checksum, 0

    def read(self, count: int) -> bytes:
        """The next `count` bytes; at the end the checksum is compared."""
        if not 0 <= count <= self.left:
            raise InputError(f"is cut short: {count} bytes wanted where {self.left} are left")
        data = self._plain(count) if self._inflate is None else b"".join(self._inflated(count))
        self.left -= count
        if self._checksum is not None:
            self._sum = zlib.crc32(data, self._sum)
            if not self.left and self._sum != self._checksum:
                raise InputError("is damaged: a CRC-32 is not the one recorded")
        return data

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        while count:
            step = min(count, _PIECE)
            self.read(step)
            count -= step

    def _plain(self, count: int) -> bytes:
        data = self._source.read(self._place, count)
        self._place += count
        return data

    def _inflated(self, count: int) -> Iterator[bytes]:
        inflate: Any = self._inflate
        while count:
            step = 0 if self._waiting else min(_PACKED_PIECE, self._end - self._place)
            self._waiting = self._waiting or self._plain(step)
            if not self._waiting or inflate.eof:
                raise InputError("is damaged: compressed data end too early")
            try:
                data = inflate.decompress(self._waiting, count)
            except zlib.error as error:
                raise InputError(f"is damaged ({error})") from None
            self._waiting = inflate.unconsumed_tail
            count -= len(data)
            yield data
