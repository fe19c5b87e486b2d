"""Packed sets: pictures decoded once, so that later sweeps are not bound by decoding.

A packed folder holds shards, the pixels of pictures one after the other, each with its index in
JSON: every picture's path, its size and that of what is stored, and why some were skipped. A
picture is stored as its crop for the network, or whole where that takes less. Pictures keep their
numbers, a skipped one is read as zeros, so that a sweep over the packed set gives the same bits as
one over the folder. The manifest, written last, says that the set is complete.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._checks import InputError, what_was_raised
from .._typing import Fitted
from ..files import MANIFEST, json_bytes, read_manifest
from .folders import FittedPicture, Skipped
from .paths import Paths
from .preprocessing import Preprocessing, read_as
from .sets import PictureSet, folder_pictures

KIND = "packed pictures"
FORMAT = 3  # of the shards and their indices


def shard_path(folder: Path, number: int) -> Path:
    """Where the pixels of a shard are."""
    return folder / f"shard-{number:05d}.rgb"


def index_path(folder: Path, number: int) -> Path:
    """Where the index of a shard is."""
    return folder / f"shard-{number:05d}.json"


def samples_entry(preprocessing: Preprocessing) -> dict[str, int]:
    """What the manifest says of a pixel's samples, where they are not red, green and blue."""
    return {"samples": preprocessing.samples} if preprocessing.samples else {}


def is_packed(folder: Path) -> bool:
    """Whether a folder is a packed set, complete or not."""
    return folder.is_dir() and read_manifest(folder).get("kind") == KIND


def open_packed(folder: Path, preprocessing: Preprocessing) -> "PackedPictures":
    """Open a complete packed set for a network that resizes alike and crops no more.

    Raises `InputError` for any other set or network.
    """
    manifest = read_manifest(folder)
    if manifest.get("kind") != KIND:
        raise InputError(f"{folder}: is no packed set")
    if manifest.get("format") != FORMAT:
        raise InputError(f"{folder}: was packed by another version of jaxviz; pack again")
    if not manifest.get("complete"):
        raise InputError(f"{folder}: packing was not finished; run the same `pack` again")
    try:
        return _opened(folder, manifest, preprocessing)
    except InputError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, ZeroDivisionError) as error:
        said = what_was_raised(error)
        raise InputError(f"{folder}: what says how it is packed is damaged ({said})") from None


def _opened(
    folder: Path, manifest: dict[str, Any], preprocessing: Preprocessing
) -> "PackedPictures":
    packed, wanted = manifest["resize"], preprocessing.resize
    if packed != wanted or manifest["crop"] < preprocessing.crop:
        raise InputError(
            f"{folder}: packed with resize {packed} and crop {manifest['crop']}, the network takes "
            f"{wanted} and {preprocessing.crop}; pack the pictures for this network"
        )
    if manifest.get("samples") != preprocessing.samples:
        raise InputError(
            f"{folder}: packed as {read_as(manifest.get('samples'))}, the network takes "
            f"{read_as(preprocessing.samples)}; pack the pictures for this network"
        )
    return PackedPictures(folder, manifest, preprocessing)


def open_pictures(folder: str | os.PathLike[str], preprocessing: Preprocessing) -> PictureSet:
    """Open a folder for a network's sweeps: a packed one, or the pictures found in it."""
    if is_packed(Path(folder)):
        return open_packed(Path(folder), preprocessing)
    return folder_pictures(folder, preprocessing)


