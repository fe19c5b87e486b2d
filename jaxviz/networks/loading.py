"""Networks by name, with the weights that are shipped, fetched or named."""

import os
from pathlib import Path

import jax

from .._checks import InputError, choice
from .catalog import (
    CATALOG,
    Variant,
    class_names,
    nearest_shapes,
    networks,
    shipped_file,
    shipped_networks,
)
from .network import Network
from .places import cached_weights
from .weights_files import (
    WeightsFile,
    check_digest,
    check_tensors,
    flat,
    nested,
    read_weights,
)

FULL = "full"  # in place of a weights file: complete weights, shipped or fetched


def load(name: str, *, weights: str | os.PathLike[str] | None = None) -> Network:
    """Load a network with its weights.

    `name` is one of `networks()`. `weights` names a safetensors file to take instead of the
    shipped one; for AlexNet it may be complete, and then gives fc6, fc7 and fc8 (the logits).
    "full" stands for complete weights, which `jaxviz weights get` fetches where they are not
    shipped; "caffe_alexnet" and "caffenet" take fetched weights without being told.

    Raises `InputError` if the name is unknown, there are no such weights, the shipped file is not
    the one this version was made with (sha256), a fetched one is damaged, the file was ported for
    another network, or any tensor's name, shape or type is not the network's.

    >>> network = load("squeezenet")
    >>> network.layers()["pool10"]
    (1000,)
    """
    path = weights_file(name, weights)
    file = read_weights(path)
    is_full = weights is not None and os.fspath(weights) == FULL
    if weights is None or is_full:
        check_origin(path, file)
    variant = _variant(name, path, file)
    has_classes = variant.roles["logits"] is not None
    if is_full and not has_classes:
        raise InputError(f"weights: {path} ends before the classes; {variant.function.note}")
    check_tensors(path, file.tensors, flat(variant.function.shapes))
    return Network(
        variant.function,
        jax.device_put(nested(file.tensors)),
        preprocessing=variant.preprocessing,
        labels=class_names() if has_classes else (),
        roles=variant.roles,
        name=name,
        title=variant.title,
        provenance={
            **file.metadata, "network": name, "weights": path.name, "sha256": file.sha256,
        },
    )  # fmt: skip


def weights_file(name: str, weights: str | os.PathLike[str] | None = None) -> Path:
    """The file that `load` reads: the one named, else the shipped one, else one fetched."""
    entry = CATALOG[choice(name, "network", CATALOG)]
    if weights is not None and os.fspath(weights) != FULL:
        return Path(weights)
    if entry.shipped and (weights is None or entry.convolutions is None):
        return shipped_file(name)[0]
    fetched = cached_weights(name)
    if fetched is None:
        raise InputError(f"weights: {name} has no complete ones here; {entry.note}")
    return fetched


def check_origin(path: Path, file: WeightsFile) -> None:
    """Refuse a shipped file that is not as shipped, and any whose numbers were damaged."""
    for name in shipped_networks():
        shipped, expected = shipped_file(name)
        if path == shipped and file.sha256 != expected:
            raise InputError(f"weights: {path} is damaged: sha256 {file.sha256}, not {expected}")
    check_digest(path, file)


def verify_weights(path: Path) -> str:
    """Read a file from end to end and check all of it; return the network that it is for."""
    file = read_weights(path)
    check_origin(path, file)
    named = file.metadata.get("network")
    names = networks() if named is None else (choice(named, f"weights: {path}: network", CATALOG),)
    expected = {name: nearest_shapes(name, file.tensors) for name in names}
    name = min(names, key=lambda name: len(expected[name].keys() ^ file.tensors.keys()))
    check_tensors(path, file.tensors, expected[name])
    return name


def _variant(name: str, path: Path, file: WeightsFile) -> Variant:
    """How this file's weights are run."""
    entry = CATALOG[name]
    made_for = file.metadata.get("network", name)
    if made_for != name and made_for in CATALOG:  # tensors alone would not tell
        raise InputError(f"weights: {path}: made for {made_for}, not for {name}")
    if "geometry" in file.metadata:
        setting = f"weights: {path}: geometry"
        return entry.geometries[choice(file.metadata["geometry"], setting, entry.geometries)]
    if entry.convolutions:
        shapes = flat(entry.convolutions.function.shapes)
        if file.tensors.keys() <= shapes.keys():
            return entry.convolutions
    return entry.complete
