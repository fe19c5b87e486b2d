"""Scores of classes: before the softmax, and after it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._checks import InputError
from ..._typing import Outputs
from .combined import Combinable, check_index, layer_of


def _class_scores(outputs: Outputs, layer: str | None) -> Any:
    name = list(outputs)[-1] if layer is None else layer
    values = layer_of(outputs, name)
    if values.ndim != 2:
        raise InputError(
            f"class scores: expected (batch, classes), got {name!r} of shape {values.shape}"
        )
    return values


@dataclasses.dataclass(frozen=True)
class _ClassScore(Combinable):
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
            return values.at[:, classes].get(
                mode="fill", fill_value=jnp.nan, wrap_negative_indices=False
            )
        for index in np.atleast_1d(self.index).tolist():
            check_index(values, "class", index, axis=1)
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
