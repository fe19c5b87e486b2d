"""The pictures nearest to one, and a map of all of them."""

from typing import Any, NamedTuple

import numpy as np

from ..._checks import choice
from ...analyses.picture_map import METHODS
from ...draw.map_figure import drawn_places
from ...techniques.embedding import principal_components, t_sne
from ...techniques.neighbors.nearest import nearest_neighbors
from ..query import Query
from ..session import Session
from ..wire import Arrays
from .base import Check, picture_of, view


class Collection(NamedTuple):
    """Pictures by their ids and names, with one layer's features."""

    layer: str
    ids: list[str]
    names: list[str]
    vectors: Any


def collection_of(session: Session, query: Query) -> Collection:
    """The pictures of a features folder with its layer, else the named ones with the asked one."""
    stored = session.stored
    if stored is not None:
        names = [path.stem for path in stored.paths]
        return Collection(stored.manifest["layer"], session.stored_ids, names, stored.vectors)
    layer, named = query.text("layer"), session.shelf.named
    vectors = session.features(layer)
    return Collection(layer, [one.id for one in named], [one.name for one in named], vectors)


@view("long")
def neighbors(session: Session, query: Query, check: Check) -> Arrays:
    """The pictures nearest to one, by a layer's features and by raw pixels."""
    k = query.number("k", 8, least=1, most=64)
    network, picture = session.network, picture_of(session, query)
    among = collection_of(session, query)
    check()
    pixels = picture.pixels[network.name]
    own = session.activations(network, pixels, among.layer).reshape(1, -1)
    sides = [("features", own, among.vectors, "cosine")]
    raw = session.raw_pixels
    if raw is not None:
        sides.append(("raw", pixels.reshape(1, -1).astype(np.float32), raw, "euclidean"))
    header: dict[str, Any] = {"layer": among.layer, "pictures": len(among.ids), "raw": None}
    for name, one, many, metric in sides:
        nearest = nearest_neighbors(one, many, k=min(k + 1, len(many)), metric=metric)
        pairs = zip(nearest.indices[0].tolist(), nearest.distances[0].tolist(), strict=True)
        others = [(i, distance) for i, distance in pairs if among.ids[i] != picture.id][:k]
        header[name] = [
            {"picture": among.ids[i], "name": among.names[i], "distance": distance}
            for i, distance in others
        ]
    return Arrays({}, header)


@view("long")
def layout(session: Session, query: Query, check: Check) -> Arrays:
    """All pictures as points in the plane, alike ones close together.

    `places` are the points from 0 to 1, as they are drawn. With principal components there are also
    the shares of the variance along both.
    """
    among = collection_of(session, query)
    check()
    method = choice(query.text("method", "pca"), "method", METHODS)
    key = method, among.layer

    def arrays() -> tuple[dict[str, np.ndarray], int]:
        if method == "pca":
            found, shares = principal_components(among.vectors, k=2)
            others = {"shares": np.asarray(shares, np.float32)}
        else:
            found, others = t_sne(among.vectors), {}
        points = np.asarray(found, np.float32)
        places, moved = drawn_places(points)
        return {"points": points, "places": places.astype(np.float32), **others}, moved

    found, moved = session.kept.get("layouts", key, arrays)
    return Arrays(found, {
        "layer": among.layer, "method": method, "ids": among.ids, "names": among.names,
        "moved": moved,
    })  # fmt: skip
