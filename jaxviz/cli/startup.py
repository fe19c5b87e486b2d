"""Settings that make a command start and end sooner, made before JAX is imported."""

import atexit
import gc
import io
import os
import sys
import warnings
from pathlib import Path

_MAX_BYTES = 2**28  # enough for some hundreds of commands with different options


def prepare() -> None:
    """Keep compiled programs on disk, and run Python's garbage collector less often.

    Where JAX is imported already, another program owns the process, and nothing is changed.
    """
    if "jax" in sys.modules:
        return
    gc.set_threshold(100_000)  # imports and traces make many objects, and little garbage
    atexit.register(gc.freeze)  # no last collection: the process ends anyway
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        _keep_compiled()


def print_any_name() -> None:
    """Let standard output take names that are not UTF-8, byte for byte, for programs to read."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def _keep_compiled() -> None:
    """Keep compiled programs in the folder `compiled` of JAXVIZ_CACHE or the user's cache folder.

    If that folder cannot be written, every command compiles anew.
    """
    from ..networks.places import cache_folder

    folder = cache_folder() / "compiled"
    if not _writable(folder):
        return
    _shrink(folder)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAXVIZ_TRACED", str(folder))  # cpu/kept.py
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # On some processors jaxlib rejects its own compiled programs, logs an error for each and
    # compiles again.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # A truncated program, or one that another command is writing, is compiled again.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")


def _writable(folder: Path) -> bool:
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _shrink(folder: Path) -> None:
    """Remove the least recently used programs until the others fit the limit."""
    try:
        found = [(path.stat(), path) for path in folder.iterdir()]
        total = sum(status.st_size for status, _ in found)
        for status, path in sorted(found, key=lambda one: max(one[0].st_atime, one[0].st_mtime)):
            if total <= _MAX_BYTES:
                break
            path.unlink()
            total -= status.st_size
    except OSError:  # no folder yet, or another command removes files too
        return
