"""Heads: a linear classifier of one's own classes on a layer of any network, in a file."""

import itertools
import json
import os
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
from .network import Network
from .weights_files import DIGEST, check_digest, read_weights, save_weights, tensors_digest

_KIND = "jaxviz head"


class _Headed:
    """The function of a network, with a head's logits as its last layer."""

    def __init__(self, network: Network, head: Head, name: str) -> None:
        self._network, self._layer, self._grid, self._name = network, head.layer, head.grid, name
        for kept in ("note", "image_shape"):
            if hasattr(network.apply, kept):
                setattr(self, kept, getattr(network.apply, kept))

    def __call__(self, params: Params, images: Any) -> Outputs:
        outputs = self._network.apply(params["network"], images)
        features = head_features(outputs[self._layer], self._grid)
        head = params["head"]
        logits = jnp.matmul(features, head["weights"], precision="highest") + head["bias"][None]
        return {**outputs, self._name: logits}

    def kernel(self, params: Params, layer: str) -> Any:
        """The weights of a convolution of the network."""
        return self._network.kernel(layer)


def with_head(network: Network, head: Head) -> Network:
    """The network with a head: its classes are the head's, its logits a new last layer `head`.

    Raises `InputError` if the head was fitted to another network, or does not fit.

    >>> import jaxviz
    >>> network = jaxviz.load("alexnet")
    >>> head = Head(np.zeros((9216, 2)), np.zeros(2), "pool5", 6, ("cat", "dog"), "alexnet")
    >>> with_head(network, head).layers()["head"]
    (2,)
    """
    if network.name != head.network:
        raise InputError(f"head: fitted to {head.network}, not to {network.name}; see --network")
    if head.digest and network.provenance.get("sha256", "") not in ("", head.digest):
        raise InputError(f"head: fitted to {head.network} with other weights; see --weights")
    layers = network.layers()
    if head.layer not in layers:
        raise InputError(f"head: layer: {unknown(head.layer, list(layers), most=80)}")
    one = jax.ShapeDtypeStruct((1, *layers[head.layer]), jnp.float32)
    dim = jax.eval_shape(lambda values: head_features(values, head.grid), one).shape[1]
    if head.weights.shape != (dim, len(head.labels)) or head.bias.shape != (len(head.labels),):
        raise InputError(
            f"head: weights of shape {head.weights.shape} do not fit {head.layer}, whose features "
            f"are {dim} numbers, and {len(head.labels)} classes"
        )
    name = next(free for i in itertools.count() if (free := f"head{i or ''}") not in layers)
    own = {"weights": jnp.asarray(head.weights), "bias": jnp.asarray(head.bias)}
    return Network(
        _Headed(network, head, name),
        {"network": network.params, "head": own},
        preprocessing=network.spec.preprocessing,
        labels=head.labels,
        roles={**network.spec.roles, "logits": name},
        name=network.name,
        title=network.spec.title,
        provenance={
            **network.provenance,
            "head": {"layer": head.layer, "labels": head.labels,
                     "sha256": tensors_digest(_tensors(head))},
        },
    )  # fmt: skip


def _tensors(head: Head) -> dict[str, np.ndarray]:
    return {
        "weights": np.asarray(head.weights, np.float32), "bias": np.asarray(head.bias, np.float32)
    }  # fmt: skip


def save_head(path: str | os.PathLike[str], head: Head) -> Path:
    """Write a head as safetensors, which `load_head` and `--head` read.

    >>> import os, tempfile
    >>> head = Head(np.zeros((9216, 2)), np.zeros(2), "pool5", 6, ("cat", "dog"), "alexnet")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(load_head(save_head(os.path.join(folder, "head.safetensors"), head)).labels)
    ('cat', 'dog')
    """
    tensors = _tensors(head)
    shape = (*tensors["weights"].shape[:1], len(head.labels))
    if tensors["weights"].shape != shape or tensors["bias"].shape != shape[1:]:
        raise InputError(
            f"head: weights {tensors['weights'].shape} and bias {tensors['bias'].shape} are not "
            f"those of {len(head.labels)} classes"
        )
    if head.grid < 1 or not _are_labels(list(head.labels)):
        raise InputError("head: expected a grid of 1 or more, and classes by name")
    metadata = {
        "kind": _KIND, "layer": head.layer, "grid": str(head.grid), "network": head.network,
        "digest": head.digest, "labels": json.dumps(head.labels), MARK: __version__,
        DIGEST: tensors_digest(tensors),
    }  # fmt: skip
    return save_weights(path, tensors, metadata)


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
