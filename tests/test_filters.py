"""Filter pictures: zero is gray, sign and order are kept, every weight stands where it should."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import jaxviz
from jaxviz import InputError, filter_slices, filter_tiles

weights = st.floats(-4, 4, width=32)
kernels = hnp.array_shapes(min_dims=2, max_dims=2, max_side=4).flatmap(
    lambda sides: hnp.arrays(np.float32, (*sides, 3, 5), elements=weights)
)


@given(kernels, st.sampled_from(["symmetric", "shared"]))
def test_symmetric_scalings_keep_zero_gray_and_the_sign(kernel, scaling):
    tiles = np.asarray(filter_tiles(kernel, scaling=scaling))
    moved = np.moveaxis(kernel, 3, 0)
    assert tiles.min() >= 0 and tiles.max() <= 1
    assert (tiles[moved == 0] == 0.5).all()
    assert (tiles[moved > 0] >= 0.5).all() and (tiles[moved < 0] <= 0.5).all()


@given(kernels)
def test_symmetric_scaling_is_undone_by_each_filters_largest_weight(kernel):
    tiles = np.asarray(filter_tiles(kernel), np.float64)
    largest = np.abs(kernel).max(axis=(0, 1, 2))
    again = (tiles - 0.5) * 2 * largest[:, None, None, None]
    np.testing.assert_allclose(again, np.moveaxis(kernel, 3, 0), atol=1e-5)


@given(kernels)
def test_slices_are_the_channels_of_the_tiles(kernel):
    tiles, slices = filter_tiles(kernel), filter_slices(kernel)
    np.testing.assert_array_equal(np.moveaxis(np.asarray(tiles), 3, 1), slices)


@given(kernels)
def test_range_scaling_reaches_from_zero_to_one(kernel):
    tiles = np.asarray(filter_tiles(kernel, scaling="range"))
    for tile, one in zip(tiles, np.moveaxis(kernel, 3, 0), strict=True):
        ends = (0.5, 0.5) if one.min() == one.max() else (0, 1)
        np.testing.assert_allclose((tile.min(), tile.max()), ends, atol=1e-6)


def test_first_filters_of_alexnet_are_color_pictures():
    kernel = jaxviz.load("alexnet").kernel("conv1")
    tiles = jax.jit(filter_tiles)(kernel)
    assert tiles.shape == (64, 11, 11, 3)
    i = np.unravel_index(np.abs(kernel[..., 7]).argmax(), kernel.shape[:3])
    extreme = 1.0 if kernel[..., 7][i] > 0 else 0.0
    assert float(tiles[7][i]) == pytest.approx(extreme, abs=1e-6)


@pytest.mark.parametrize("scaling", ["symmetric", "shared", "range"])
def test_rounding_leads_no_shipped_filter_out_of_the_range(scaling):
    for name in ("alexnet", "squeezenet", "efficientnet_lite0"):
        network = jaxviz.load(name)
        kernel = network.kernel(network.role("first_layer"))
        for make in (filter_tiles, filter_slices):
            made = make(kernel, scaling=scaling)
            traced = jax.jit(lambda kernel, make=make: make(kernel, scaling=scaling))(kernel)
            for tiles in map(np.asarray, (made, traced)):
                assert tiles.min() >= 0 and tiles.max() <= 1


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        ((3, 3, 64, 8), {}, "filter_slices"),
        ((3, 3, 3), {}, "expected"),
        ((3, 3, 3, 8), {"scaling": "auto"}, "symmetric"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused_in_one_line(shape, options, said):
    with pytest.raises(InputError, match=said) as caught:
        filter_tiles(np.zeros(shape, np.float32), **options)
    assert "\n" not in str(caught.value)
