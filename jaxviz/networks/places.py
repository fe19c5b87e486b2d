"""Where weights lie: some come with us, others are fetched into a folder of the user's."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def shipped_folder() -> Path:
    """Where the shipped weights lie: inside the package when installed, beside it in a clone."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


def cache_folder() -> Path:
    """Where fetched weights lie: JAXVIZ_CACHE if that is set, else in the user's cache."""
    chosen = os.environ.get("JAXVIZ_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("jaxviz")


def cached_file(name: str) -> Path:
    """Where the fetched weights of this name lie, or will.

    The name is a network's, or begins with it: "caffe_alexnet", "caffe_alexnet-onnx".
    """
    return cache_folder() / f"{name}.safetensors"


def cached_weights(network: str) -> Path | None:
    """A network's fetched weights: those of its own name, else the first of a longer one."""
    longer = sorted(cache_folder().glob(f"{network}-*.safetensors"))
    found = [file for file in (cached_file(network), *longer) if file.is_file()]
    return found[0] if found else None
