"""Scores: functions of the outputs dict that return one number for each image, or many.

Two scores with the same arguments are equal, so compiled code is reused. Any function
`outputs -> (batch, ...)` can take their place.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import InputError, unknown
from .._typing import Outputs


def _class_scores(outputs: Outputs, layer: str | None) -> Any:
    name = list(outputs)[-1] if layer is None else layer
    values = _layer(outputs, name)
    if values.ndim != 2:
        raise InputError(
            f"class scores: expected (batch, classes), got {name!r} of shape {values.shape}"
        )
    return values


def _layer(outputs: Outputs, layer: str) -> Any:
    if layer not in outputs:
        raise InputError(f"layer: {unknown(layer, list(outputs), most=80)}")
    if not hasattr(outputs[layer], "shape"):
        raise InputError(f"layer: {layer!r} is no array but {type(outputs[layer]).__name__}")
    return outputs[layer]


def _check_index(values: Any, what: str, index: Any, *, axis: int) -> None:
    """Refuse an index that is not there; a traced one cannot be looked at."""
    if not isinstance(index, jax.core.Tracer) and not 0 <= index < values.shape[axis]:
        raise InputError(f"{what}: expected 0 to {values.shape[axis] - 1}, got {index}")


def _whole(index: Any, what: str) -> Any:
    """An index as an int, or as it is if it is traced."""
    if isinstance(index, jax.core.Tracer):
        return index
    given = np.asarray(index)
    if given.dtype.kind not in "iu" or given.ndim:
        raise InputError(f"{what}: expected a whole number, got {index!r}")
    return int(given)


@dataclasses.dataclass(frozen=True)
class _ClassScore:
    index: Any  # a class, or one for each image; may be traced
    layer: str | None
    kind: str

    def __call__(self, outputs: Outputs) -> Any:
        scores = self._of_classes(outputs)
        if np.ndim(self.index) == 0:
            return scores[:, 0]
        self._check_number(scores.shape[0])
        return jnp.diagonal(scores)

    @property
    def for_every_image(self) -> Callable[[int], Callable[[Outputs], Any]] | None:
        """For a class for each image: how many there are -> a score of all of these classes."""
        return None if np.ndim(self.index) == 0 else self._for_every_image

    def _for_every_image(self, images: int) -> Callable[[Outputs], Any]:
        self._check_number(images)
        return self._of_classes

    def _check_number(self, images: int) -> None:
        number = len(self.index)
        if number != images:
            raise InputError(f"class: expected one, or {images}, one for each image, got {number}")

    def _of_classes(self, outputs: Outputs) -> Any:
        """(batch, classes); NaN for a traced class that the network does not have."""
        values = _class_scores(outputs, self.layer)
        if self.kind == "probability":
            values = jax.nn.softmax(values)
        elif self.kind == "log probability":
            values = jax.nn.log_softmax(values)
        if isinstance(self.index, jax.core.Tracer):
            classes = jnp.atleast_1d(self.index)
            return values.at[:, classes].get(mode="fill", fill_value=jnp.nan)
        for index in np.atleast_1d(self.index).tolist():
            _check_index(values, "class", index, axis=1)
        # An array as index, so that all classes share one compiled program.
        return values[:, np.atleast_1d(self.index)]


def _class_score(index: Any, layer: str | None, kind: str) -> _ClassScore:
    if not isinstance(index, jax.core.Tracer):
        given = np.asarray(index)
        if given.dtype.kind not in "iu" or given.ndim > 1 or not given.size:
            raise InputError(
                f"class: expected a whole number, or one for each image, got {index!r}; "
                "network.class_index knows classes by name"
            )
        index = tuple(given.tolist()) if given.ndim else int(given)
    return _ClassScore(index, layer, kind)


def logit(index: Any, *, layer: str | None = None) -> _ClassScore:
    """The raw score of class `index`, before the softmax.

    `index` is a whole number, or one for each image: a list, an array, or what `jnp.argmax` gives.
    `layer` names the entry that holds the logits, (batch, classes); by default the last one. Name
    it when `apply` was wrapped in `jax.jit`, which sorts the entries of a plain dict.

    >>> import numpy as np
    >>> float(logit(1)({"fc8": np.array([[0.0, 2.0]])})[0])
    2.0
    """
    return _class_score(index, layer, "logit")


def probability(index: Any, *, layer: str | None = None) -> _ClassScore:
    """The softmax probability of class `index`, as in Zeiler & Fergus 2014, fig. 7d.

    >>> import numpy as np
    >>> float(probability(0)({"fc8": np.zeros((1, 4))})[0])
    0.25
    """
    return _class_score(index, layer, "probability")


def log_probability(index: Any, *, layer: str | None = None) -> _ClassScore:
    """The natural logarithm of `probability(index)`, in nats; it does not saturate near 1.

    >>> import numpy as np
    >>> round(float(log_probability(0)({"fc8": np.zeros((1, 4))})[0]), 4)
    -1.3863
    """
    return _class_score(index, layer, "log probability")


@dataclasses.dataclass(frozen=True)
class _FeatureMapScore:
    layer: str
    channel: Any

    def __call__(self, outputs: Outputs) -> Any:
        values = _layer(outputs, self.layer)
        if values.ndim != 4:
            raise InputError(f"feature_map: layer {self.layer!r} has no maps, shape {values.shape}")
        _check_index(values, "channel", self.channel, axis=3)
        return values[..., self.channel].sum(axis=(1, 2))


def feature_map(layer: str, channel: Any) -> _FeatureMapScore:
    """One feature map summed over space, as in Zeiler & Fergus 2014, fig. 7b.

    >>> import numpy as np
    >>> float(feature_map("conv5", 0)({"conv5": np.ones((1, 2, 3, 4))})[0])
    6.0
    """
    return _FeatureMapScore(layer, _whole(channel, "channel"))


@dataclasses.dataclass(frozen=True)
class _UnitScore:
    layer: str
    channel: Any
    row: Any
    col: Any

    def __call__(self, outputs: Outputs) -> Any:
        values = _layer(outputs, self.layer)
        if values.ndim != 4:
            raise InputError(f"unit: layer {self.layer!r} has no maps, shape {values.shape}")
        place = (("row", self.row), ("col", self.col), ("channel", self.channel))
        for axis, (what, index) in enumerate(place, start=1):
            _check_index(values, what, index, axis=axis)
        return values[:, self.row, self.col, self.channel]


def unit(layer: str, channel: Any, row: Any, col: Any) -> _UnitScore:
    """One channel at one position of a layer's map.

    >>> import numpy as np
    >>> float(unit("conv1", 1, 0, 2)({"conv1": np.arange(6.0).reshape(1, 1, 3, 2)})[0])
    5.0
    """
    return _UnitScore(layer, _whole(channel, "channel"), _whole(row, "row"), _whole(col, "col"))
