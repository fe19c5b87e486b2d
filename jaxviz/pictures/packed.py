"""Packed sets: pictures decoded once, so that later sweeps are not bound by decoding.

A packed folder holds shards, uint8 arrays (pictures, height, width, 3) in npy files, each with its
index in JSON: every picture's path and placement, or why it was skipped. Pictures keep their
numbers, a skipped one is a hole of zeros, so that a sweep over the packed set gives the same bits
as one over the folder. The manifest, written last, says that the set is complete.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._checks import InputError
from .._prefetch import prefetch
from .._typing import Progress
from ..files import (
    MANIFEST,
    array_header,
    claim_folder,
    json_bytes,
    map_array,
    only_run,
    read_manifest,
    remove_remains,
    write_manifest,
    write_whole,
)
from .folders import FittedPicture, Skipped, read_picture, unreadable
from .preprocessing import Placement, Preprocessing
from .sets import FolderPictures, PictureSet, folder_pictures

KIND = "packed pictures"
_SHARD = 4096  # pictures


def pack(
    pictures: FolderPictures,
    *,
    folder: str | os.PathLike[str],
    preprocessing: Preprocessing,
    shard_size: int = _SHARD,
    progress: Progress | None = None,
) -> "PackedPictures":
    """Decode and fit every picture once and write them to `folder`.

    Shards appear whole or not at all, and the manifest after all of them; packing that was
    interrupted goes on with the first missing shard.

    Raises:
        InputError: nothing readable, or a folder that holds another set or that another run is
            using.

    """
    folder = claim_folder(folder)
    wanted = {
        "kind": KIND,
        "number": len(pictures.paths),
        "resize": preprocessing.resize,
        "crop": preprocessing.crop,
        "shard_size": shard_size,
        "pictures": pictures.identity(),
    }
    with only_run(folder):
        found = read_manifest(folder)
        if found and {name: found.get(name) for name in wanted} != wanted:
            raise InputError(f"{folder}: holds something else; name another folder or restart")
        if not found.get("complete"):
            _write_shards(pictures.paths, folder, wanted, preprocessing, progress)
    return open_packed(folder, preprocessing)


def _write_shards(
    paths: Sequence[Path], folder: Path, wanted: dict[str, Any], preprocessing: Preprocessing,
    progress: Progress | None,
) -> None:  # fmt: skip
    """Write the shards that are missing, then the manifest."""
    write_manifest(folder, {**wanted, "complete": False})
    remove_remains(folder, MANIFEST, "shard-*")
    size = wanted["shard_size"]
    for number, start in enumerate(range(0, len(paths), size)):
        if not _index(folder, number).is_file():
            _write_shard(paths[start : start + size], folder, number, preprocessing)
        if progress:
            progress(min(start + size, len(paths)), len(paths))
    packed = PackedPictures(folder, wanted)
    if len(packed.skipped) == len(packed.paths):
        raise unreadable(list(packed.skipped.values()))
    skipped = [one._asdict() for one in packed.skipped.values()]
    write_manifest(folder, {**wanted, "complete": True, "skipped": skipped})


def _shard(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.npy"


def _index(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.json"


def _write_shard(paths: Any, folder: Path, number: int, preprocessing: Preprocessing) -> None:
    entries: list[dict[str, Any]] = []
    shape = preprocessing.input_shape

    def pieces() -> Iterator[bytes]:
        yield array_header((len(paths), *shape), np.uint8)
        for path, one in prefetch(lambda path: (path, read_picture(path, preprocessing)), paths):
            if isinstance(one, Skipped):
                entries.append({"path": str(path), "skipped": one.reason})
                yield np.zeros(shape, np.uint8).tobytes()
            else:
                entries.append({"path": str(path), "placement": one.placement})
                yield one.pixels.tobytes()

    write_whole(_shard(folder, number), pieces())
    write_whole(_index(folder, number), json_bytes(entries))


def is_packed(folder: Path) -> bool:
    """Whether a folder is a packed set, complete or not."""
    return folder.is_dir() and read_manifest(folder).get("kind") == KIND


def open_packed(folder: Path, preprocessing: Preprocessing) -> "PackedPictures":
    """Open a complete packed set for a network; refuse one of another size."""
    manifest = read_manifest(folder)
    if manifest.get("kind") != KIND:
        raise InputError(f"{folder}: is no packed set")
    if not manifest.get("complete"):
        raise InputError(f"{folder}: packing was not finished; run the same `pack` again")
    for name in ("resize", "crop"):
        if manifest[name] != getattr(preprocessing, name):
            raise InputError(
                f"{folder}: packed with {name} {manifest[name]}, the network takes "
                f"{getattr(preprocessing, name)}; pack the pictures for this network"
            )
    return PackedPictures(folder, manifest)


def open_pictures(folder: str | os.PathLike[str], preprocessing: Preprocessing) -> PictureSet:
    """Open a folder for a network's sweeps: a packed one, or the pictures found in it."""
    if is_packed(Path(folder)):
        return open_packed(Path(folder), preprocessing)
    return folder_pictures(folder, preprocessing)


class PackedPictures:
    """A packed set; see `open_packed`."""

    read_size = 32

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self._folder = folder
        self._manifest = manifest
        self._written = self._manifest_time()
        self._size = int(manifest["shard_size"])
        self.image_shape = (int(manifest["crop"]), int(manifest["crop"]), 3)
        self.paths: list[Path] = []
        self.skipped: dict[int, Skipped] = {}
        for entry in self._entries():
            if "skipped" in entry:
                self.skipped[len(self.paths)] = Skipped(entry["path"], entry["skipped"])
            self.paths.append(Path(entry["path"]))
        if len(self.paths) != manifest["number"]:
            raise InputError(
                f"{folder}: holds {len(self.paths)} of {manifest['number']} pictures; pack again"
            )

    def _manifest_time(self) -> int:
        return (self._folder / MANIFEST).stat().st_mtime_ns

    def _shard_rows(self, number: int, rows: slice) -> np.ndarray:
        """Rows of a shard; mapped anew each time, so that what was read can leave memory again."""
        found = map_array(_shard(self._folder, number))[rows]
        if self._manifest_time() != self._written:
            raise InputError(f"{self._folder}: was packed anew meanwhile; run the command again")
        return found

    def _entries(self) -> Iterator[dict[str, Any]]:
        for shard in range(-(-int(self._manifest["number"]) // self._size)):
            yield from self._shard_entries(shard)

    def _shard_entries(self, shard: int) -> list[dict[str, Any]]:
        path = _index(self._folder, shard)
        try:
            return list(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: missing or damaged ({error})") from None

    def read(self, start: int, out: np.ndarray) -> dict[int, Skipped]:
        """Copy from the shards."""
        stop = start + len(out)
        while start < stop:
            shard, row = divmod(start, self._size)
            piece = self._shard_rows(shard, slice(row, row + stop - start))
            out[len(out) - (stop - start) :][: len(piece)] = piece
            start += len(piece)
        return {i: self.skipped[i] for i in range(stop - len(out), stop) if i in self.skipped}

    def picture(self, index: int) -> FittedPicture:
        """Read one picture."""
        shard, row = divmod(index, self._size)
        placement = Placement(*self._shard_entries(shard)[row]["placement"])
        (pixels,) = self._shard_rows(shard, slice(row, row + 1))
        return FittedPicture(np.array(pixels), placement)

    def identity(self) -> str:
        """Hash what was packed, and how."""
        wanted = {name: self._manifest[name] for name in ("number", "resize", "crop", "pictures")}
        return hashlib.sha256(json_bytes(wanted)).hexdigest()
