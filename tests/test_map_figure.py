"""A map shows labels, the variance along its axes, and is not emptied by what lies far out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxviz import draw
from jaxviz.analyses.collection import ShownPictures
from jaxviz.analyses.picture_map import THUMBNAIL, PictureMap
from jaxviz.draw.map_figure import drawn_places

pytestmark = pytest.mark.once


def map_of(points, labels=None, method="pca"):
    number = len(points)
    shown = ShownPictures(
        numbers=np.arange(number),
        pixels=np.zeros((number, THUMBNAIL, THUMBNAIL, 3), np.uint8),
        placements=np.zeros((number, 6)),
        sha256=np.array(["0"] * number),
    )
    return PictureMap(
        "AlexNet", "pool5", method, "folder", np.array([f"{i}.png" for i in range(number)]),
        None if labels is None else np.array(labels), np.asarray(points, np.float32),
        np.array([0.61, 0.07], np.float32) if method == "pca" else None, shown,
    )  # fmt: skip


def texts(figure):
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    (axes,) = figure.axes
    return figure._suptitle.get_text(), axes.get_xlabel(), axes.get_ylabel(), legends


POINTS = np.random.default_rng(0).normal(size=(40, 2))


def test_the_axes_name_their_share_of_the_variance():
    title, x, y, legend = texts(draw.figure_of(map_of(POINTS)))
    assert title == "AlexNet pool5: 40 pictures by principal components"
    assert (x, y) == (
        "first principal component, 61% of the variance",
        "second principal component, 7% of the variance",
    )
    assert legend == []
    title, x, y, _ = texts(draw.figure_of(map_of(POINTS, method="tsne")))
    assert (title, x, y) == ("AlexNet pool5: 40 pictures by t-SNE", "", "")


def test_labels_have_colors_and_a_legend():
    labels = [f"label {i}" for i in range(9)] * 4 + ["rare"] * 3 + ["ねこ"]
    _, _, _, legend = texts(draw.figure_of(map_of(POINTS, labels)))
    assert legend == [f"label {i} (4)" for i in range(9)] + ["2 other labels"]
    figure = draw.figure_of(map_of([[0, 0], [1, 1]], ["left", "right"]))
    canvas = figure.axes[0].images[0].get_array()
    side = len(canvas)
    assert tuple(canvas[side - 1, 0]) == (31, 119, 180)  # the first of matplotlib's ten colors
    assert tuple(canvas[0, side - 1]) == (255, 127, 14)


def test_one_outlier_does_not_empty_the_map():
    points = np.concatenate([POINTS, [[1e6, 0]]])
    title, *_ = texts(draw.figure_of(map_of(points)))
    assert title.endswith("; 1 at the border lie farther out")
    inside, far = drawn_places(points)
    assert far == 1
    assert np.ptp(inside[:-1], axis=0).min() > 0.5


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_all_points_are_on_the_map_in_their_order(points):
    points = np.array(points)
    inside, far = drawn_places(points)
    assert ((inside >= 0) & (inside <= 1)).all()
    for axis in (0, 1):
        order = np.argsort(points[:, axis], kind="stable")
        assert (np.diff(inside[order, axis]) >= 0).all()
    assert 0 <= far <= len(points) // 2


def test_a_heavy_tail_stays_on_the_map():
    """Of 250 points of a Cauchy distribution, many far out, at most three a side are moved."""
    points = np.random.default_rng(0).standard_cauchy((250, 2))
    assert drawn_places(points)[1] <= 4 * 3
