"""Features of picture sets of any size, in a file that is mapped into memory, not loaded."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import devices
from .._checks import InputError, count
from .._typing import Apply, Params, Progress
from ..files import array_header, map_array, read_manifest, write_manifest, write_whole, writing
from ..pictures.folders import Skipped
from ..pictures.sets import PictureSet
from .checkpoint import Checkpoint, Saved
from .engine import Task, merged, sweep
from .identity import identity
from .network import recorded
from .processes import ALONE, Part, wait_a_little

KIND = "features"
VECTORS = "features.npy"
INDEX = "index.jsonl"
_PIECE = 2**24  # bytes copied at a time


class Features(NamedTuple):
    """The features of many pictures.

    `vectors` is float32 (pictures, dim), mapped into memory if it lies in a folder; `paths` name
    its rows; `skipped` are the pictures that could not be read and have no row; `manifest` says
    how the features were made: kind, layer, number, dim, provenance.
    """

    vectors: np.ndarray
    paths: list[Path]
    skipped: list[Skipped]
    manifest: dict[str, Any]


def features(
    apply: Apply,
    params: Params,
    pictures: PictureSet,
    *,
    prepare: Callable[[Any], Any],
    layer: str,
    folder: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    save_every: int = 100,
    part: Part = ALONE,
    progress: Progress | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Features:
    """One layer's activations of every picture as flat vectors, in (row, col, channel) order.

    `folder` gets features.npy, float32 (pictures, dim), which NumPy and faiss read; index.jsonl,
    whose lines name its rows; and jaxviz.json with the layer, the `provenance` and what was
    skipped. Interrupted, it goes on where it was. Without a folder nothing is written, and the
    vectors are in memory. The other options are those of `top_patches`.

    Raises:
        InputError: an unknown layer, nothing readable, or a folder whose sweep had other pictures,
            weights or options; the message says which.

    >>> from jaxviz.sweep import ArrayPictures, features
    >>> pictures = ArrayPictures(np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))
    >>> mean = lambda params, images: {"mean": images.mean((1, 2))}
    >>> made = features(
    ...     mean, (), pictures, prepare=lambda x: x.astype("float32"), layer="mean"
    ... )
    >>> made.vectors.tolist()
    [[4.5, 5.5, 6.5], [16.5, 17.5, 18.5]]

    """
    batch_size = devices.batch_size(batch_size)
    count(save_every, "save_every")
    images = jax.ShapeDtypeStruct((batch_size, *pictures.image_shape), jnp.uint8)
    network = recorded(apply, params, images, prepare=prepare, layers=[layer])
    dim = math.prod(network.tape.aval(network.tape.outputs[0]).shape[1:])
    # Only the rows are kept; an empty array as state makes jaxlib 0.11 crash.
    task = Task(network, _as_rows, np.zeros(()), lambda a, b: a)
    options = {"layer": layer, "batch size": batch_size}
    how: dict[str, Any] = {
        "batch_size": batch_size,
        "part": part,
        "save_every": save_every,
        "progress": progress,
    }
    record = {"layer": layer, "provenance": dict(provenance or {})}
    if folder is None:
        table = _RowTable(len(pictures.paths), dim)
        parts = merged(task, pictures, sweep(task, params, pictures, rows=table, **how), None)
        manifest = _manifest(parts, dim, record)
        paths = [pictures.paths[index] for index in _kept(pictures, parts)]
        return Features(table.rows(), paths, _skipped(parts), manifest)
    folder = Path(folder)
    checkpoint = Checkpoint(folder, identity(KIND, pictures, params, options, network), part)
    with _RowFile(_rows_path(folder, part.process, part.processes), dim) as rows:
        saved = sweep(task, params, pictures, checkpoint=checkpoint, rows=rows, **how)
    parts = merged(task, pictures, saved, checkpoint)
    if part.process == 0:
        _finish(folder, pictures, parts, _manifest(parts, dim, record))
    while not read_manifest(folder).get("complete"):
        wait_a_little()
    return load_features(folder)


def _as_rows(state: Any, activations: Any, indices: Any) -> tuple[Any, Any]:
    (values,) = activations
    return state, values.reshape(len(values), -1).astype(jnp.float32)


def load_features(folder: str | os.PathLike[str]) -> Features:
    """Open a complete folder of features.

    Raises `InputError` if it is none, is not complete, or a file of it is missing or damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest.get("kind") != KIND:
        raise InputError(f"{folder}: is no folder of features")
    if not manifest.get("complete"):
        raise InputError(f"{folder}: the sweep was not finished; run the same command again")
    vectors = map_array(folder / VECTORS)
    with (folder / INDEX).open(encoding="utf-8") as lines:
        paths = [Path(json.loads(line)["picture"]) for line in lines]
    if vectors.shape != (len(paths), manifest["dim"]):
        raise InputError(f"{folder}: {VECTORS} and {INDEX} do not fit together")
    return Features(vectors, paths, [Skipped(**one) for one in manifest["skipped"]], manifest)


