"""One channel in many pictures: what excites it most, and what excites it less."""

from typing import Any

import numpy as np
from PIL import Image

from ... import analyses
from ...analyses.base import channel_titles
from ...analyses.channels import ChannelMaxima
from ...techniques.patches import crop
from ..query import Query
from ..session import MOST_PATCHES, Session
from ..shelf import Shelved
from ..wire import Arrays
from .base import Check, channel_of, picture_of, view


@view("long")
def patches(session: Session, query: Query, check: Check) -> Arrays:
    """The patches that excite a channel most: of a folder that lists them, else of the pictures."""
    layer, channel = channel_of(session, query)
    k = query.number("k", 9, least=1, most=MOST_PATCHES)
    listed = session.listed.get((layer, channel), ())[:k]
    if listed:
        found = [(session.shelf[one.id], one.value, one.row, one.col) for one in listed]
    else:
        maxima, named = session.maxima(layer, check), session.shelf.named
        order = np.argsort(-maxima.values[:, channel], kind="stable")[:k].tolist()
        found = [(named[i], *_strongest(maxima, i, channel)) for i in order]
    units, pixels = [], []
    for one, value, row, col in found:
        check()
        unit, patch = _patch(session, layer, one, row, col)
        pixels.append(patch)
        units.append({**unit, "value": value})
    title = channel_titles(session.network, layer, [channel])[0]
    header = {"units": units, "title": title, "listed": bool(listed)}
    return Arrays({"pixels": np.stack(pixels)}, header)


@view("long")
def spread(session: Session, query: Query, check: Check) -> Arrays:
    """How a channel's maxima spread over the pictures, and a few from each tenth of their range."""
    layer, channel = channel_of(session, query)
    k = query.number("k", 3, least=1, most=9)
    maxima = session.maxima(layer, check)
    found = analyses.tenths(maxima.values[:, channel], k=k)
    places = [
        (tenth, i) for tenth, own in enumerate(found.examples.tolist()) for i in own if i >= 0
    ]
    units, pixels = [], []
    for tenth, i in places:
        value, row, col = _strongest(maxima, i, channel)
        unit, patch = _patch(session, layer, session.shelf.named[i], row, col)
        units.append({**unit, "value": value, "tenth": tenth})
        pixels.append(patch)
    return Arrays(
        {"pixels": np.stack(pixels), "counts": found.counts.astype(np.int32)},
        {"edges": found.edges.tolist(), "units": units, "pictures": len(maxima.values)},
    )


@view("long")
def color(session: Session, query: Query, check: Check) -> Arrays:
    """A channel's map of a picture and of the same in gray, and what color means in all of them."""
    layer, channel = channel_of(session, query)
    network = session.network
    pixels = picture_of(session, query).pixels[network.name]
    gray = analyses.in_gray(network, pixels)
    maps = [
        session.activations(network, one, layer)[..., channel].astype(np.float32)
        for one in (pixels, gray)
    ]
    check()
    in_color = session.maxima(layer, check)
    found = analyses.color_response(in_color, session.maxima_in_gray(layer, check), channel)
    told = {  # JSON has no NaN
        name: value if np.isfinite(value) else None for name, value in found._asdict().items()
    }
    flat = [one if one.ndim == 2 else one.reshape(1, -1) for one in maps]
    return Arrays(
        {"color": flat[0], "gray": flat[1], "pixels": gray},
        {**told, "of": len(in_color.values)},
    )


@view("long")
def tiles(session: Session, query: Query, check: Check) -> Arrays:
    """The patch that excites each channel of a layer most, all of one size."""
    layer, side = query.text("layer"), _side(query)
    maxima = session.maxima(layer, check)
    found, values = [], maxima.values.max(axis=0)
    for channel, i in enumerate(maxima.values.argmax(axis=0).tolist()):
        check()
        _, row, col = _strongest(maxima, i, channel)
        found.append(_square(_patch(session, layer, session.shelf.named[i], row, col)[1], side))
    return Arrays(
        {"pixels": np.stack(found), "values": values.astype(np.float32)}, {"layer": layer}
    )


@view("long")
def images(session: Session, query: Query, check: Check) -> Arrays:
    """The images that were made for channels of a layer, all of one size, and for which."""
    layer, side = query.text("layer"), _side(query)
    channels = [channel for channel in range(session.layer(layer).shape[-1])
                if (layer, channel) in session.made]  # fmt: skip
    found = np.zeros((len(channels), side, side, 3), np.uint8)
    for place, channel in enumerate(channels):
        check()
        pixels = np.asarray(session.made[layer, channel].pixels)
        found[place] = _square(analyses.shown(session.network, pixels), side)
    return Arrays({"pixels": found, "channels": np.array(channels, np.int32)}, {"layer": layer})


def _side(query: Query) -> int:
    return query.number("side", 64, least=8, most=128)


def _square(pixels: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX))


def _strongest(maxima: ChannelMaxima, i: int, channel: int) -> tuple[float, int, int]:
    """A picture's largest activation in a channel, and its unit."""
    fields = maxima.values, maxima.rows, maxima.cols
    value, row, col = (one[i, channel].item() for one in fields)
    return value, row, col


def _patch(
    session: Session, layer: str, one: Shelved, row: int, col: int
) -> tuple[dict[str, Any], np.ndarray]:
    """What a unit sees of a picture: where, and the pixels.

    Along a side where it sees more than the picture, the pixels are all of the picture: what lies
    outside shows nothing.
    """
    box = session.layer(layer).receptive_field.box(row, col)
    shown = session.shown(one)
    height, width = shown.shape[:2]
    (top, bottom), (left, right) = (
        (0, length) if high - low >= length else (low, high)
        for low, high, length in ((box[0], box[2], height), (box[1], box[3], width))
    )
    unit = {"picture": one.id, "name": one.name, "row": row, "col": col, "box": box}
    return unit, crop(shown, (top, left, bottom, right))