class PackedPictures:
    """A packed set; see `open_packed`."""

    def __init__(
        self, folder: Path, manifest: dict[str, Any], preprocessing: Preprocessing
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._preprocessing = preprocessing
        self._written = self._manifest_time()
        self._size = int(manifest["shard_size"])
        self.image_shape = preprocessing.fitted_shape
        self.paths = Paths()
        self.skipped: dict[int, Skipped] = {}
        sizes: list[np.ndarray] = []
        stored: list[np.ndarray] = []
        for index in self._indices():
            for number, reason in index["skipped"]:
                skipped = Skipped(index["paths"][number], reason)
                self.skipped[len(self.paths) + number] = skipped
            self.paths.extend(index["paths"])
            sizes.append(np.array(index["sizes"], np.int64))
            stored.append(np.array(index["stored"], np.int64))
        if len(self.paths) != manifest["number"]:
            raise InputError(
                f"{folder}: holds {len(self.paths)} of {manifest['number']} pictures; pack again"
            )
        self._sizes = np.concatenate(sizes).reshape(len(self.paths), 2)
        self._stored = np.concatenate(stored).reshape(len(self.paths), 2)
        self._starts = self._places()
        self._as_they_are = self._ready(int(manifest["crop"]))
        stored_ones = self._stored.any(axis=1)
        self.read_size = 256 if self._as_they_are[stored_ones].all() else 32

    def _places(self) -> np.ndarray:
        """Where in its shard each picture's bytes begin."""
        lengths = self._stored.prod(axis=1, dtype=np.int64) * self.image_shape[2]
        starts = np.cumsum(lengths) - lengths
        shards = np.arange(len(lengths)) // self._size
        return starts - starts[shards * self._size]

    def _ready(self, packed: int) -> np.ndarray:
        """Whether each picture's bytes are what the network takes, with nothing to resize or cut.

        They are what packing fitted, for a network that crops no less.
        """
        crop = self._preprocessing.crop
        fits = (self._stored == crop).all(axis=1) & (packed == crop)
        is_cut = (self._stored != self._sizes).any(axis=1)
        return fits & (is_cut | (self._preprocessing.resize == crop))

    def _manifest_time(self) -> int:
        return (self._folder / MANIFEST).stat().st_mtime_ns

    def _indices(self) -> Iterator[dict[str, Any]]:
        """Of each shard: paths, sizes and what is stored of each, and what was skipped, and why."""
        for shard in range(-(-int(self._manifest["number"]) // self._size)):
            path = index_path(self._folder, shard)
            try:
                yield json.loads(path.read_bytes())
            except (OSError, ValueError) as error:
                raise InputError(f"{path}: missing or damaged ({error})") from None

    def _shard(self, number: int) -> np.ndarray:
        """The bytes of a shard; mapped anew each time, so that what was read can leave memory."""
        path = shard_path(self._folder, number)
        last = min((number + 1) * self._size, len(self.paths)) - 1
        stored = math.prod(self._stored[last].tolist()) * self.image_shape[2]
        expected = int(self._starts[last]) + stored
        try:
            found: Any = np.memmap(path, np.uint8, "r") if expected else np.zeros(0, np.uint8)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: missing or damaged ({error})") from None
        if len(found) != expected:
            raise InputError(f"{path}: missing or damaged ({len(found)} bytes of {expected})")
        return found

    def _fitted(self, shard: np.ndarray, index: int) -> Fitted:
        """One picture, of the bytes of its shard, as the network takes it."""
        (height, width), (rows, cols) = self._sizes[index].tolist(), self._stored[index].tolist()
        start, samples = int(self._starts[index]), self.image_shape[2]
        pixels = shard[start : start + samples * rows * cols].reshape(rows, cols, samples)
        if (rows, cols) == (height, width):
            return self._preprocessing.fit(pixels)
        return self._preprocessing.fit_crop(pixels, height, width)

    def read(self, start: int, out: np.ndarray) -> dict[int, Skipped]:
        """Copy from the shards."""
        indices = range(start, start + len(out))
        for number in range(start // self._size, (indices[-1]) // self._size + 1):
            first = max(start, number * self._size)
            last = min(start + len(out), (number + 1) * self._size)
            self._copy(self._shard(number), first, out[first - start : last - start])
        if self._manifest_time() != self._written:
            raise InputError(f"{self._folder}: was packed anew meanwhile; run the command again")
        return {index: self.skipped[index] for index in indices if index in self.skipped}

    def _copy(self, shard: np.ndarray, first: int, out: np.ndarray) -> None:
        """The pictures of a shard from number `first` on; all at once if they are ready."""
        if self._as_they_are[first : first + len(out)].all():
            begin = int(self._starts[first])
            out[...] = shard[begin : begin + out.size].reshape(out.shape)
            return
        for place, index in enumerate(range(first, first + len(out))):
            out[place] = 0 if index in self.skipped else self._fitted(shard, index)

    def picture(self, index: int) -> FittedPicture:
        """Read one picture."""
        out = np.empty((1, *self.image_shape), np.uint8)
        self.read(index, out)
        return FittedPicture(out[0], self._preprocessing.placement(*self._sizes[index].tolist()))

    def identity(self) -> str:
        """Hash what was packed, and what is taken of it."""
        wanted = {name: self._manifest[name] for name in ("number", "resize", "pictures")}
        wanted["crop"] = self._preprocessing.crop
        wanted |= samples_entry(self._preprocessing)
        return hashlib.sha256(json_bytes(wanted)).hexdigest()
