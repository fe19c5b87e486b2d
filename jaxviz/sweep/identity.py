"""What makes a sweep this one and no other."""

from collections.abc import Mapping
from typing import Any

import jax

from .. import __version__
from ..jaxpr.recording import Recording
from ..pictures.sets import PictureSet
from .network import array_hash, network_hash


def identity(
    kind: str,
    pictures: PictureSet | None,
    params: Any,
    options: Mapping[str, Any],
    *,
    network: Recording,
) -> dict[str, Any]:
    """Pictures, if there are any, weights, options and functions, and what may round differently.

    A refusal names the first that differs, so what explains other differences comes first.
    """
    device = jax.local_devices()[0]
    swept = {}
    if pictures is not None:
        swept = {
            "number of pictures": len(pictures.paths), "list of pictures": pictures.identity()
        }  # fmt: skip
    return {
        "kind": kind,
        **swept,
        "weights": weights_hash(params),
        "option": dict(options),
        "version of jaxviz": __version__,
        "version of jax": jax.__version__,
        "device": device.device_kind,
        "function, `apply` or `prepare`": network_hash(network),
    }


def weights_hash(params: Any) -> str:
    """A sha256 of all parameters: their names, shapes, types and values."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return array_hash({jax.tree_util.keystr(path): leaf for path, leaf in leaves})
