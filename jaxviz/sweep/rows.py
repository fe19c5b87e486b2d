"""Where a sweep's rows go: a table in memory, or a file that grows."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._checks import InputError
from ..files import array_header, write_whole, writing
from .processes import Part

_PIECE = 2**24  # bytes copied at a time


def rows_path(folder: Path, part: Part) -> Path:
    """The file of a part's rows."""
    return folder / f"sweep-{part.process:05d}-of-{part.processes:05d}.npy"


class RowTable:
    """Rows in memory."""

    def __init__(self, most: int, shape: tuple[int, ...], dtype: Any = np.float32) -> None:
        self._rows = np.empty((most, *shape), dtype)
        self._number = 0

    def truncate(self, number: int) -> None:
        """Keep the first rows."""
        self._number = number

    def append(self, rows: np.ndarray) -> None:
        """Copy."""
        self._rows[self._number : self._number + len(rows)] = rows
        self._number += len(rows)

    def sync(self) -> int:
        """Say how many there are."""
        return self._number

    def rows(self) -> np.ndarray:
        """All rows."""
        return self._rows[: self._number]


class RowFile:
    """An npy file that grows; what was written after the last save is cut off on resuming."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any = np.float32) -> None:
        self._path = path
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._number = 0
        self._file: Any = None

    def __enter__(self) -> "RowFile":
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            with writing(self._path):
                self._file.close()

    def truncate(self, number: int) -> None:
        """Open the file, new if `number` is 0, with its first `number` rows."""
        header = self._header(0)
        size = len(header) + number * math.prod(self._shape) * self._dtype.itemsize
        if number and (not self._path.is_file() or self._path.stat().st_size < size):
            raise InputError(f"{self._path}: rows are missing that were saved; restart")
        with writing(self._path):
            self._file = self._path.open("r+b" if number else "w+b")
            self._file.write(header)
            self._file.truncate(size)
            self._file.seek(size)
        self._number = number

    def append(self, rows: np.ndarray) -> None:
        """Write rows (n, ...) after those before."""
        with writing(self._path):
            self._file.write(np.ascontiguousarray(rows, self._dtype.newbyteorder("<")).data)
        self._number += len(rows)

    def sync(self) -> int:
        """Bring all rows to the disk, say in the header how many there are, and return it."""
        with writing(self._path):
            self._file.seek(0)
            self._file.write(self._header(self._number))
            self._file.seek(0, os.SEEK_END)
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._number

    def _header(self, number: int) -> bytes:
        return array_header((number, *self._shape), self._dtype)


def join_rows(
    path: Path, parts: int, number: int, shape: tuple[int, ...], dtype: Any = np.float32
) -> None:
    """Make one npy file of those that so many parts wrote beside it, which go.

    If they are gone, it was made.
    """
    paths = [rows_path(path.parent, Part(place, parts)) for place in range(parts)]
    if len(paths) == 1 and paths[0].is_file():
        paths[0].replace(path)
    elif all(one.is_file() for one in paths):
        write_whole(path, _joined(paths, number, shape, dtype))
    for one in paths:
        one.unlink(missing_ok=True)


def _joined(
    paths: Sequence[Path], number: int, shape: tuple[int, ...], dtype: Any
) -> Iterator[bytes]:
    yield array_header((number, *shape), dtype)
    for path in paths:
        with path.open("rb") as file:
            file.seek(len(array_header((0, *shape), dtype)))
            while piece := file.read(_PIECE):
                yield piece
