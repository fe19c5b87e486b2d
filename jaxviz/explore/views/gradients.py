"""What of a picture a channel answers to, and which classes it speaks for, by gradients."""

import functools
from typing import Any

import numpy as np

from ..._blur import blurred
from ..._checks import InputError, choice
from ..._typing import Params
from ...networks.network import Network
from ...techniques.gradients.channels import channel_effects
from ...techniques.gradients.plain import deconvolution, gradient, guided_backpropagation
from ...techniques.scores.layers import channel_mean, map_energy, unit
from ..query import Query
from ..session import Session
from ..wire import Arrays
from .base import Check, channel_of, picture_of, view

METHODS = {
    "guided-backpropagation": guided_backpropagation,
    "deconvolution": deconvolution,
    "gradient": gradient,
}
_SIGMA = 4.0  # pixels, as in the Deep Visualization Toolbox


@view("long")
def gradients(session: Session, query: Query, check: Check) -> Arrays:
    """The gradient of a channel by the pixels: in color, in gray, its norm, and that blurred.

    It starts from the whole map, by `jaxviz.map_energy`, or from one unit, the strongest where none
    is named.
    """
    network = session.network
    layer, channel = channel_of(session, query)
    method = choice(query.text("method", "guided-backpropagation"), "method", METHODS)
    origin = choice(query.text("origin", "map"), "origin", ("map", "unit"))
    pixels = picture_of(session, query).pixels[network.name]
    place = _place(session, query, layer, channel, pixels) if origin == "unit" else (0, 0)
    explain = functools.partial(_explained, network, layer, method, origin)
    # The channel and the place are arguments of the program, so all share one.
    values, score = session.run(
        network, ("gradients", layer, method, origin), explain, pixels,
        *np.array([channel, *place], np.int32),
    )  # fmt: skip
    values = np.asarray(values)
    check()
    norm = np.linalg.norm(values, axis=-1)
    colors = values[..., network.preprocessing.rgb_channels]
    header = {"method": method, "origin": origin, "score": float(score)}
    if origin == "unit":
        header |= {"row": place[0], "col": place[1]}
    return Arrays(
        {
            "color": colors.astype(np.float32), "gray": colors.mean(axis=-1).astype(np.float32),
            "norm": norm.astype(np.float32),
            "blurred": np.asarray(blurred(norm[None, ..., None], _SIGMA)[0, ..., 0], np.float32),
        },
        header,
    )  # fmt: skip


@view("long")
def effects(session: Session, query: Query, check: Check) -> Arrays:
    """The classes that a channel raises and lowers most in a picture, and by how much."""
    layer, channel = channel_of(session, query)
    network = session.network
    k = query.number("k", 6, least=1, most=100)
    if network.spec.logits is None:
        raise InputError(f"classes: {network.spec.title} has none")
    logits = network.spec.logits
    pixels = picture_of(session, query).pixels[network.name]

    def explained(params: Params, pixels: Any, channel: Any) -> Any:
        images = network.preprocessing.normalize(pixels[None])
        return channel_effects(
            network.apply, params, images, score=channel_mean(logits), layer=layer, channel=channel
        )[0]

    values = np.asarray(
        session.run(network, ("effects", layer), explained, pixels, np.int32(channel)), np.float32
    )
    order = np.argsort(-values, kind="stable")

    def told(places: np.ndarray) -> list[dict[str, Any]]:
        return [
            {"index": i, "name": network.label(i), "value": float(values[i])}
            for i in places.tolist()
        ]

    return Arrays(
        {"effects": values}, {"raised": told(order[:k]), "lowered": told(order[::-1][:k])}
    )


def _place(
    session: Session, query: Query, layer: str, channel: int, pixels: np.ndarray
) -> tuple[int, int]:
    """The unit that is asked for, or the strongest of the map."""
    shape = session.layer(layer).shape
    if len(shape) not in (1, 3):
        raise InputError(f"origin: {layer} has no maps, its shape is {shape}")
    rows, cols = shape[:2] if len(shape) == 3 else (1, 1)
    if query.text("row", ""):
        return query.number("row", most=rows - 1), query.number("col", most=cols - 1)
    found = session.activations(session.network, pixels, layer).reshape(rows, cols, -1)
    row, col = divmod(int(found[..., channel].argmax()), cols)
    return row, col


def _explained(
    network: Network, layer: str, method: str, origin: str, params: Params, pixels: Any,
    channel: Any, row: Any, col: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """The gradient of one picture, and the score."""
    has_maps = len(network.layers()[layer]) == 3
    if origin == "map":
        score: Any = map_energy(layer, channel)
    elif has_maps:
        score = unit(layer, channel, row, col)
    else:
        score = channel_mean(layer, channel)
    images = network.preprocessing.normalize(pixels[None])
    found = METHODS[method](network.apply, params, images, score=score)
    return found.values[0], found.baseline[0]
