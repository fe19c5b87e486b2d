"""Files appear whole or not at all, and never over something that is not ours.

Ours is what carries our mark: the software that made a PNG, the creator of a PDF or an SVG, a
`jaxviz` entry in the metadata of a safetensors file or among the arrays of an npz, a manifest in a
folder.
"""

import contextlib
import errno
import io
import itertools
import json
import os
import re
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image

from . import _safetensors
from ._checks import InputError

MARK = "jaxviz"
MANIFEST = "jaxviz.json"
_DAMAGE = (  # what NumPy raises on a file that is no npz, or a broken one
    OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, MemoryError,
    NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_LOCK = f".lock-{{process}}-of-{{processes}}-{MANIFEST}"
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


def write_whole(path: str | os.PathLike[str], data: bytes | Iterable[bytes | memoryview]) -> Path:
    """Write `data` beside `path`, bring it to the disk, and put it in place in one step.

    `data` may come in pieces, for files that are larger than memory.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in (data,) if isinstance(data, bytes) else data:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise
    return path


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses, a full disk for one, into an `InputError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


@contextlib.contextmanager
def only_run(folder: Path, process: int = 0, processes: int = 1) -> Iterator[None]:
    """Keep every other run out of a folder while this one is at work in it.

    Each process of a run holds a lock of its own, so they do not keep each other out. The system
    frees the locks of a process that dies. Where the file system has no locks, a warning says so.

    Raises `InputError` while another run is at work in the folder.
    """
    entrance = FileLock(folder / f".lock-{MANIFEST}")  # held while the other locks are looked at
    own = FileLock(folder / _LOCK.format(process=f"{process:05d}", processes=f"{processes:05d}"))
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with entrance:
            others = set(folder.glob(_LOCK.format(process="*", processes="*")))
            others -= set(folder.glob(_LOCK.format(process="*", processes=f"{processes:05d}")))
            for path in others:
                _remove_free_lock(FileLock(path))
            own.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{folder}: another run is at work there; wait for its end or name another folder"
        ) from None
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
        warnings.warn(f"{folder}: no locks here; start no second run on this folder", stacklevel=3)
    try:
        yield
    finally:
        if own.is_locked:
            own.release()
            with entrance, contextlib.suppress(Timeout):
                _remove_free_lock(own)


def _remove_free_lock(lock: FileLock) -> None:
    """Remove the file of a lock that nobody holds; raise `Timeout` if somebody does."""
    with lock.acquire(timeout=0):
        pass
    Path(lock.lock_file).unlink(missing_ok=True)


def remove_remains(folder: Path, *names: str) -> None:
    """Remove what killed processes left of writing files of these names (or patterns)."""
    for name in names:
        for path in folder.glob(f".{name}.*"):
            path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def claim_file(path: str | os.PathLike[str]) -> Path:
    """Return `path` if nothing is there, or only a file of ours; else refuse."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file")
    if path.exists() and not is_ours(path):
        raise InputError(f"{path}: exists and was not made by jaxviz; name another file")
    if any(parent.exists() and not parent.is_dir() for parent in path.parents):
        raise InputError(f"{path}: a part of this path is a file, not a folder")
    _check_writable(path.parent, path)
    return path


def _check_writable(folder: Path, path: Path) -> None:
    """Refuse a place where nothing can be written, before there is anything to write."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written (no permission in {there})")


def file_stems(names: Sequence[str]) -> list[str]:
    """A file name without suffix for each layer, no two alike; "/" becomes "_"."""
    stems: list[str] = []
    for name in names:
        stem = name.replace("/", "_")
        free = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        stems.append(next(one for one in free if one not in stems))
    return stems


def figure_ending(path: str | os.PathLike[str]) -> str:
    """The ending of a figure's name, in lower case; others than PNG, PDF and SVG are refused."""
    ending = Path(path).suffix.lower()
    if ending not in (".png", ".pdf", ".svg"):
        raise InputError(f"output: expected a name that ends in .png, .pdf or .svg, got {path}")
    return ending


