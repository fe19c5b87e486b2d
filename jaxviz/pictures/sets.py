"""Sets of pictures to sweep over: a folder, arrays in memory, or a packed folder."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from .._checks import InputError
from .._prefetch import prefetch
from .folders import (
    HERE,
    FittedPicture,
    Skipped,
    find_pictures,
    pictures_below,
    read_picture,
    unreadable,
)
from .paths import texts_of
from .preprocessing import Placement, Preprocessing


@runtime_checkable
class PictureSet(Protocol):
    """Numbered pictures of one shape.

    `image_shape` is (height, width, 3), or has the samples of other channels; `read_size` says how
    many pictures a thread best reads at a time.
    """

    image_shape: tuple[int, int, int]
    read_size: int

    @property
    def paths(self) -> Sequence[Path]:
        """The name of each picture."""
        ...

    def read(self, start: int, out: np.ndarray) -> dict[int, Skipped]:
        """Read the pictures from `start` on into `out`, uint8 (n, height, width, channel).

        Returns those that were skipped, by number. May be called from several threads.
        """
        ...

    def picture(self, index: int) -> FittedPicture:
        """Read one picture that was read before."""
        ...

    def identity(self) -> str:
        """A sha256 that changes when the set does."""
        ...


class FolderPictures:
    """Picture files, decoded and fitted each time they are read.

    Their identity is how they are read and fitted, and each file's path inside the folder, size and
    time of change: what tells an edited picture at the price of a look at the directory, not of
    reading a million files. Copies that keep the times (`cp -p`, `rsync -a`) stay the same set.

    >>> folder = FolderPictures([Path("a.png")], Preprocessing(8, 8, 1, (0, 0, 0), (1, 1, 1)))
    >>> folder.read(0, np.zeros((1, 8, 8, 3), np.uint8))
    {0: Skipped(path='a.png', reason='no such file')}
    """

    read_size = 1

    def __init__(
        self, paths: Sequence[Path], preprocessing: Preprocessing, *, root: Path | None = None
    ) -> None:
        self.paths = paths
        self.image_shape = preprocessing.fitted_shape
        self._preprocessing = preprocessing
        self._root = root

    def read(self, start: int, out: np.ndarray) -> dict[int, Skipped]:
        """Decode and fit."""
        skipped = {}
        for offset, path in enumerate(self.paths[start : start + len(out)]):
            one = read_picture(path, self._preprocessing)
            if isinstance(one, Skipped):
                skipped[start + offset] = one
            else:
                out[offset] = one.pixels
        return skipped

    def picture(self, index: int) -> FittedPicture:
        """Decode one picture again."""
        one = read_picture(self.paths[index], self._preprocessing)
        if isinstance(one, Skipped):
            raise InputError(f"{one.path}: could be read before, but not again ({one.reason})")
        return one

    def identity(self) -> str:
        """Hash how they are fitted, and paths, sizes and times of change."""
        how = self._preprocessing
        found = hashlib.sha256(f"{how.resize} {how.crop} {how.samples}\n".encode())
        below = f"{self._root}{os.sep}".removeprefix(HERE) if self._root else ""
        for path in texts_of(self.paths):
            inside = path.startswith(below) and os.pardir not in path
            name = path[len(below) :] if inside else os.path.relpath(path, self._root)
            try:
                status = Path(path).stat()
                seen = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                seen = "missing"
            found.update(f"{name}\0{seen}\n".encode(errors="surrogateescape"))
        return found.hexdigest()


class ArrayPictures:
    """Pictures in an array, in memory or memory-mapped: uint8 (n, height, width, 3).

    For a network of other channels they have as many samples a pixel, in its order.

    Attributes:
        pixels: the array.
        paths: the name of each picture, by default its number.
        skipped: pictures that are not in the array because they could not be read, and why.

    `placements` say where each one lies in the picture it was cut from; by default it is its own
    original.

    >>> ArrayPictures(np.zeros((2, 4, 4, 3), np.uint8)).image_shape
    (4, 4, 3)
    """

    read_size = 32

    def __init__(
        self,
        pixels: np.ndarray,
        *,
        paths: Sequence[Path] | None = None,
        placements: Sequence[Placement] | None = None,
        skipped: Sequence[Skipped] = (),
    ) -> None:
        shape, kind = np.shape(pixels), getattr(pixels, "dtype", type(pixels).__name__)
        if len(shape) != 4 or kind != np.uint8:
            raise InputError(f"pictures: expected uint8 (n, height, width, 3), got {kind} {shape}")
        number, height, width, samples = pixels.shape
        self.pixels = pixels
        self.image_shape = (height, width, samples)
        self.paths = [Path(str(i)) for i in range(number)] if paths is None else list(paths)
        self.placements = (
            [Placement(0, 0, 1, 1, height, width)] * number
            if placements is None
            else list(placements)
        )
        self.skipped = list(skipped)
        for name, given in (("paths", self.paths), ("placements", self.placements)):
            if len(given) != number:
                raise InputError(
                    f"{name}: expected {number}, one for each picture, got {len(given)}"
                )

    def read(self, start: int, out: np.ndarray) -> dict[int, Skipped]:
        """Copy."""
        out[:] = self.pixels[start : start + len(out)]
        return {}

    def picture(self, index: int) -> FittedPicture:
        """Return one picture."""
        return FittedPicture(self.pixels[index], self.placements[index])

    def identity(self) -> str:
        """Hash the shape, the paths and all pixels."""
        found = hashlib.sha256(f"{self.pixels.shape}\n".encode())
        for path in self.paths:
            found.update(f"{path}\n".encode(errors="surrogateescape"))
        for start in range(0, len(self.pixels), self.read_size):
            found.update(self.pixels[start : start + self.read_size].tobytes())
        return found.hexdigest()


def load_pictures(paths: Iterable[Path], preprocessing: Preprocessing) -> ArrayPictures:
    """Read and fit pictures in threads, in order; those that cannot be read are in `skipped`.

    Raises `InputError` if not one can be read.
    """
    fitted: list[tuple[Path, FittedPicture]] = []
    skipped: list[Skipped] = []
    for path, one in prefetch(lambda path: (path, read_picture(path, preprocessing)), paths):
        if isinstance(one, Skipped):
            skipped.append(one)
        else:
            fitted.append((path, one))
    if not fitted:
        raise unreadable(skipped)
    return ArrayPictures(
        np.stack([one.pixels for _, one in fitted]),
        paths=[path for path, _ in fitted],
        placements=[one.placement for _, one in fitted],
        skipped=skipped,
    )


def folder_pictures(folder: str | os.PathLike[str], preprocessing: Preprocessing) -> FolderPictures:
    """All pictures of a folder, recursively, in sorted order; what jaxviz wrote does not count."""
    place = Path(folder)
    paths = pictures_below(place) if place.is_dir() else find_pictures([place])
    return FolderPictures(paths, preprocessing, root=place)
