"""Packing: decode the pictures of a folder once and write them to shards."""

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from .._checks import InputError
from .._prefetch import prefetch
from .._typing import Pixels, Progress
from ..files import (
    MANIFEST,
    claim_folder,
    json_bytes,
    only_run,
    read_manifest,
    remove_remains,
    write_manifest,
    write_whole,
)  # fmt: skip
from .decoding import ARRAY
from .folders import Skipped, read_pixels, unreadable
from .packed import FORMAT, KIND, PackedPictures, index_path, open_packed, samples_entry, shard_path
from .preprocessing import Preprocessing
from .sets import FolderPictures

_SHARD = 4096  # pictures


def pack(
    pictures: FolderPictures,
    *,
    folder: str | os.PathLike[str],
    preprocessing: Preprocessing,
    shard_size: int = _SHARD,
    progress: Progress | None = None,
) -> PackedPictures:
    """Decode every picture once and write what the network takes of it to `folder`.

    A picture of fewer pixels than the network's input is kept whole. The set serves all networks
    that resize alike and crop no more. Shards appear whole or not at all, and the manifest after
    all of them; packing that was interrupted goes on with the first missing shard.

    Raises:
        InputError: nothing readable, a disk that cannot hold it, or a folder that holds another set
            or that another run is using.

    """
    folder = claim_folder(folder)
    wanted = {
        "kind": KIND,
        "format": FORMAT,
        "number": len(pictures.paths),
        "resize": preprocessing.resize,
        "crop": preprocessing.crop,
        "shard_size": shard_size,
        "pictures": pictures.identity(),
        **samples_entry(preprocessing),
    }
    with only_run(folder):
        found = read_manifest(folder)
        if found and {name: found.get(name) for name in wanted} != wanted:
            raise InputError(
                f"{folder}: holds something else; name another folder (--output), or discard what "
                "is there (--restart)"
            )
        if not found.get("complete"):
            _write_shards(pictures.paths, folder, wanted, preprocessing, progress)
    return open_packed(folder, preprocessing)


def most_bytes(number: int, preprocessing: Preprocessing) -> int:
    """What so many pictures take at the most."""
    return number * math.prod(preprocessing.fitted_shape)


def free_bytes(folder: Path) -> int:
    """What the disk still holds on which a folder is, or will be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def _write_shards(
    paths: Sequence[Path], folder: Path, wanted: dict[str, Any], preprocessing: Preprocessing,
    progress: Progress | None,
) -> None:  # fmt: skip
    """Write the shards that are missing, then the manifest."""
    size = wanted["shard_size"]
    shards = {
        number: paths[start : start + size]
        for number, start in enumerate(range(0, len(paths), size))
        if not index_path(folder, number).is_file()
    }
    _check_space([path for some in shards.values() for path in some], folder, preprocessing)
    write_manifest(folder, {**wanted, "complete": False})
    remove_remains(folder, MANIFEST, "shard-*")
    for number, some in shards.items():
        _write_shard(some, folder, number, preprocessing)
        if progress:
            progress(min((number + 1) * size, len(paths)), len(paths))
    packed = PackedPictures(folder, wanted, preprocessing)
    if len(packed.skipped) == len(packed.paths):
        raise unreadable(list(packed.skipped.values()))
    skipped = [one._asdict() for one in packed.skipped.values()]
    write_manifest(folder, {**wanted, "complete": True, "skipped": skipped})


def _check_space(paths: Sequence[Path], folder: Path, preprocessing: Preprocessing) -> None:
    """Refuse more pictures than the disk can hold; small ones are looked at only if that tells."""
    free, needed = free_bytes(folder), most_bytes(len(paths), preprocessing)
    if needed > free:
        most = most_bytes(1, preprocessing)
        needed = sum(min(most, _pixel_bytes(path, preprocessing)) for path in paths)
    if needed > free:
        raise InputError(
            f"{folder}: {len(paths)} pictures take {needed:,} bytes, and the disk has "
            f"{free:,} left; name a folder on another one"
        )


def _pixel_bytes(path: Path, preprocessing: Preprocessing) -> int:
    try:
        if path.suffix.lower() == ARRAY:
            return path.stat().st_size
        with Image.open(path) as image:
            return preprocessing.fitted_shape[2] * image.width * image.height
    except Exception:  # skipped later, with the reason
        return 0


def _write_shard(
    paths: Sequence[Path], folder: Path, number: int, preprocessing: Preprocessing
) -> None:
    index: dict[str, Any] = {"paths": [], "sizes": [], "stored": [], "skipped": []}

    def pieces() -> Iterator[bytes]:
        for path, one in prefetch(lambda path: (path, _kept(path, preprocessing)), paths):
            size, stored = (0, 0), (0, 0)
            if isinstance(one, Skipped):
                index["skipped"].append((len(index["paths"]), one.reason))
            else:
                size, kept = one
                stored = kept.shape[:2]
                yield kept.tobytes()
            index["paths"].append(str(path))
            index["sizes"].append(size)
            index["stored"].append(stored)

    write_whole(shard_path(folder, number), pieces())
    write_whole(index_path(folder, number), json_bytes(index))


def _kept(path: Path, preprocessing: Preprocessing) -> tuple[tuple[int, int], Pixels] | Skipped:
    """The size of a picture, and what is stored: its crop, or all of it where that is less."""
    pixels = read_pixels(path, preprocessing)
    if isinstance(pixels, Skipped):
        return pixels
    height, width, _ = pixels.shape
    small = height * width <= preprocessing.crop**2
    return (height, width), pixels if small else preprocessing.fit(pixels)
