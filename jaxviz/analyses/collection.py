"""The pictures of a collection: their names and labels, and those that a figure shows."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from .._checks import InputError
from .._prefetch import prefetch
from ..pictures.folders import FittedPicture
from ..pictures.preprocessing import Placement, expect_samples
from ..pictures.sets import PictureSet
from .base import shown

if TYPE_CHECKING:
    from ..networks.network import Network

_MISSING = 224  # the gray of a picture whose file is gone


class ShownPictures(NamedTuple):
    """The pictures that a figure shows.

    `numbers` are their places in the collection, ascending; `pixels` are as the network gets them;
    `placements` say where these lie in the original, as the fields of a `Placement`; `sha256` is
    that of each file, empty where there is none.
    """

    numbers: Int[np.ndarray, "shown"]
    pixels: UInt8[np.ndarray, "shown height width 3"]
    placements: Float[np.ndarray, "shown 6"]
    sha256: Shaped[np.ndarray, "shown"]

    def pixels_of(self, number: int) -> np.ndarray:
        """The pixels of the picture with this number."""
        return np.asarray(self.pixels[np.searchsorted(self.numbers, number)])

    def placement_of(self, number: int) -> Placement:
        """Where the pixels of the picture with this number lie in its original."""
        return Placement(*self.placements[np.searchsorted(self.numbers, number)].tolist())


class Names(NamedTuple):
    """The folder that all pictures of a collection are in, and their paths relative to it."""

    folder: str
    paths: Shaped[np.ndarray, "pictures"]


def names_of(paths: Sequence[Path]) -> Names:
    """Split paths into the innermost folder that holds all of them, and the rest of each."""
    try:
        folder = os.path.commonpath({str(path.parent) for path in paths})
    except ValueError:  # some are absolute and some are not
        folder = ""
    folder = "" if folder == "." else folder
    start = len(str(Path(folder) / "x")) - 1 if folder else 0
    return Names(folder, np.array([str(path)[start:] for path in paths]))


def numbers_of(asked: Iterable[str | os.PathLike[str]], paths: Sequence[Path]) -> list[int]:
    """Where pictures are among those of a collection, by their path or its end, such as the name.

    >>> numbers_of(["b.png"], [Path("x/a.png"), Path("x/b.png")])
    [1]
    """
    found = []
    for picture in map(Path, asked):
        absolute = picture.absolute()
        end = picture.parts
        matches = [
            number
            for number, path in enumerate(paths)
            if path == absolute or (end and path.parts[-len(end) :] == end)
        ]
        exact = [number for number in matches if paths[number].absolute() == absolute]
        if len(exact or matches) != 1:
            if not matches:
                raise InputError(f"picture: no picture of the collection ends in {picture}")
            raise InputError(f"picture: {len(matches)} of the collection end in {picture}")
        found += exact or matches
    return found


def evenly(number: int, total: int) -> list[int]:
    """At most `number` places out of `total`, evenly spread.

    >>> evenly(3, 10), evenly(3, 2)
    ([0, 3, 6], [0, 1])
    """
    number = min(number, total)
    return [i * total // number for i in range(number)]


def read_shown(
    network: "Network",
    pictures: PictureSet,
    numbers: Iterable[int],
    *,
    paths: Sequence[Path] | None = None,
    required: bool = False,
) -> ShownPictures:
    """Read pictures of a set again, by their numbers in `paths`, by default the set's own.

    One that cannot be read is gray, or an `InputError` if all are `required`. So are pictures of
    other channels than the network's.
    """
    preprocessing = network.spec.preprocessing
    wanted = preprocessing.fitted_shape[2] if preprocessing else 3
    expect_samples(pictures.image_shape[2], wanted)
    numbers = sorted(set(numbers))
    paths = pictures.paths if paths is None else paths
    same = paths == pictures.paths
    places = {} if same else {path: place for place, path in enumerate(pictures.paths)}
    gray = np.full(pictures.image_shape, _MISSING, np.uint8)

    def read(number: int) -> tuple[FittedPicture, str]:
        path = paths[number]
        try:
            return pictures.picture(number if same else places[path]), _file_hash(path)
        except InputError:
            if required:
                raise
            return FittedPicture(gray, Placement(0, 0, 1, 1, 0, 0)), ""

    found = list(prefetch(read, numbers))
    return ShownPictures(
        np.array(numbers),
        shown(network, np.stack([picture.pixels for picture, _ in found])),
        np.array([picture.placement for picture, _ in found], np.float64),
        np.array([digest for _, digest in found]),
    )


def _file_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
