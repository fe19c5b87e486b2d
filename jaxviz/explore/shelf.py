"""The pictures that a page can show: named ones, brought ones, and those of a swept folder."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._checks import InputError, unknown
from ..networks.network import Network
from ..pictures.decoding import Source, decode
from ..pictures.folders import Skipped

_MOST_REMEMBERED = 256  # pictures that were brought, and read of those that are known


class Shelved(NamedTuple):
    """A picture: an id for addresses, a name for people, and its uint8 pixels by network name."""

    id: str
    name: str
    pixels: dict[str, np.ndarray]


class Shelf:
    """Pictures by their ids, fitted to each of some networks; several threads may use it."""

    def __init__(self, networks: Iterable[Network], paths: Sequence[Path] = ()) -> None:
        """Read the pictures that were named; `skipped` are those that cannot be read.

        Where pictures lie on the disk is for who started the explorer, not for its page.
        """
        self._networks = {network.name: network for network in networks}
        self._lock = threading.Lock()
        self._named: dict[str, Shelved] = {}
        self._remembered: OrderedDict[str, Shelved] = OrderedDict()
        self._known: dict[str, Path] = {}
        self.skipped: list[Skipped] = []
        for path in paths:
            try:
                one = self._fitted(path, path.stem)
            except InputError as error:
                self.skipped.append(Skipped(str(path), str(error).removeprefix(f"{path}: ")))
            else:
                self._named[one.id] = one

    def _fitted(self, source: Source | bytes, name: str) -> Shelved:
        decoded: dict[int | None, np.ndarray] = {}  # once for all networks of the same channels
        pixels = {}
        for network in self._networks.values():
            samples = network.preprocessing.samples
            if samples not in decoded:
                decoded[samples] = decode(source, samples)
            pixels[network.name] = network.preprocessing.fit(decoded[samples])
        digest = hashlib.sha256(b"".join(one.tobytes() for one in pixels.values()))
        return Shelved(digest.hexdigest()[:12], name, pixels)

    @property
    def named(self) -> list[Shelved]:
        """The pictures that were named, in order."""
        return list(self._named.values())

    def bring(self, data: bytes, name: str) -> Shelved:
        """Remember a picture that is in the bytes of a file; refuse what is none."""
        return self._remember(self._fitted(data, " ".join(name.split())[:80] or "picture"))

    def know(self, paths: Iterable[Path]) -> list[str]:
        """The ids of pictures on the disk, which are read when they are asked for."""
        places = list(paths)
        ids = [hashlib.sha256(os.fsencode(path)).hexdigest()[:16] for path in places]
        with self._lock:
            self._known.update(zip(ids, places, strict=True))
        return ids

    def _remember(self, one: Shelved) -> Shelved:
        with self._lock:
            self._remembered[one.id] = one
            self._remembered.move_to_end(one.id)
            while len(self._remembered) > _MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return one

    def fitted(self, data: bytes) -> Shelved:
        """A picture that is not remembered, such as one of a camera."""
        return self._fitted(data, "camera")

    def __getitem__(self, key: str) -> Shelved:
        """The picture with an id; refuse an unknown one."""
        with self._lock:
            found = self._named.get(key) or self._remembered.get(key)
            path = self._known.get(key)
        if found is not None:
            return found
        if path is None:
            raise InputError(f"picture: {unknown(key, list(self._named))}")
        try:
            read = self._fitted(path, path.stem)
        except InputError as error:  # whose message names the path
            said = str(error).removeprefix(f"{path}: ")
            raise InputError(f"picture: {path.name}: {said}") from None
        return self._remember(read._replace(id=key))
