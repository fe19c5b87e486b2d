"""The folders and files of weights: shipped with the package, or fetched into the user's cache."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def shipped_folder() -> Path:
    """The folder of the shipped weights: inside the installed package, beside it in a clone."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


def cache_folder() -> Path:
    """The folder of fetched weights: JAXVIZ_CACHE if it is set, else in the user's cache."""
    chosen = os.environ.get("JAXVIZ_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("jaxviz")


def cached_file(name: str) -> Path:
    """The file of the fetched weights of this name, whether it exists or not.

    The name is a network's, or begins with it: "caffe_alexnet", "caffe_alexnet-onnx".
    """
    return cache_folder() / f"{name}.safetensors"


def cached_weights(network: str) -> Path | None:
    """A network's fetched weights: the file of its own name, else the first that begins with it."""
    longer = sorted(cache_folder().glob(f"{network}-*.safetensors"))
    return next((file for file in (cached_file(network), *longer) if file.is_file()), None)
