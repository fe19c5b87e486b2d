"""What an explanation asks about: a class or a feature map, by the name that a user gives it."""

import functools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from .._checks import InputError, choice
from .._typing import Score
from ..techniques.activations import activation_maps
from ..techniques.scores.classes import log_probability, logit, probability
from ..techniques.scores.layers import feature_map
from ..techniques.scores.layers import unit as unit_of
from .base import normalized

if TYPE_CHECKING:
    from ..networks.network import Network

_CLASS_SCORES = {
    "log-probability": (log_probability, "drop of log probability (nats)"),
    "probability": (probability, "drop of probability"),
    "logit": (logit, "drop of the raw score"),
}


_PLACE = re.compile(r"(\d{1,9})(?:@(\d{1,9}),(\d{1,9}))?", re.ASCII)


class Target(NamedTuple):
    """A score with its name and the unit of its drop; of a class also its index and probability."""

    score: Score
    name: str
    unit: str
    class_index: int | None = None
    probability: float | None = None


def top_classes(network: "Network", pixels: np.ndarray, *, k: int = 5) -> list[tuple[int, float]]:
    """The `k` most probable classes of a fitted uint8 picture, or all, and their probabilities."""
    found = _probabilities(network, pixels)
    values, indices = _largest(found, k=min(k, len(found)))
    return list(zip(indices.tolist(), values.tolist(), strict=True))


@functools.partial(jax.jit, static_argnames="k")
def _largest(values: Any, *, k: int) -> Any:
    return jax.lax.top_k(values, k)


def _probabilities(network: "Network", pixels: np.ndarray) -> Any:
    layer = network.role("logits")
    return jax.nn.softmax(_activations(network, pixels, layer)[0])


def _activations(network: "Network", pixels: np.ndarray, layer: str) -> Any:
    images = normalized(network, pixels[None])
    return activation_maps(network.apply, network.params, images, layers=layer)[layer]


def find_target(
    network: "Network", asked: str | int | None, pixels: np.ndarray, *, score: str
) -> Target:
    """Find what is asked for: a class by index or name, a map LAYER:CHANNEL, a unit of it @ROW,COL.

    The default is the most probable class of the picture, or where there are no classes, the
    strongest channel of the feature layer. The score of a map is its sum over space; `score` says
    what that of a class is: "log-probability", "probability" or "logit".
    """
    choice(score, "score", _CLASS_SCORES)
    if asked is None and network.spec.logits is None:
        layer = network.role("feature_layer")
        strengths = _activations(network, pixels, layer).sum(axis=(0, 1, 2))
        asked = f"{layer}:{int(strengths.argmax())}"
    if asked is not None and ":" in str(asked):
        layer, _, place = str(asked).rpartition(":")
        matched = _PLACE.fullmatch(place)
        if not matched:
            raise InputError(
                f"target: expected LAYER:CHANNEL or LAYER:CHANNEL@ROW,COL, got {asked!r}"
            )
        channel, row, col = (None if one is None else int(one) for one in matched.groups())
        if row is None:
            return Target(feature_map(layer, channel), str(asked), "drop of the map's sum")
        return Target(unit_of(layer, channel, row, col), str(asked), "drop of the activation")
    index = None if asked is None else network.class_index(asked)
    found = _probabilities(network, pixels)
    index = int(found.argmax()) if index is None else index
    make, unit = _CLASS_SCORES[score]
    made = make(index, layer=network.spec.logits)
    return Target(made, network.label(index), unit, index, float(found[index]))
