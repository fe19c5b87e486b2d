"""The figures of views, as the commands draw them, to be saved and printed."""

from collections.abc import Callable

from ... import analyses
from ..._checks import choice
from ...analyses.base import Analysis, Picture
from ...draw import figure_of, svg
from ...networks.network import Network
from ..query import Query
from ..session import Session
from .base import Check, channel_of, picture_of
from .hiding import OcclusionQuery

_MOST = 14  # maps or filters, in rows of five with the picture


def figure(session: Session, name: str, query: Query, check: Check) -> bytes:
    """The figure of a view as an SVG."""
    found = _FIGURES[choice(name, "view", tuple(_FIGURES))](session, query)
    check()
    return svg(figure_of(found))


def _picture(network: Network, session: Session, query: Query) -> Picture:
    shelved = picture_of(session, query)
    return Picture(shelved.name, shelved.pixels[network.name], "", shelved.id)


def _wall(session: Session, query: Query) -> Analysis:
    network = session.network
    one = _picture(network, session, query)
    return analyses.activations(network, one, query.text("layer"), top=_MOST)


def _channel(session: Session, query: Query) -> Analysis:
    layer, channel = channel_of(session, query)
    one = _picture(session.network, session, query)
    return analyses.activations(session.network, one, layer, channels=[channel])


def _hidden(session: Session, query: Query) -> Analysis:
    asked = OcclusionQuery.of(session, query)
    one = _picture(asked.network, session, query)
    return analyses.occlusion(
        asked.network, [one], targets=asked.target, window=asked.window, stride=asked.stride,
        fill=asked.fill, score=asked.score,
    )  # fmt: skip


def _filters(session: Session, query: Query) -> Analysis:
    layer = query.text("layer")
    session.layer(layer)
    return analyses.filters(session.network, layer, top=64, channels=_MOST)


_FIGURES: dict[str, Callable[[Session, Query], Analysis]] = {
    "wall": _wall, "channel": _channel, "hidden": _hidden, "filters": _filters,
}  # fmt: skip
