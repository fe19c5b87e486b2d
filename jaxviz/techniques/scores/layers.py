"""Scores of a layer: a feature map, a channel, a unit, a direction."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..._checks import InputError, finite
from ..._typing import Outputs
from .combined import Combinable, check_index, layer_of, whole


def _maps(outputs: Outputs, layer: str, what: str) -> Any:
    values = layer_of(outputs, layer)
    if values.ndim != 4:
        raise InputError(f"{what}: layer {layer!r} has no maps, shape {values.shape}")
    return values


def _with_channels(outputs: Outputs, layer: str, what: str) -> Any:
    values = layer_of(outputs, layer)
    if values.ndim < 2:
        raise InputError(f"{what}: layer {layer!r} has no channels")
    return values


def _channel(values: Any, channel: Any) -> Any:
    """One channel of (batch, channels), or all."""
    if channel is None:
        return values
    check_index(values, "channel", channel, axis=-1)
    if isinstance(channel, jax.core.Tracer):
        return values[:, channel]
    # An array as index, so that all channels share one compiled program.
    return values[:, np.array([channel])][:, 0]


def _place_means(values: Any) -> Any:
    """(batch, channels): the means over all axes between."""
    return values.mean(axis=_places(values))


def _places(values: Any) -> tuple[int, ...]:
    """The axes between the batch and the channels."""
    return tuple(range(1, values.ndim - 1))


@dataclasses.dataclass(frozen=True)
class _FeatureMapScore(Combinable):
    layer: str
    channel: Any

    def __call__(self, outputs: Outputs) -> Any:
        sums = _maps(outputs, self.layer, "feature_map").sum(axis=(1, 2))
        return _channel(sums, self.channel)


def feature_map(layer: str, channel: Any = None) -> _FeatureMapScore:
    """One feature map summed over space, as in Zeiler & Fergus 2014, fig. 7b.

    Without a channel it is each of the layer's: (batch, channels).

    >>> import numpy as np
    >>> float(feature_map("conv5", 0)({"conv5": np.ones((1, 2, 3, 4))})[0])
    6.0
    """
    return _FeatureMapScore(layer, whole(channel, "channel"))


@dataclasses.dataclass(frozen=True)
class _MapEnergyScore(Combinable):
    layer: str
    channel: Any

    def __call__(self, outputs: Outputs) -> Any:
        values = _with_channels(outputs, self.layer, "map_energy")
        return _channel((values**2).sum(axis=_places(values)), self.channel) / 2


def map_energy(layer: str, channel: Any = None) -> _MapEnergyScore:
    """Half the sum of the squared activations of one channel of any layer.

    Its gradient by the map is the map itself, so each unit counts as much as it fires; this is
    where the gradients of Yosinski et al. 2015 (the Deep Visualization Toolbox) start. Without a
    channel it is each of the layer's: (batch, channels).

    >>> import numpy as np
    >>> float(map_energy("conv1", 0)({"conv1": np.array([[[[1.0], [3.0]]]])})[0])
    5.0
    """
    return _MapEnergyScore(layer, whole(channel, "channel"))


@dataclasses.dataclass(frozen=True)
class _ChannelMeanScore(Combinable):
    layer: str
    channel: Any

    def __call__(self, outputs: Outputs) -> Any:
        values = _with_channels(outputs, self.layer, "channel_mean")
        return _channel(_place_means(values), self.channel)


def channel_mean(layer: str, channel: Any = None) -> _ChannelMeanScore:
    """One channel of any layer, the last axis, averaged over its places, as in Olah et al. 2017.

    Without a channel it is each of the layer's: (batch, channels).

    >>> import numpy as np
    >>> channel_mean("tokens")({"tokens": np.arange(6.0).reshape(1, 3, 2)}).tolist()
    [[2.0, 3.0]]
    """
    return _ChannelMeanScore(layer, whole(channel, "channel"))


@dataclasses.dataclass(frozen=True)
class _UnitScore(Combinable):
    layer: str
    channel: Any
    row: Any
    col: Any

    def __call__(self, outputs: Outputs) -> Any:
        values = _maps(outputs, self.layer, "unit")
        row, col = (
            values.shape[axis] // 2 if place is None else place
            for axis, place in ((1, self.row), (2, self.col))
        )
        for axis, (what, index) in enumerate((("row", row), ("col", col)), start=1):
            check_index(values, what, index, axis=axis)
        return _channel(values[:, row, col], self.channel)


def unit(layer: str, channel: Any = None, row: Any = None, col: Any = None) -> _UnitScore:
    """One channel at one position of a layer's map, by default the central one.

    Without a channel it is each of the layer's: (batch, channels).

    >>> import numpy as np
    >>> float(unit("conv1", 1, 0, 2)({"conv1": np.arange(6.0).reshape(1, 1, 3, 2)})[0])
    5.0
    """
    return _UnitScore(layer, *(whole(*one) for one in (
        (channel, "channel"), (row, "row"), (col, "col")
    )))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _DirectionScore(Combinable):
    layer: str
    weights: tuple[float, ...]

    def __call__(self, outputs: Outputs) -> Any:
        values = layer_of(outputs, self.layer)
        if values.shape[-1] != len(self.weights) or values.ndim < 2:
            raise InputError(
                f"direction: layer {self.layer!r} has shape {values.shape}, got "
                f"{len(self.weights)} weights for its channels"
            )
        means = _place_means(values)
        return means @ np.array(self.weights).astype(means.dtype)


def direction(layer: str, weights: Sequence[float]) -> _DirectionScore:
    """A weighted sum of a layer's channels, averaged over its places.

    >>> import numpy as np
    >>> direction("fc6", [1, -2])({"fc6": np.array([[5.0, 2.0]])}).tolist()
    [1.0]
    """
    try:
        given = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        given = np.zeros(())
    if given.ndim != 1 or not given.size:
        raise InputError(f"direction: expected a number for each channel, got {weights!r}")
    return _DirectionScore(layer, tuple(finite(given, "direction").tolist()))
