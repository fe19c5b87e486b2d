"""Sums and differences of scores, and what all scores check."""

import dataclasses
from typing import Any

import jax
import numpy as np

from ..._checks import InputError, is_finite, unknown
from ..._contract import scores_from
from ..._typing import Outputs, Score


class Combinable:
    """A score that can be added to another, subtracted from it, and multiplied by a number."""

    def __call__(self, outputs: Outputs) -> Any:
        """(batch, ...)."""
        raise NotImplementedError

    def __add__(self, other: Score) -> "_Sum":
        return _Sum((*_terms(self), *_terms(other)))

    def __radd__(self, other: Any) -> Any:
        return self if other == 0 else _Sum((*_terms(other), *_terms(self)))  # sum() begins with 0

    def __sub__(self, other: Score) -> "_Sum":
        return self + -1 * _Sum(_terms(other))

    def __rsub__(self, other: Any) -> "_Sum":
        return -1 * self + other

    def __mul__(self, factor: float) -> "_Sum":
        if not is_finite(factor):
            raise InputError(f"score: can be multiplied by a number, got {str(factor)[:60]}")
        return _Sum(tuple((factor * weight, one) for weight, one in _terms(self)))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "_Sum":
        if not is_finite(divisor) or divisor == 0:
            raise InputError(f"score: can be divided by a number but 0, got {str(divisor)[:60]}")
        return self * (1 / divisor)

    def __neg__(self) -> "_Sum":
        return -1 * self


@dataclasses.dataclass(frozen=True)
class _Sum(Combinable):
    terms: tuple[tuple[float, Any], ...]

    def __call__(self, outputs: Outputs) -> Any:
        found = [weight * scores_from(score, outputs) for weight, score in self.terms]
        shapes = {one.shape for one in found}
        if len(shapes) > 1:
            raise InputError(f"score: a sum of scores of shapes {sorted(shapes)}")
        return sum(found[1:], found[0])

    @property
    def layer(self) -> str | None:
        """The layer of all terms, if it is one."""
        layers = {getattr(score, "layer", None) for _, score in self.terms}
        return layers.pop() if len(layers) == 1 else None


def _terms(score: Any) -> tuple[tuple[float, Any], ...]:
    if isinstance(score, _Sum):
        return score.terms
    if not callable(score):
        raise InputError(f"score: can be added to a score, got {score!r}")
    if getattr(score, "for_every_image", None) is not None:
        raise InputError("score: a class for each image cannot be added or multiplied")
    return ((1, score),)


def layer_of(outputs: Outputs, layer: str) -> Any:
    """The activations of a layer, which must be there."""
    if layer not in outputs:
        raise InputError(f"layer: {unknown(layer, list(outputs), most=80)}")
    if not hasattr(outputs[layer], "shape"):
        raise InputError(f"layer: {layer!r} is no array but {type(outputs[layer]).__name__}")
    return outputs[layer]


def check_index(values: Any, what: str, index: Any, *, axis: int) -> None:
    """Refuse an index that is not there; a traced one cannot be looked at."""
    if not isinstance(index, jax.core.Tracer) and not 0 <= index < values.shape[axis]:
        raise InputError(f"{what}: expected 0 to {values.shape[axis] - 1}, got {index}")


def whole(index: Any, what: str) -> Any:
    """An index as an int, or as it is if it is traced, or None."""
    if index is None or isinstance(index, jax.core.Tracer):
        return index
    given = np.asarray(index)
    if given.dtype.kind not in "iu" or given.ndim:
        raise InputError(f"{what}: expected a whole number, got {index!r}")
    return int(given)
