"""What a network makes of a picture: its layers, the classes, and all maps of a layer."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from ... import analyses
from ..query import Query
from ..session import MOST_PATCHES, Session
from ..shelf import Shelved
from ..wire import Arrays, quantized
from .base import Check, picture_of, view


def deepest(session: Session) -> str:
    """The layer that is shown first."""
    return (session.network.spec.deep_layers or tuple(session.layers))[-1]


@view("quick")
def network(session: Session, query: Query, check: Check) -> Arrays:
    """The network: its layers, what a unit of each sees, and what the page may ask about."""
    spec, classifier = session.network.spec, session.classifier
    layers = [
        {
            "name": one.name, "shape": one.shape, "kind": one.kind,
            "field": one.receptive_field._asdict(),
        }
        for one in session.layers.values()
    ]  # fmt: skip
    return Arrays({}, {
        "title": spec.title, "name": session.network.name, "layers": layers,
        "code": session.code[session.network.name],
        "tsne": importlib.util.find_spec("sklearn") is not None,
        "image": session.network.preprocessing.fitted_shape[:2],
        "first": spec.first_layer, "deep": deepest(session),
        "classifier": None if classifier is None else classifier.spec.title,
        "classifierName": None if classifier is None else classifier.name,
        "classifierCode": None if classifier is None else session.code[classifier.name],
        "fills": {
            one.name: analyses.usual_fill(one)
            for one in (session.network, classifier) if one is not None
        },
        "pictures": [{"id": one.id, "name": one.name} for one in session.shelf.named],
        "skipped": [Path(one.path).name for one in session.shelf.skipped],
        "patches": MOST_PATCHES,
    })  # fmt: skip


def classes_of(session: Session, shelved: Shelved, k: int) -> list[dict[str, Any]]:
    """The most probable classes of a picture; none where there is no classifier."""
    classifier = session.classifier
    if classifier is None:
        return []
    probabilities = session.probabilities(shelved.pixels[classifier.name])
    order = np.argsort(-probabilities, kind="stable")[:k].tolist()
    return [
        {"index": i, "name": classifier.label(i), "probability": float(probabilities[i])}
        for i in order
    ]


@view("quick")
def classes(session: Session, query: Query, check: Check) -> Arrays:
    """The most probable classes of a picture."""
    k = query.number("k", 5, least=1, most=1000)
    return Arrays({}, {"classes": classes_of(session, picture_of(session, query), k)})


def maps_of(session: Session, shelved: Shelved, layer: str, *, exact: bool = False) -> Arrays:
    """All channels of a layer in a picture, in bytes; a layer without space has one unit each.

    They are float32 (channels, rows, cols) where they shall be exact.
    """
    session.layer(layer)
    values = session.activations(session.network, shelved.pixels[session.network.name], layer)
    shape = values.shape if values.ndim == 3 else (1, values.size // values.shape[-1])
    channels = np.moveaxis(values.reshape(*shape[:2], values.shape[-1]), 2, 0)
    if exact:
        return Arrays({"maps": channels.astype(np.float32)}, {"layer": layer})
    return Arrays(quantized(channels), {"layer": layer})


@view("quick")
def maps(session: Session, query: Query, check: Check) -> Arrays:
    """All channels of a layer in a picture."""
    exact = query.number("exact", 0, most=1) == 1
    return maps_of(session, picture_of(session, query), query.text("layer"), exact=exact)
