"""The figures of views, as the commands draw them, to be saved and printed."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import analyses
from ..._checks import choice
from ...analyses.base import Picture, number
from ...analyses.collection import ShownPictures, evenly
from ...analyses.picture_map import thumbnail
from ...draw import Row, Tile, figure_of, montage
from ...networks.network import Network
from ..query import Query
from ..session import Session
from .base import Check, channel_of, picture_of
from .hiding import OcclusionQuery
from .neighbors import layout, neighbors

_MOST = 14  # maps or filters, in rows of five with the picture
_MOST_DRAWN = 300  # pictures of a map


def figure(session: Session, name: str, query: Query, check: Check) -> Any:
    """The figure of a view, by matplotlib."""
    made = _FIGURES[choice(name, "view", tuple(_FIGURES))](session, query, check)
    check()
    return made


def _picture(network: Network, session: Session, query: Query) -> Picture:
    shelved = picture_of(session, query)
    return Picture(shelved.name, shelved.pixels[network.name], "", shelved.id)


def _wall(session: Session, query: Query, check: Check) -> Any:
    network = session.network
    one = _picture(network, session, query)
    return figure_of(analyses.activations(network, one, query.text("layer"), top=_MOST))


def _channel(session: Session, query: Query, check: Check) -> Any:
    layer, channel = channel_of(session, query)
    one = _picture(session.network, session, query)
    return figure_of(analyses.activations(session.network, one, layer, channels=[channel]))


def _hidden(session: Session, query: Query, check: Check) -> Any:
    asked = OcclusionQuery.of(session, query)
    one = _picture(asked.network, session, query)
    return figure_of(analyses.occlusion(
        asked.network, [one], targets=asked.target, window=asked.window, stride=asked.stride,
        fill=asked.fill, score=asked.score,
    ))  # fmt: skip


def _neighbors(session: Session, query: Query, check: Check) -> Any:
    picture = picture_of(session, query)
    found = neighbors(session, query, check).header
    layer = found["layer"]
    rows = []
    for title, nearest in [(f"{layer}\ncosine", "features"), ("raw pixels\nEuclidean", "raw")]:
        tiles = [Tile(session.shown(picture), picture.name)]
        for one in found[nearest] or ():
            pixels = session.shown(session.shelf[one["picture"]])
            tiles.append(Tile(pixels, f"{one['name']}\n{number(one['distance'])}"))
        if found[nearest] is not None:
            rows.append(Row(title, tiles))
    title = f"{session.network.spec.title}: the nearest of {found['pictures']} pictures"
    return montage(rows, title=title, separate_first=True)


def _map(session: Session, query: Query, check: Check) -> Any:
    arrays, header = layout(session, query, check)
    numbers = evenly(_MOST_DRAWN, len(header["ids"]))
    small = []
    for one in numbers:
        small.append(thumbnail(session.shown(session.shelf[header["ids"][one]])))
        check()
    nothing = np.zeros((len(small), 6)), np.full(len(small), "")
    return figure_of(analyses.PictureMap(
        session.network.spec.title, header["layer"], header["method"], "",
        np.array(header["names"]), None, arrays["points"], arrays.get("shares"),
        ShownPictures(np.array(numbers), np.stack(small), *nothing),
    ))  # fmt: skip


def _filters(session: Session, query: Query, check: Check) -> Any:
    layer = query.text("layer")
    session.layer(layer)
    return figure_of(analyses.filters(session.network, layer, top=64, channels=_MOST))


_FIGURES: dict[str, Callable[[Session, Query, Check], Any]] = {
    "wall": _wall, "channel": _channel, "hidden": _hidden, "neighbors": _neighbors, "map": _map,
    "filters": _filters,
}  # fmt: skip