def is_ours(path: Path) -> bool:
    """Whether a file carries our mark."""
    carries = {
        ".npz": _npz_is_ours, ".safetensors": _safetensors_is_ours, ".pdf": _pdf_is_ours,
        ".svg": _svg_is_ours,
    }.get(path.suffix.lower(), _picture_is_ours)  # fmt: skip
    try:
        return carries(path)
    except (OSError, ValueError, zipfile.BadZipFile, Image.DecompressionBombError):
        return False


def _npz_is_ours(path: Path) -> bool:
    with zipfile.ZipFile(path) as file:
        return f"{MARK}.npy" in file.namelist()


def _safetensors_is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK in _safetensors.read_header(file).metadata


def _picture_is_ours(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a foreign picture may be huge or odd
        with Image.open(path) as image:
            return str(image.info.get("Software", "")).startswith(MARK)


def _pdf_is_ours(path: Path) -> bool:
    """Whether the document's own information names us; a paper may hold that of our figures too."""
    data = path.read_bytes()
    trailer = re.search(rb"/Info (\d+) 0 R\s*>>\s*startxref\s+\d+\s+%%EOF\s*\Z", data[-1024:])
    if not data.startswith(b"%PDF-") or not trailer or data.count(b"startxref") != 1:
        return False
    creator = rb"\n%s 0 obj\n<<[^>]*/Creator \(%s\)" % (trailer[1], MARK.encode())
    return bool(re.search(creator, data))


def _svg_is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        head, _, rest = file.read(4096).partition(b"<metadata>")
    creator = rb"<dc:creator>\s*<cc:Agent>\s*<dc:title>%s</dc:title>" % MARK.encode()
    return bool(re.search(creator, rest)) and head.startswith(b"<?xml") and head.count(b"<svg") == 1


def claim_folder(path: str | os.PathLike[str]) -> Path:
    """Return `path` if it is free, empty, or a folder of ours; else refuse.

    A manifest that another process is just writing counts as one.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; name a folder")
    foreign = path.is_dir() and any(MANIFEST not in file.name for file in path.iterdir())
    if foreign and not (path / MANIFEST).is_file():
        raise InputError(f"{path}: is not empty and was not made by jaxviz; name another folder")
    _check_writable(path, path)
    return path


def json_bytes(content: Any, indent: int | None = None) -> bytes:
    """A value as JSON in UTF-8, which every file name survives.

    A name that is not UTF-8 holds lone surrogates in Python; JSON writes them as an escape.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, default=str)
    return text.encode(errors="backslashreplace")


def write_manifest(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write the folder's manifest, which also marks the folder as ours."""
    return write_whole(folder / MANIFEST, json_bytes(content, indent=2) + b"\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a folder's manifest; empty where there is none."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a manifest of jaxviz ({error})") from None


def complete_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a folder that holds all of a kind; refuse any other."""
    manifest = read_manifest(folder)
    if manifest.get("kind") != kind:
        raise InputError(f"{folder}: is no folder of {kind}")
    if not manifest.get("complete"):
        raise InputError(f"{folder}: the sweep was not finished; run the same command again")
    return manifest


def array_header(shape: tuple[int, ...], dtype: Any) -> bytes:
    """The first bytes of an npy file; as many whatever the length of the first axis."""
    buffer = io.BytesIO()
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def map_array(path: Path) -> np.ndarray:
    """Map an npy file into memory, to be read where it is looked at."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: missing or damaged ({reason})") from None


def write_arrays(path: Path, arrays: Mapping[str, Any], provenance: Mapping[str, Any]) -> Path:
    """Write an npz of arrays; its entry `jaxviz` is the provenance as JSON text."""
    plain = {name: np.asarray(value) for name, value in arrays.items()}
    buffer = io.BytesIO()
    record = np.asarray(json_bytes(provenance).decode())
    np.savez_compressed(buffer, **{MARK: record}, **plain)  # type: ignore[arg-type]
    return write_whole(path, buffer.getvalue())


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_arrays` wrote: the arrays and the provenance."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, dict(json.loads(str(arrays.pop(MARK))))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not an npz that jaxviz wrote ({reason})") from None
