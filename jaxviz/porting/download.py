"""Official weights, fetched into the user's cache, checked by their digest, and converted."""

import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from .._checks import InputError, choice
from ..networks.loading import verify_weights
from ..networks.places import cache_folder, cached_file
from ..networks.sources import OFFICIAL, Official, by_hand, file_digest
from .recognition import port_weights
from .transfer import Interrupted, Part, Progress, receive

_TRIES = 5  # in a row without a new byte
_WAIT = 1.0  # seconds before the second try, and twice as long before each further one


def _silent(*_: object) -> None:
    """Say nothing."""


def download_weights(
    name: str, *, progress: Progress = _silent, say: Callable[[str], None] = _silent
) -> Path:
    """Fetch an official file and port it; return the safetensors file in the user's cache.

    `name` is a key of `networks.sources.OFFICIAL`: "alexnet", "caffe_alexnet",
    "caffe_alexnet-compressed", "caffe_alexnet-onnx" or "caffenet". Undamaged weights that are
    there already are not fetched again.
    `progress` is called with the bytes that have come and those of the whole (None if unknown),
    `say` with a line to read.

    Raises `InputError` if the file cannot be fetched, or is not the official one. What came of an
    interrupted download is kept; the next call goes on from there.
    """
    official = OFFICIAL[choice(name, "weights", OFFICIAL)]
    output, folder = cached_file(name), cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{name}: waiting for another jaxviz that is fetching it")
        lock.acquire()
    try:
        if not _is_intact(output, official.network):
            file = fetch(name, official, folder, progress=progress)
            metadata = {
                "source": official.title, "address": official.address,
                "license": official.license, "accuracy": official.accuracy,
            }  # fmt: skip
            output.unlink(missing_ok=True)  # what is there is damaged
            port_weights(file, output, metadata=metadata)
            file.unlink()
    finally:
        lock.release()
    return output


def _is_intact(path: Path, network: str) -> bool:
    try:
        return path.is_file() and verify_weights(path) == network
    except InputError:
        return False


def fetch(name: str, official: Official, folder: Path, *, progress: Progress = _silent) -> Path:
    """Bring an official file into `folder`; it has its own name there once it is the right one."""
    path, part = folder / official.file, Part(folder / f"{official.file}.part")
    if path.is_file() and file_digest(path, official.digest_kind) == official.digest:
        return path
    tries, furthest, moved = 0, part.size(), False
    while not part.whole():
        try:
            receive(official.address, part, most_bytes=official.most_bytes, progress=progress)
        except Interrupted as error:
            if part.size() > furthest:
                tries, furthest, moved = 0, part.size(), True
            else:
                tries += 1
            if error.final or not moved or tries >= _TRIES:
                raise InputError(_advice(name, official, error, part.size())) from None
            time.sleep(_WAIT * 2**tries)
    digest = file_digest(part.path, official.digest_kind)
    if digest != official.digest:
        part.remove()
        raise InputError(
            f"weights: {name}: what {official.address} sent is not the official file, and was "
            f"removed: its {official.digest_kind} is {digest}, expected {official.digest}"
        )
    part.path.replace(path)
    part.remove()
    return path


def _advice(name: str, official: Official, error: Interrupted, kept: int) -> str:
    rest = f"; {kept} bytes are kept, and the same command goes on from there" if kept else ""
    return f"weights: {name}: {error}{rest}; or {by_hand(name, official)}"
