"""Linear probes: against scikit-learn, whatever the vectors' number, and what they refuse."""

import jax
import numpy as np
import pytest
from conftest import refusal
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict

import jaxviz

DIGITS = load_digits()


def digits(num, dim=64, seed=0):
    """Digits with four kinds of labels; of more than 64 numbers each where that is asked for."""
    chosen = np.flatnonzero(DIGITS.target < 4)[:num]
    vectors = DIGITS.data[chosen].astype(np.float32) / 16
    if dim > 64:
        random = np.random.default_rng(seed).normal(size=(64, dim)).astype(np.float32)
        vectors = np.maximum(vectors @ random / 8, 0)
    return vectors, DIGITS.target[chosen]


def folds_of(labels, number=5):
    """Members of a class go to the folds in turn."""
    fold = np.zeros(len(labels), int)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        fold[own] = (np.arange(len(own)) + label) % number
    return fold


@pytest.mark.parametrize(("num", "dim"), [(200, 64), (60, 300)])
def test_it_is_scikit_learns_logistic_regression(num, dim):
    vectors, labels = digits(num, dim)
    found = jaxviz.linear_probe(vectors, labels, regularizations=[0.01])
    strength = 1 / (float(found.regularization) * num)
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000)
    model.fit(vectors.astype(np.float64), labels)
    largest = np.abs(model.coef_).max()
    np.testing.assert_allclose(found.weights, model.coef_.T, atol=0.01 * largest)
    ours = np.asarray(jax.nn.softmax(vectors @ found.weights + found.bias))
    np.testing.assert_allclose(ours, model.predict_proba(vectors), atol=0.005)
    split = PredefinedSplit(folds_of(labels))
    predicted = cross_val_predict(
        LogisticRegression(C=1 / (float(found.regularization) * 0.8 * num), max_iter=10_000),
        vectors, labels, cv=split,
    )  # fmt: skip
    low, high = found.interval
    assert low - 1e-6 <= (predicted == labels).mean() <= high + 1e-6
    assert (found.predictions == predicted).mean() > 0.98


@pytest.mark.slow
def test_the_regularization_that_predicts_best_is_chosen():
    vectors, labels = digits(120)
    noise = np.random.default_rng(0).normal(size=(120, 400)).astype(np.float32)
    found = jaxviz.linear_probe(np.concatenate([vectors, noise], axis=1), labels)
    assert found.losses.shape == (6,)
    clean = jaxviz.linear_probe(vectors, labels)
    assert clean.losses.argmin() < found.losses.argmin()
    assert clean.losses.min() < found.losses.min()


def test_labels_that_say_nothing_are_guessed_by_chance():
    vectors, labels = digits(120)
    found = jaxviz.linear_probe(vectors, np.random.default_rng(0).permutation(labels))
    low, high = found.interval
    assert low < 0.25 < high


@pytest.mark.parametrize("factor", [1e-30, 1e-8, 1e12, 1e30])
def test_the_unit_of_the_features_changes_nothing(factor):
    vectors, labels = digits(40, 20)
    plain = jaxviz.linear_probe(vectors, labels)
    scaled = jaxviz.linear_probe(vectors * np.float32(factor), labels)
    np.testing.assert_array_equal(plain.predictions, scaled.predictions)
    np.testing.assert_allclose(plain.losses, scaled.losses, rtol=0.05)


def test_a_rotation_and_a_shift_change_nothing():
    vectors, labels = digits(80, 200)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(200, 200)))
    plain = jaxviz.linear_probe(vectors, labels)
    moved = jaxviz.linear_probe((vectors @ turn + 3).astype(np.float32), labels)
    np.testing.assert_array_equal(plain.predictions, moved.predictions)
    np.testing.assert_allclose(plain.losses, moved.losses, rtol=0.02)


def test_under_jit_and_again_it_is_the_same():
    vectors, labels = digits(60)
    plain = jaxviz.linear_probe(vectors, labels)
    again = jaxviz.linear_probe(vectors, labels)
    for one, other in zip(plain, again, strict=True):
        np.testing.assert_array_equal(one, other)
    jitted = jax.jit(lambda vectors: jaxviz.linear_probe(vectors, labels))(vectors)
    np.testing.assert_array_equal(plain.predictions, jitted.predictions)
    answers = [np.asarray(jax.nn.softmax(vectors @ x.weights + x.bias)) for x in (plain, jitted)]
    np.testing.assert_allclose(*answers, atol=0.01)


def test_vectors_that_are_all_the_same_give_the_largest_class():
    found = jaxviz.linear_probe(np.ones((9, 3), np.float32), np.array([0] * 6 + [1] * 3))
    assert np.isfinite(found.losses).all()
    assert found.predictions.tolist() == [0] * 9


@pytest.mark.parametrize(
    ("features", "labels", "options", "message"),
    [
        (np.ones(6), [0, 0, 0, 1, 1, 1], {}, "features: expected an array (num, dim)"),
        (np.full((6, 1), np.nan), [0, 0, 0, 1, 1, 1], {}, "features: expected finite numbers"),
        (np.ones((6, 1)), [0, 0, 0, 1, 1], {}, "labels: expected 6 whole numbers"),
        (np.ones((6, 1)), [0.0] * 6, {}, "labels: expected 6 whole numbers"),
        (np.ones((6, 1)), [0] * 6, {}, "two classes at least"),
        (np.ones((6, 1)), [0, 0, 0, 0, 0, 1], {}, "two members of each"),
        (np.ones((6, 1)), [0, 0, 0, 2, 2, 2], {}, "got [0, 2]"),
        (np.ones((6, 1)), [-1, -1, 0, 0, 0, 0], {}, "got [-1, 0]"),
        (np.ones((6, 1)), [0, 0, 0, 1, 1, 1], {"folds": 4}, "folds: expected 3 to 3"),
        (np.ones((6, 1)), [0, 0, 0, 1, 1, 1], {"folds": 2}, "folds: expected 3 to 3"),
        (
            np.ones((6, 1)), [0, 0, 0, 1, 1, 1], {"folds": 3, "regularizations": [0]},
            "regularizations: expected positive numbers",
        ),
        (
            np.ones((6, 1)), [0, 0, 0, 1, 1, 1], {"folds": 3, "regularizations": 1.0},
            "regularizations: expected some numbers",
        ),
        (
            np.ones((6, 1)), [0, 0, 0, 1, 1, 1], {"folds": 3, "regularizations": []},
            "regularizations: expected some numbers",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_one_line(features, labels, options, message, unchecked):
    features = np.asarray(features, np.float32)
    assert message in refusal(jaxviz.linear_probe, features, np.array(labels), **options)


def test_lists_of_several_lengths_and_traced_labels_are_one_line(unchecked):
    vectors, labels = digits(20, 4)
    assert "got list" in refusal(jaxviz.linear_probe, [[1.0, 2.0], [3.0]], labels)
    said = "labels: expected 20 whole numbers"
    assert said in refusal(jaxviz.linear_probe, vectors, [[0], [1, 1]])
    assert said in refusal(jax.jit(jaxviz.linear_probe), vectors, labels)
