"""Features of picture sets of any size, in a file that is mapped into memory, not loaded."""

import functools
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import devices
from .._checks import InputError, count
from .._typing import Apply, Params, Progress
from ..files import (
    complete_manifest,
    json_bytes,
    map_array,
    read_manifest,
    write_manifest,
    write_whole,
)
from ..pictures.folders import Skipped
from ..pictures.paths import Paths
from ..pictures.sets import PictureSet
from .checkpoint import Checkpoint, Saved, open_checkpoint
from .engine import Rows, Task, sweep
from .identity import identity
from .network import recorded
from .processes import ALONE, Part, wait_a_little
from .rows import RowFile, RowTable, join_rows, rows_path

KIND = "features"
VECTORS = "features.npy"
INDEX = "index.jsonl"


class Features(NamedTuple):
    """The features of many pictures.

    `vectors` is float32 (pictures, dim), mapped into memory if it lies in a folder; `paths` name
    its rows; `skipped` are the pictures that could not be read and have no row; `manifest` says
    how the features were made: kind, layer, number, dim, provenance.
    """

    vectors: np.ndarray
    paths: Sequence[Path]
    skipped: list[Skipped]
    manifest: dict[str, Any]


@devices.own_context()
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
        InputError: an unknown layer, nothing readable, a folder that another run is using, or one
            whose sweep had other pictures, weights, functions or options; the message says which.

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
    images = jax.ShapeDtypeStruct((batch_size, *pictures.image_shape), jnp.uint8)
    network = recorded(apply, params, images, prepare=prepare, layers=[layer])
    dim = math.prod(network.tape.aval(network.tape.outputs[0]).shape[1:])
    # Only the rows are kept; an empty array as state makes jaxlib 0.11 crash.
    task = Task(network, _as_rows, np.zeros(()), lambda a, b: a)
    options = {"layer": layer, "batch size": batch_size}
    record = {"layer": layer, "provenance": dict(provenance or {})}
    said = functools.partial(identity, KIND, pictures, params, options, network=network)

    def run(checkpoint: Checkpoint | None, rows: Rows) -> list[Saved]:
        return sweep(
            task, params, pictures, batch_size=batch_size, checkpoint=checkpoint,
            save_every=count(save_every, "save_every"), rows=rows, progress=progress,
        )  # fmt: skip

    with open_checkpoint(folder, said, part) as checkpoint:
        if checkpoint is None:
            table = RowTable(len(pictures.paths), (dim,))
            parts = run(None, table)
            paths = [pictures.paths[index] for index in _kept(pictures, parts)]
            return Features(table.rows(), paths, _skipped(parts), _manifest(parts, dim, record))
        folder = checkpoint.folder
        with RowFile(rows_path(folder, part), (dim,)) as rows:
            parts = run(checkpoint, rows)
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

    Raises `InputError` if it is none, is not complete, is written anew meanwhile, or a file of it
    is missing or damaged.
    """
    folder = Path(folder)
    manifest = complete_manifest(folder, KIND)
    vectors = map_array(folder / VECTORS)
    try:
        with (folder / INDEX).open(encoding="utf-8") as lines:
            paths = Paths(json.loads(line)["picture"] for line in lines)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / INDEX}: missing or damaged ({error})") from None
    if read_manifest(folder) != manifest:
        raise InputError(f"{folder}: is being written anew; open it when that has ended")
    if vectors.shape != (len(paths), manifest["dim"]):
        raise InputError(f"{folder}: {VECTORS} and {INDEX} do not fit together")
    return Features(vectors, paths, [Skipped(**one) for one in manifest["skipped"]], manifest)


def is_features(folder: Path) -> bool:
    """Whether a folder holds features, complete or not."""
    return folder.is_dir() and read_manifest(folder).get("kind") == KIND


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
    join_rows(folder / VECTORS, len(parts), manifest["number"], (manifest["dim"],))

    def lines() -> Iterator[bytes]:
        for index in _kept(pictures, parts):
            yield json_bytes({"picture": str(pictures.paths[index])}) + b"\n"

    write_whole(folder / INDEX, lines())
    write_manifest(folder, manifest)
