"""What makes a command start and end sooner; nothing here runs where JAX was imported before."""

import atexit
import gc
import os
import sys
import warnings
from pathlib import Path

_MOST_BYTES = 2**28  # some hundreds of commands with different options


def prepare() -> None:
    """Have JAX keep compiled programs, and Python look for garbage less often.

    In a process that has imported JAX, settings are not ours to change.
    """
    if "jax" in sys.modules:
        return
    gc.set_threshold(100_000)  # importing and tracing make many objects, of which few are garbage
    atexit.register(gc.freeze)  # the process ends; what it holds need not be looked through
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        _keep_compiled()


def _keep_compiled() -> None:
    """Keep programs in the folder `compiled` of JAXVIZ_CACHE or of the user's cache folder.

    Where that cannot be written, everything is compiled each time.
    """
    from ..networks.places import cache_folder

    folder = cache_folder() / "compiled"
    if not _writable(folder):
        return
    _shrink(folder)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # On some processors jaxlib rejects what it compiled there itself; it logs an error for each
    # program and compiles again.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # A program that was cut short, or is being written by another command, is compiled again.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")


def _writable(folder: Path) -> bool:
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _shrink(folder: Path) -> None:
    """Remove the programs that were not used for longest, until the others take little space."""
    try:
        found = [(path.stat(), path) for path in folder.iterdir()]
        total = sum(status.st_size for status, _ in found)
        for status, path in sorted(found, key=lambda one: max(one[0].st_atime, one[0].st_mtime)):
            if total <= _MOST_BYTES:
                break
            path.unlink()
            total -= status.st_size
    except OSError:  # there is none yet, or another command was faster
        return
