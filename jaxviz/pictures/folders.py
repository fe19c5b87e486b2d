"""Find the pictures of a folder, and read one, or say why it cannot be read."""

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .._checks import InputError
from .._typing import Pixels
from ..files import MANIFEST, is_ours
from .decoding import ARRAY, decode, is_recognized
from .paths import Paths
from .preprocessing import Placement, Preprocessing

SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".jp2", ".j2k", ".jpf",
    ".jpx", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".qoi",
    ARRAY,
))  # fmt: skip

HERE = f".{os.sep}"  # which a `Path` leaves out


def find_pictures(places: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """List the pictures in folders (recursively, sorted) and single files (as given).

    A picture is known by its suffix, and without a suffix by its first bytes. Links are
    followed, but no folder is entered twice. Folders that jaxviz wrote do not count.
    """
    found: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            found += pictures_below(place)
        elif place.exists():
            found.append(place)
        else:
            raise InputError(f"{place}: no such file or folder")
    return found


def pictures_below(folder: Path) -> Paths:
    """List the pictures in a folder as `find_pictures` does."""
    inside = [file for file in _files(folder) if _is_picture(file)]
    if not inside:
        raise InputError(f"{folder}: no pictures in this folder")
    inside.sort(key=lambda file: file.replace(os.sep, "\0"))  # a folder's come together
    return Paths(inside)


def _is_picture(file: str) -> bool:
    suffix = _suffix(file)
    return suffix in SUFFIXES or (not suffix and is_recognized(Path(file)))


def _suffix(file: str) -> str:
    stem, _, ending = file.rpartition(os.sep)[2].rpartition(".")
    return f".{ending}".lower() if stem and ending else ""


def passed_over(places: Iterable[str | os.PathLike[str]]) -> Counter[str]:
    """Count by suffix the files that `find_pictures` leaves out of folders, hidden ones aside."""
    folders = (place for place in map(Path, places) if place.is_dir())
    files = itertools.chain.from_iterable(
        _files(folder) for folder in folders if not (folder / MANIFEST).is_file()
    )
    return Counter(
        _suffix(file)
        for file in files
        if not _is_picture(file) and not file.rpartition(os.sep)[2].startswith(".")
    )


def _files(place: Path) -> Iterator[str]:
    """All files below a folder; what is there itself comes before what is linked."""
    seen: set[str] = set()
    folders, linked = [str(place)], list[str]()
    while folders:
        folder = folders.pop()
        real = os.path.realpath(folder)
        if real not in seen and (folder == str(place) or not Path(folder, MANIFEST).is_file()):
            seen.add(real)
            for entry in _entries(folder):
                path = entry.path.removeprefix(HERE)
                if not entry.is_dir():
                    yield path
                elif entry.is_symlink():
                    linked.append(path)
                else:
                    folders.append(path)
        if not folders:
            folders, linked = sorted(linked, reverse=True), []


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None


class Skipped(NamedTuple):
    """A picture that was left out, and why."""

    path: str
    reason: str


class FittedPicture(NamedTuple):
    """A picture as the network gets it, and where that lies in it.

    The pixels are uint8 (crop, crop, 3), or the samples of other channels.
    """

    pixels: Pixels
    placement: Placement


def read_picture(path: Path, preprocessing: Preprocessing) -> FittedPicture | Skipped:
    """Read and fit one picture; an unreadable one comes back as the reason why."""
    pixels = read_pixels(path, preprocessing)
    if isinstance(pixels, Skipped):
        return pixels
    return FittedPicture(preprocessing.fit(pixels), preprocessing.placement(*pixels.shape[:2]))


def read_pixels(path: Path, preprocessing: Preprocessing) -> Pixels | Skipped:
    """Read one picture, whole; an unreadable one comes back as the reason why.

    So does a figure of ours: the folder was where results went before.
    """
    if path.suffix.lower() == ".png" and is_ours(path):
        return Skipped(str(path), "was made by jaxviz")
    try:
        return decode(path, preprocessing.samples)
    except InputError as error:
        return Skipped(str(path), str(error).removeprefix(f"{path}: "))


def unreadable(skipped: Sequence[Skipped]) -> InputError:
    """The error to raise when not one picture could be read."""
    reasons = "; ".join(f"{path} ({reason})" for path, reason in skipped[:3])
    return InputError(f"pictures: none could be read: {reasons or 'none given'}")
