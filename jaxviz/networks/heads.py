"""Heads: a linear classifier of one's own classes on a layer of any network, in a file."""

import hashlib
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import __version__
from .._checks import InputError, unknown
from .._typing import Outputs, Params
from ..files import MARK
from .head_features import Head, head_features
from .network import Network, replaced
from .weights_files import DIGEST, check_digest, read_weights, save_weights, tensors_digest
from .wrapped import Wrapped

_KIND = "jaxviz head"
_TOLD = "metadata_sha256"


class _Headed(Wrapped):
    """The function of a network, with a head's logits as its last layer."""

    def __init__(self, network: Network, head: Head, name: str) -> None:
        super().__init__(network)
        self._layer, self._grid, self._name = head.layer, head.grid, name

    def __call__(self, params: Params, images: Any) -> Outputs:
        outputs = self._network.apply(params["network"], images)
        features = head_features(outputs[self._layer], self._grid)
        head = params["head"]
        logits = jnp.matmul(features, head["weights"], precision="highest") + head["bias"][None]
        return {**outputs, self._name: logits}


def with_head(network: Network, head: Head) -> Network:
    """The network with a head: its classes are the head's, its logits a new last layer `head`.

    Raises `InputError` if the head was fitted to another network, or does not fit.

    >>> import jaxviz
    >>> network = jaxviz.load("alexnet")
    >>> head = Head(np.zeros((9216, 2)), np.zeros(2), "pool5", 6, ("cat", "dog"), "alexnet")
    >>> with_head(network, head).layers()["head"]
    (2,)
    """
    tensors = _checked(head)
    if network.name != head.network:
        raise InputError(f"head: fitted to {head.network}, not to {network.name}; see --network")
    if head.digest and network.provenance.get("sha256", "") not in ("", head.digest):
        raise InputError(f"head: fitted to {head.network} with other weights; see --weights")
    layers = network.layers()
    if head.layer not in layers:
        raise InputError(f"head: layer: {unknown(head.layer, list(layers), most=80)}")
    one = jax.ShapeDtypeStruct((1, *layers[head.layer]), jnp.float32)
    dim = jax.eval_shape(lambda values: head_features(values, head.grid), one).shape[1]
    if len(tensors["weights"]) != dim:
        raise InputError(
            f"head: weights of shape {tensors['weights'].shape} do not fit {head.layer}, whose "
            f"features are {dim} numbers"
        )
    name = next(free for i in itertools.count() if (free := f"head{i or ''}") not in layers)
    own = {name: jnp.asarray(tensor) for name, tensor in tensors.items()}
    told = {
        "layer": head.layer, "labels": head.labels, "sha256": tensors_digest(tensors)
    }  # fmt: skip
    return replaced(
        network,
        apply=_Headed(network, head, name),
        params={"network": network.params, "head": own},
        labels=head.labels,
        roles={**network.spec.roles, "logits": name},
        provenance={**network.provenance, "head": told},
    )


def _checked(head: Head) -> dict[str, np.ndarray]:
    """The tensors of a head, which must fit each other; refuse what is none of the fields."""
    tensors = {
        "weights": np.asarray(head.weights, np.float32), "bias": np.asarray(head.bias, np.float32)
    }  # fmt: skip
    if isinstance(head.labels, str) or not _are_labels(list(head.labels)):
        raise InputError("head: expected a list of classes by name")
    shape = (*tensors["weights"].shape[:1], len(head.labels))
    if tensors["weights"].shape != shape or tensors["bias"].shape != shape[1:]:
        raise InputError(
            f"head: weights {tensors['weights'].shape} and bias {tensors['bias'].shape} are not "
            f"those of {len(head.labels)} classes"
        )
    if not all(np.isfinite(one).all() for one in tensors.values()):
        raise InputError("head: expected finite numbers in float32, got others among them")
    texts = (head.layer, head.network, head.digest)
    is_grid = isinstance(head.grid, int | np.integer) and head.grid >= 1
    if not is_grid or not all(isinstance(one, str) for one in texts):
        raise InputError("head: expected a grid of 1 or more, and texts for layer and network")
    return tensors


def save_head(path: str | os.PathLike[str], head: Head) -> Path:
    """Write a head as safetensors, which `load_head` and `--head` read.

    >>> import os, tempfile
    >>> head = Head(np.zeros((9216, 2)), np.zeros(2), "pool5", 6, ("cat", "dog"), "alexnet")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(load_head(save_head(os.path.join(folder, "head.safetensors"), head)).labels)
    ('cat', 'dog')
    """
    tensors = _checked(head)
    metadata = {
        "kind": _KIND, "layer": head.layer, "grid": str(head.grid), "network": head.network,
        "digest": head.digest, "labels": json.dumps(head.labels),
    }  # fmt: skip
    digests = {_TOLD: _digest(metadata), DIGEST: tensors_digest(tensors)}
    return save_weights(path, tensors, {**metadata, MARK: __version__, **digests})


def _digest(told: Mapping[str, str]) -> str:
    """A sha256 of what a file says of its head."""
    kept = {name: told[name] for name in ("kind", "layer", "grid", "network", "digest", "labels")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def load_head(path: str | os.PathLike[str]) -> Head:
    """Read what `save_head` wrote; nothing in it is executed.

    >>> load_head("nowhere.safetensors")
    Traceback (most recent call last):
    jaxviz._checks.InputError: head: nowhere.safetensors: no such file

    Raises `InputError` for a file that is none, or is damaged.
    """
    try:
        file = read_weights(path)
        check_digest(path, file)
    except InputError as error:
        said = str(error).removeprefix("weights: ").partition("; ")[0]
        raise InputError(f"head: {said}") from None
    told = file.metadata
    try:
        if told["kind"] != _KIND or file.tensors.keys() != {"weights", "bias"}:
            raise ValueError("it is something else")
        if not all(np.isfinite(one).all() for one in file.tensors.values()):
            raise ValueError("it holds numbers that are not finite")
        if told[_TOLD] != _digest(told):
            raise ValueError("its metadata are damaged")
        grid, labels = int(told["grid"]), json.loads(told["labels"])
        if grid < 1 or not _are_labels(labels):
            raise ValueError("its metadata are damaged")
        return Head(
            **file.tensors, layer=told["layer"], grid=grid, labels=tuple(labels),
            network=told["network"], digest=told["digest"],
        )  # fmt: skip
    except KeyError as error:
        raise InputError(f"head: {path}: not a head of jaxviz (it has no {error})") from None
    except ValueError as error:
        raise InputError(f"head: {path}: not a head of jaxviz ({error})") from None


def _are_labels(labels: Any) -> bool:
    return isinstance(labels, list) and all(isinstance(one, str) for one in labels)