def is_features(folder: Path) -> bool:
    """Whether a folder holds features, complete or not."""
    return folder.is_dir() and read_manifest(folder).get("kind") == KIND


def _rows_path(folder: Path, process: int, processes: int) -> Path:
    return folder / f"sweep-{process:05d}-of-{processes:05d}.npy"


class _RowTable:
    """Rows in memory."""

    def __init__(self, most: int, dim: int) -> None:
        self._rows = np.empty((most, dim), np.float32)
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


class _RowFile:
    """An npy file that grows; what was written after the last save is cut off on resuming."""

    def __init__(self, path: Path, dim: int) -> None:
        self._path = path
        self._dim = dim
        self._number = 0
        self._file: Any = None

    def __enter__(self) -> "_RowFile":
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            with writing(self._path):
                self._file.close()

    def truncate(self, number: int) -> None:
        """Open the file, new if `number` is 0, with its first `number` rows."""
        header = array_header((0, self._dim), np.float32)
        size = len(header) + number * self._dim * 4
        if number and (not self._path.is_file() or self._path.stat().st_size < size):
            raise InputError(f"{self._path}: rows are missing that were saved; restart")
        with writing(self._path):
            self._file = self._path.open("r+b" if number else "w+b")
            self._file.write(header)
            self._file.truncate(size)
            self._file.seek(size)
        self._number = number

    def append(self, rows: np.ndarray) -> None:
        """Write rows (n, dim) after those before."""
        with writing(self._path):
            self._file.write(np.ascontiguousarray(rows, "<f4").data)
        self._number += len(rows)

    def sync(self) -> int:
        """Bring all rows to the disk, say in the header how many there are, and return it."""
        with writing(self._path):
            self._file.seek(0)
            self._file.write(array_header((self._number, self._dim), np.float32))
            self._file.seek(0, os.SEEK_END)
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._number


def _skipped(parts: list[Saved]) -> list[Skipped]:
    return [one for part in parts for one in part.skipped.values()]


def _kept(pictures: PictureSet, parts: list[Saved]) -> Iterator[int]:
    """The numbers of the pictures that have a row."""
    skipped = {index for part in parts for index in part.skipped}
    return (index for index in range(len(pictures.paths)) if index not in skipped)


def _manifest(parts: list[Saved], dim: int, record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": KIND, "complete": True, "number": sum(part.rows for part in parts), "dim": dim,
        **record, "skipped": [one._asdict() for one in _skipped(parts)],
    }  # fmt: skip


def _finish(
    folder: Path, pictures: PictureSet, parts: list[Saved], manifest: Mapping[str, Any]
) -> None:
    """Put the parts' rows together and name them; the manifest comes last."""
    paths = [_rows_path(folder, i, len(parts)) for i in range(len(parts))]
    if len(paths) == 1 and paths[0].is_file():
        paths[0].replace(folder / VECTORS)
    elif all(path.is_file() for path in paths):
        write_whole(folder / VECTORS, _joined(paths, manifest["number"], manifest["dim"]))
    for path in paths:
        path.unlink(missing_ok=True)

    def lines() -> Iterator[bytes]:
        for index in _kept(pictures, parts):
            name = {"picture": str(pictures.paths[index])}
            yield json.dumps(name, ensure_ascii=False).encode() + b"\n"

    write_whole(folder / INDEX, lines())
    write_manifest(folder, manifest)


def _joined(paths: list[Path], number: int, dim: int) -> Iterator[bytes]:
    yield array_header((number, dim), np.float32)
    for path in paths:
        with path.open("rb") as file:
            file.seek(len(array_header((0, dim), np.float32)))
            while piece := file.read(_PIECE):
                yield piece
