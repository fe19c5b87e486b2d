"""What makes a sweep this one and no other."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from .. import __version__
from ..pictures.sets import PictureSet


def identity(
    kind: str, pictures: PictureSet, params: Any, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Pictures, weights, options, and the software and device, which may round differently."""
    device = jax.local_devices()[0]
    return {
        "kind": kind,
        "number of pictures": len(pictures.paths),
        "list of pictures": pictures.identity(),
        "weights": weights_hash(params),
        "option": dict(options),
        "version of jaxviz": __version__,
        "version of jax": jax.__version__,
        "device": device.device_kind,
    }


def weights_hash(params: Any) -> str:
    """A sha256 of all parameters: their names, shapes, types and values."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.ascontiguousarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {array.shape} {array.dtype}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()
