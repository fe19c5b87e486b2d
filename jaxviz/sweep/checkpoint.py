"""The state of a sweep on disk: saved whole or not at all, resumed only by the same sweep."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .._checks import InputError
from ..files import (
    MANIFEST,
    claim_folder,
    only_run,
    read_arrays,
    read_manifest,
    remove_remains,
    write_arrays,
    write_manifest,
)
from ..pictures.folders import Skipped
from .processes import ALONE, Part

_FORMAT = 2


class Saved(NamedTuple):
    """How far a part has come.

    `cursor` is the next batch; `state` the merged state of its devices; `skipped` the unreadable
    pictures by number; `rows` how many rows were written; `done` says that all batches were seen.
    """

    cursor: int
    state: Any
    skipped: dict[int, Skipped]
    rows: int = 0
    done: bool = False


OTHERWISE = "name another folder (--output), or discard what is there (--restart)"


@contextlib.contextmanager
def open_checkpoint(
    folder: str | os.PathLike[str] | None, identity: Callable[[], Mapping[str, Any]], part: Part
) -> Iterator["Checkpoint | None"]:
    """Keep a folder for one run, with the state that is saved there; None without a folder.

    Raises `InputError` if the folder is not ours, another run is at work there, or it holds another
    sweep.
    """
    if folder is None:
        if part.processes > 1:
            raise InputError("folder: several processes need one that they all share")
        yield None
        return
    folder = claim_folder(folder)
    with only_run(folder, *part):
        yield Checkpoint(folder, identity(), part)


class Checkpoint:
    """The saved parts of one sweep in its output folder.

    `identity` is what makes it this sweep and no other; see `identity.identity`.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], part: Part) -> None:
        self.folder = folder
        self.part = part
        self.identity = json.loads(
            json.dumps({**identity, "processes": part.processes, "format": _FORMAT})
        )
        begun = sorted(self.folder.glob("sweep-*.npz"))
        for path in begun:
            self._check(read_arrays(path)[1])
        remove_remains(self.folder, self._path(part.process).name)
        if part.processes == 1:  # else another process may just be writing them
            remove_remains(self.folder, MANIFEST, "*.npy", "*.jsonl", "*.png")
        if not begun:
            kind = read_manifest(self.folder).get("kind", self.identity["kind"])
            if kind != self.identity["kind"]:
                raise InputError(f"{self.folder}: holds {kind}; {OTHERWISE}")
            write_manifest(self.folder, {"kind": self.identity["kind"], "complete": False})

    def _path(self, process: int) -> Path:
        return self.folder / f"sweep-{process:05d}-of-{self.part.processes:05d}.npz"

    def _check(self, header: Mapping[str, Any]) -> None:
        old, new = _flat(header.get("identity", {})), _flat(self.identity)
        for name in dict.fromkeys([*new, *old]):
            if old.get(name) != new.get(name):
                was, now = (_short(values.get(name)) for values in (old, new))
                raise InputError(
                    f"{self.folder}: holds a sweep with another {name} ({was}, now {now}); "
                    f"{OTHERWISE}"
                )

    def load(self, like: Any, process: int | None = None) -> Saved | None:
        """What a part (by default this process's) saved last; None if nothing.

        `like` is a state that tells how to put the arrays together.
        """
        path = self._path(self.part.process if process is None else process)
        if not path.is_file():
            return None
        arrays, header = read_arrays(path)
        self._check(header)
        leaves = [arrays[f"state.{i}"] for i in range(len(jax.tree.leaves(like)))]
        state = jax.tree.unflatten(jax.tree.structure(like), leaves)
        skipped = {index: Skipped(*rest) for index, *rest in header["skipped"]}
        return Saved(header["cursor"], state, skipped, header["rows"], header["done"])

    def save(self, saved: Saved) -> None:
        """Put this part's state in place of the one before, in one step."""
        leaves = jax.tree.leaves(saved.state)
        arrays = {f"state.{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        header = {
            "identity": self.identity,
            "cursor": saved.cursor,
            "skipped": [(index, *one) for index, one in saved.skipped.items()],
            "rows": saved.rows,
            "done": saved.done,
        }
        write_arrays(self._path(self.part.process), arrays, header)

    def load_all(self, like: Any) -> list[Saved] | None:
        """All parts, if each is done; else None."""
        parts = [self.load(like, process) for process in range(self.part.processes)]
        done = [part for part in parts if part is not None and part.done]
        return done if len(done) == len(parts) else None


def restart(folder: str | os.PathLike[str], *, part: Part = ALONE) -> None:
    """Forget the sweep, or the packed pictures, that a folder of ours holds.

    Of several processes each forgets its own part, and the first all that no other one has.
    """
    folder = claim_folder(folder)
    if not folder.is_dir():
        return
    with only_run(folder, *part):
        if part.process == 0:
            write_manifest(folder, {})  # first, so that nobody takes what is left for complete
            tables = [folder / f"{name}.npy" for name in ("features", "images", "traces")]
            for path in (*folder.glob("shard-*"), *tables, folder / "index.jsonl"):
                path.unlink(missing_ok=True)
        for path in folder.glob("sweep-*"):
            owner = int(path.name.split("-")[1])
            if owner == part.process or (part.process == 0 and owner >= part.processes):
                path.unlink(missing_ok=True)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name} ")
        else:
            found[prefix + name] = value
    return found


def _short(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 60 else f"{text[:12]}..."
