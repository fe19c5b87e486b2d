"""From a picture to a network's input and back: sizes, places, values; whole folders."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_images import CAFFE, TORCHVISION, pixels_of, preprocessings, refusal, scene

import jaxviz
from jaxviz.pictures.decoding import decode
from jaxviz.pictures.preprocessing import Preprocessing, batches
from jaxviz.pictures.preprocessing import preprocess as preprocess_list

sides = st.integers(20, 900)


@given(sides, sides, preprocessings)
def test_the_crop_lies_in_the_picture_and_is_its_middle(height, width, preprocessing):
    crop = preprocessing.crop
    placement = preprocessing.placement(height, width)
    top, left, bottom, right = (
        placement.top,
        placement.left,
        placement.top + placement.row_scale * crop,
        placement.left + placement.col_scale * crop,
    )
    slack = 1e-9 * max(height, width)
    assert -slack <= top < bottom <= height + slack
    assert -slack <= left < right <= width + slack
    assert placement.box((0, 0, crop, crop)) == pytest.approx((top, left, bottom, right))
    # In the middle up to one pixel of the resized picture, and nearly square.
    assert abs((top + bottom) / 2 - height / 2) <= placement.row_scale
    assert abs((left + right) / 2 - width / 2) <= placement.col_scale
    shorter = crop / preprocessing.resize * min(height, width)
    assert bottom - top == pytest.approx(shorter, rel=0.005)
    assert right - left == pytest.approx(shorter, rel=0.005)


@given(sides, sides, preprocessings, st.data())
def test_a_box_carried_to_the_picture_comes_back(height, width, preprocessing, data):
    place = st.integers(0, preprocessing.crop)
    box = tuple(data.draw(place) for _ in range(4))
    placement = preprocessing.placement(height, width)
    rows, cols = placement.box(box)[::2], placement.box(box)[1::2]
    back = [(row - placement.top) / placement.row_scale for row in rows]
    back += [(col - placement.left) / placement.col_scale for col in cols]
    assert back == pytest.approx([box[0], box[2], box[1], box[3]], abs=1e-6)


def test_a_box_beyond_the_edge_is_clipped_to_the_picture():
    placement = TORCHVISION.placement(100, 300)
    assert placement.box((-500, -5000, 500, 5000)) == (0, 0, 100, 300)


@settings(max_examples=25)
@given(sides, sides, preprocessings, st.data())
def test_a_mark_in_the_input_lies_where_the_placement_says(height, width, preprocessing, data):
    placement = preprocessing.placement(height, width)
    crop = preprocessing.crop
    row, col = (data.draw(st.integers(crop // 8, crop - crop // 8)) for _ in range(2))
    # A step in brightness at that place of the picture turns up at that place of the input.
    top, left, *_ = placement.box((row, col, row, col))
    picture = np.zeros((height, width, 3), np.uint8)
    picture[round(top) :, :, 0] = 255
    picture[:, round(left) :, 1] = 255
    fitted = preprocessing.fit(picture)
    assert fitted.shape == preprocessing.input_shape
    assert fitted.dtype == np.uint8
    for axis, wanted, scale in ((0, row, placement.row_scale), (1, col, placement.col_scale)):
        found = (fitted[..., axis].mean(axis=1 - axis) < 127.5).sum()
        assert abs(found - wanted) <= 1 + 0.5 / scale


@pytest.mark.parametrize("height, width", [(256, 256), (256, 400), (333, 256)])
def test_no_resizing_means_a_plain_crop(height, width):
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    wanted = picture[top : top + 224, left : left + 224]
    np.testing.assert_array_equal(TORCHVISION.fit(picture), wanted)


@given(sides, sides, preprocessings, st.integers(0, 255))
def test_a_picture_of_one_color_stays_that_color(height, width, preprocessing, value):
    fitted = preprocessing.fit(np.full((height, width, 3), value, np.uint8))
    assert (fitted == value).all()


@given(pixels_of, preprocessings)
def test_denormalizing_undoes_normalizing_to_the_last_bit(pixels, preprocessing):
    normalized = preprocessing.normalize(pixels)
    assert normalized.dtype == np.float32
    np.testing.assert_array_equal(preprocessing.denormalize(normalized), pixels)


@pytest.mark.parametrize("preprocessing", [TORCHVISION, CAFFE])
def test_all_256_values_survive_the_round_trip(preprocessing):
    every = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    back = preprocessing.denormalize(preprocessing.normalize(every))
    np.testing.assert_array_equal(back, every)


def test_the_mean_color_becomes_zero():
    simple = Preprocessing(8, 8, 2.0, (5.0, 10.0, 15.0), (2.0, 4.0, 5.0))
    pixels = np.array([[[10, 20, 30], [14, 36, 60]]], np.uint8)
    assert simple.normalize(pixels).tolist() == [[[0, 0, 0], [1, 2, 3]]]


def test_the_callers_arrays_are_never_changed(squeezenet):
    rgba = np.dstack([scene(300, 280), np.full((300, 280), 77, np.uint8)])
    for array in (scene(300, 280), rgba, scene(300, 280)[..., 0].copy()):
        before = array.copy()
        array.setflags(write=False)
        decode(array)
        squeezenet.preprocess([array])
        np.testing.assert_array_equal(array, before)
    writable = scene(256, 256)
    fitted = TORCHVISION.fit(writable)
    before = fitted.copy()
    writable[:] = 0
    np.testing.assert_array_equal(fitted, before)


def test_a_list_is_asked_for_where_one_picture_is_given(squeezenet, unchecked):
    for one in (scene(), "cat.jpg", Image.fromarray(scene())):
        with pytest.raises(jaxviz.InputError, match="expected a list"):
            squeezenet.preprocess(one)
    with pytest.raises(jaxviz.InputError, match="at least one"):
        preprocess_list([], TORCHVISION)


@given(st.integers(1, 30), st.integers(1, 12))
def test_batches_cut_and_joined_are_the_whole(number, size):
    values = np.arange(number)
    pieces = list(batches(values, size))
    np.testing.assert_array_equal(np.concatenate(pieces), values)
    assert [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    assert 1 <= len(pieces[-1]) <= size


def test_a_line_break_in_a_file_name_stays_out_of_messages(tmp_path):
    assert "one" in refusal(tmp_path / "one\ntwo.jpg")
