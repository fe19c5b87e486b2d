"""Where weights lie that are not shipped: a folder of the user's, filled by `jaxviz weights get`."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """The folder of fetched weights: JAXVIZ_CACHE where that is set, else the user's cache."""
    chosen = os.environ.get("JAXVIZ_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("jaxviz", appauthor=False)


def cached_file(name: str) -> Path:
    """Where fetched weights of this name lie, or will.

    The name is that of a network, or begins with it: "caffe_alexnet", "caffe_alexnet-onnx".
    """
    return cache_folder() / f"{name}.safetensors"


def cached_weights(network: str) -> Path | None:
    """A network's fetched weights: those of its own name, else the first of a longer one."""
    own = cached_file(network)
    if own.is_file():
        return own
    return next(iter(sorted(cache_folder().glob(f"{network}-*.safetensors"))), None)
