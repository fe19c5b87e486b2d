"""Programs that are traced once and kept on disk, so that other processes need not trace them.

JAX itself finds what it compiled before by the program that it traced and lowered anew, which takes
longer than to load it. Here a program is found by its tape.
"""

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax import export
from jaxlib import version

from .._checks import InputError, is_key
from ..files import write_whole
from ..jaxpr.digest import NotLastingError, digest

FOLDER = "JAXVIZ_TRACED"
"""The environment variable that names the folder; where it is not set, nothing is kept."""

_PACKAGE = Path(__file__).resolve().parents[1]


def are_kept() -> bool:
    """Whether programs are kept by this process."""
    return bool(os.environ.get(FOLDER)) and bool(jax.config.values["jax_enable_compilation_cache"])


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function for `jax.jit`, traced by one process for all.

    function: of arrays, and of static arguments by name; what it does must depend on these alone
    and on what the package's files say.

    A program that no file can hold is traced by each process, such as one for several devices, or
    of a network that calls a Python function or has primitives that are not JAX's own.
    """

    @functools.wraps(function)
    def found(*arguments: Any, **static: Any) -> Any:
        leaves, tree = jax.tree.flatten(arguments)
        types = [jax.typeof(leaf) for leaf in leaves]
        run = functools.partial(function, **static)
        if len(jax.devices()) > 1 or any(map(is_key, leaves)):
            return run(*arguments)
        name = (function.__qualname__, str(tree), *map(str, types), *sorted(static.items()))
        return _found_or_traced(run, jax.tree.unflatten(tree, types), name)(*arguments)

    return found


def _found_or_traced(run: Callable[..., Any], types: Any, name: Any) -> Callable[..., Any]:
    """The program in the file of its name, else as it is traced now, which is written there."""
    try:
        path = Path(os.environ[FOLDER]) / f"traced-{digest(_surroundings(), name)}"
    except NotLastingError:
        return run
    found = _read(path)
    if found is not None:
        return export.deserialize(bytearray(found)).call
    try:
        exported = export.export(jax.jit(run))(*types)
        data = bytes(exported.serialize())
    except Exception:  # what JAX cannot write, of which there is no list
        return run
    with contextlib.suppress(InputError, OSError):  # the disk is full, or the folder went
        write_whole(path, _checksum(data) + data)
    return exported.call


def _read(path: Path) -> bytes | None:
    """What was written there, whole."""
    try:
        found = path.read_bytes()
    except OSError:
        return None
    size = len(_checksum(b""))
    return found[size:] if _checksum(found[size:]) == found[:size] else None


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _surroundings() -> tuple[Any, ...]:
    """What a traced program depends on beside its name: our code, JAX, its settings, the device."""
    settings = sorted((name, repr(getattr(jax.config, name, None))) for name in jax.config.values)
    (device,) = jax.devices()
    return (
        _code(),
        jax.__version__,
        version.__version__,
        device.device_kind,
        settings,
    )


@functools.cache
def _code() -> tuple[Any, ...]:
    """The package's files, by when they were changed."""
    files = [(path, path.stat()) for path in sorted(_PACKAGE.rglob("*.py"))]
    return tuple((str(path), found.st_size, found.st_mtime_ns) for path, found in files)
