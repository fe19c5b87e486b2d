"""Linear probes: how well a linear classifier tells labels apart by a layer's features.

Alain & Bengio 2016, "Understanding intermediate layers using linear classifier probes"; Yosinski et
al. 2014, "How transferable are features in deep neural networks?".
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from .._checks import InputError, count, finite, is_finite, type_name
from .._statistics import wilson_interval
from .._typing import Array
from ..cpu.compilation import compiled, evaluate

REGULARIZATIONS = tuple(10.0**power for power in range(-5, 1))
_TOGETHER = 16  # fits at a time
_STEPS = 200  # of L-BFGS, at most
_LEAST = 1e-6  # a fit ends at a step that gains no more of the loss


class LinearProbe(NamedTuple):
    """A linear classifier, and how it does on vectors that it was not fitted to.

    `weights` (dim, classes) and `bias` (classes,) give the logits, `features @ weights + bias`,
    fitted to all vectors. `regularization` is what the squared weights were multiplied by, chosen
    of those whose `losses`, mean negative log likelihoods in nats, were the least.
    `predictions` (num,) are the classes that each vector got from a fit without its fold, and
    without it in the choice of the regularization; `accuracy` is the share of right ones and
    `interval` its 95 % interval (Wilson 1927).
    """

    weights: Any
    bias: Any
    regularization: Any
    losses: Any
    predictions: Any
    accuracy: Any
    interval: Any


def linear_probe(
    features: Float[Array, "num dim"],
    labels: Shaped[Array, " num"],
    *,
    folds: int = 5,
    regularizations: Sequence[float] = REGULARIZATIONS,
) -> LinearProbe:
    """Fit multinomial logistic regression to features, and say how well it predicts the labels.

    It minimizes the mean negative log likelihood plus half the regularization times the squared
    weights, by L-BFGS. The members of a class go to the folds in turn. The regularization is chosen
    by cross-validation, for each fold that is predicted without it. Nothing is random.

    Args:
        features: float vectors, all finite.
        labels: a whole number for each, from 0.
        folds: parts that are predicted each by a fit to the others.
        regularizations: to choose from, in units of the mean squared length of the vectors from
            their mean.

    Raises:
        InputError: any of these is not as above, there is one class only, or a class has one
            member.

    >>> features = np.array([[0.0], [0.1], [0.2], [1.0], [1.1], [1.2]], np.float32)
    >>> found = linear_probe(features, np.array([0, 0, 0, 1, 1, 1]), folds=3)
    >>> found.predictions.tolist(), float(found.accuracy), found.weights.shape
    ([0, 0, 0, 1, 1, 1], 1.0, (1, 2))
    """
    if not hasattr(features, "dtype") or features.ndim != 2 or 0 in features.shape:
        got = getattr(features, "shape", type_name(features))
        raise InputError(f"features: expected an array (num, dim), got {got}")
    finite(features, "features")
    try:
        given = np.asarray(labels)
    except (ValueError, jax.errors.TracerArrayConversionError):  # ragged, or traced
        given = np.zeros(())
    if given.shape != features.shape[:1] or given.dtype.kind not in "iu":
        raise InputError(f"labels: expected {len(features)} whole numbers, one for each vector")
    is_small = given.min() >= 0 and given.max() < len(given)
    members = np.bincount(given) if is_small else np.zeros(1)
    if members.min() < 2 or len(members) < 2:
        raise InputError(
            "labels: expected 0 to the number of classes less one, two classes at least and two "
            f"members of each, got {np.unique(given).tolist()[:20]}"
        )
    folds = count(folds, "folds")
    if not 2 < folds <= members.max():
        raise InputError(f"folds: expected 3 to {members.max()}, the largest class, got {folds}")
    if (
        not np.iterable(regularizations)
        or not len(regularizations)
        or not all(map(is_finite, regularizations))
    ):
        raise InputError(f"regularizations: expected some numbers, got {regularizations!r}")
    strengths = tuple(float(one) for one in regularizations)
    if np.float32(min(strengths)) <= 0:
        raise InputError("regularizations: expected positive numbers")
    fold = np.zeros(len(given), np.int32)
    for label in range(len(members)):
        own = np.flatnonzero(given == label)
        fold[own] = (np.arange(len(own)) + label) % folds
    values = jnp.asarray(features, jnp.promote_types(features.dtype, jnp.float32))
    # Fits of as many vectors share one compiled program, whatever the length of these was.
    reduced = evaluate(_reduced, values)
    fitted = _probe(
        reduced.along, given.astype(np.int32), fold,
        classes=len(members), folds=folds, strengths=strengths,
    )  # fmt: skip
    return evaluate(_restored, fitted, reduced)


@functools.partial(compiled, static_argnames=("classes", "folds", "strengths"), rewrite=False)
def _probe(
    reduced: Any, labels: Any, fold: Any, *, classes: int, folds: int, strengths: tuple[float, ...]
) -> LinearProbe:
    """The probe of vectors along their axes."""
    one_hot = jax.nn.one_hot(labels, classes, dtype=reduced.dtype)
    # Fits without one fold, without each two, and with all, at every strength.
    pairs = [*itertools.combinations(range(folds), 2)]
    left_out = [(one,) for one in range(folds)] + [*pairs, ()]
    kept = jnp.stack([~jnp.isin(fold, np.array(out, np.int32)) for out in left_out])
    # Fits of one strength, which take about as many steps, come together.
    cases = len(left_out) * len(strengths)
    masks = jnp.tile(kept.astype(reduced.dtype), (len(strengths), 1))
    penalties = np.repeat(np.array(strengths, reduced.dtype), len(left_out))

    def fit(case: Any) -> tuple[Any, Any]:
        return _fitted(reduced, one_hot, *case)

    weights, bias = jax.lax.map(
        fit, (masks, jnp.asarray(penalties)), batch_size=min(_TOGETHER, cases)
    )
    logits = jnp.einsum("nd,fdk->fnk", reduced, weights, precision="highest") + bias[:, None]
    logs = jax.nn.log_softmax(logits).reshape(len(strengths), len(left_out), *one_hot.shape)
    logs = logs.swapaxes(0, 1)
    losses = -(logs * one_hot[None, None]).sum(-1)  # (left out, strengths, num)

    def without(*out: int) -> int:
        return left_out.index(tuple(sorted(out)))

    predictions = jnp.zeros(len(labels), jnp.int32)
    for outer in range(folds):
        inner = sum(
            (losses[without(outer, one)] * (fold == one)[None]).sum(axis=1)
            for one in range(folds)
            if one != outer
        )
        chosen = logs[without(outer), _least(inner)].argmax(axis=-1)
        predictions = jnp.where(fold == outer, chosen, predictions)
    total = sum((losses[without(one)] * (fold == one)[None]).sum(axis=1) for one in range(folds))
    best = _least(total)
    place = best * len(left_out) + without()
    right = (predictions == labels).sum()
    return LinearProbe(
        weights[place],
        bias[place],
        jnp.asarray(strengths, reduced.dtype)[best],
        total / len(labels),
        predictions,
        right / len(labels),
        jnp.stack(wilson_interval(right, len(labels))),
    )


def _restored(found: LinearProbe, reduced: "_Reduced") -> LinearProbe:
    """The probe of the vectors themselves."""
    weights = jnp.matmul(reduced.basis, found.weights, precision="highest") / reduced.scale
    return found._replace(
        weights=weights,
        bias=found.bias - (reduced.center @ weights)[0],
        regularization=found.regularization * reduced.scale**2,
    )


def _least(losses: Any) -> Any:
    """The place of the least of some losses, of equal ones the last, the strongest."""
    return len(losses) - 1 - losses[::-1].argmin()


class _Reduced(NamedTuple):
    """Vectors along their principal axes, of which there are no more than vectors.

    `along` are they less their `center`, divided by `scale`; `basis` times weights of these gives
    those of the vectors.
    """

    along: Any
    basis: Any
    center: Any
    scale: Any


def _reduced(values: Any) -> _Reduced:
    num, dim = values.shape
    center = values.mean(axis=0, keepdims=True)
    moved = values - center
    largest = jnp.abs(moved).max()  # whose square may be beyond the type
    largest = jnp.where(largest > 0, largest, 1)
    moved /= largest
    square = (moved**2).sum() / num
    root = jnp.sqrt(jnp.where(square > 0, square, 1))
    moved /= root
    scale = largest * root
    if dim <= num:
        _, axes = jnp.linalg.eigh(jnp.matmul(moved.T, moved, precision="highest"))
        return _Reduced(jnp.matmul(moved, axes, precision="highest"), axes, center, scale)
    squares, axes = jnp.linalg.eigh(jnp.matmul(moved, moved.T, precision="highest"))
    lengths = jnp.sqrt(jnp.maximum(squares, 0))
    is_there = lengths > lengths.max() * np.sqrt(num * jnp.finfo(values.dtype).eps)
    inverse = jnp.where(is_there, 1 / jnp.where(is_there, lengths, 1), 0)
    basis = jnp.matmul(moved.T, axes * inverse[None], precision="highest")
    return _Reduced(axes * jnp.where(is_there, lengths, 0)[None], basis, center, scale)


def _fitted(vectors: Any, one_hot: Any, mask: Any, penalty: Any) -> tuple[Any, Any]:
    """Weights and bias that minimize the loss over the vectors of a mask."""
    import optax

    share = mask / mask.sum()
    # What is optimized are multiples of the weights by which the loss is about as steep each way.
    steepness = (share[:, None] * vectors**2).sum(axis=0) / 4 + penalty
    unit = 1 / jnp.sqrt(steepness)[:, None]

    def loss(fitted: tuple[Any, Any]) -> Any:
        multiples, bias = fitted
        weights = unit * multiples
        logits = jnp.matmul(vectors, weights, precision="highest") + bias[None]
        misses = -(jax.nn.log_softmax(logits) * one_hot).sum(axis=1)
        return (share * misses).sum() + penalty / 2 * (weights**2).sum()

    solver = optax.lbfgs(linesearch=optax.scale_by_zoom_linesearch(max_linesearch_steps=8))
    value_and_grad = optax.value_and_grad_from_state(loss)

    def advance(state: tuple[Any, ...]) -> tuple[Any, ...]:
        fitted, kept, number, before, _ = state
        value, gradient = value_and_grad(fitted, state=kept)
        updates, kept = solver.update(
            gradient, kept, fitted, value=value, grad=gradient, value_fn=loss
        )
        return optax.apply_updates(fitted, updates), kept, number + 1, value, before - value

    def goes_on(state: tuple[Any, ...]) -> Any:
        _, _, number, value, gained = state
        return (number < 2) | ((number < _STEPS) & (gained > _LEAST * value))

    shapes = (vectors.shape[1], one_hot.shape[1]), (one_hot.shape[1],)
    start = tuple(jnp.zeros(shape, vectors.dtype) for shape in shapes)
    nothing = jnp.zeros((), vectors.dtype)
    (multiples, bias), *_ = jax.lax.while_loop(
        goes_on, advance, (start, solver.init(start), 0, nothing, nothing)
    )
    return unit * multiples, bias
