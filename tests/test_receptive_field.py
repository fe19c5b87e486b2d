"""Receptive fields against known values and against perturbed pixels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import Array, lax
from random_networks import (
    SETTINGS,
    Network,
    branches,
    convolution,
    networks,
    pooling,
    resampling,
    spatial,
)  # fmt: skip

from jaxviz.draw.maps import map_extent
from jaxviz.incremental.receptive_field import ReceptiveField, receptive_field

# Kernel, stride and padding of caffenet's layers (bvlc_reference_caffenet, deploy.prototxt).
CAFFENET = {
    "conv1": (11, 4, 0),
    "pool1": (3, 2, 0),
    "conv2": (5, 1, 2),
    "pool2": (3, 2, 0),
    "conv3": (3, 1, 1),
    "conv4": (3, 1, 1),
    "conv5": (3, 1, 1),
    "pool5": (3, 2, 0),
}


def caffenet(params: Any, images: Array) -> dict[str, Array]:
    outputs, x = {}, images
    for name, (size, stride, padding) in CAFFENET.items():
        pads = [(padding, padding)] * 2
        if name.startswith("pool"):
            window, strides = (1, size, size, 1), (1, stride, stride, 1)
            x = lax.reduce_window(x, -jnp.inf, lax.max, window, strides, "VALID")
        else:
            kernel = jnp.ones((size, size, 1, 1), jnp.float32)
            numbers = ("NHWC", "HWIO", "NHWC")
            x = lax.conv_general_dilated(x, kernel, [stride] * 2, pads, dimension_numbers=numbers)
        outputs[name] = x
    outputs["fc6"] = x.reshape(len(x), -1) @ jnp.ones((36, 5), jnp.float32)
    return outputs


@pytest.mark.parametrize(
    ("layer", "size", "stride", "offset"),
    [
        ("conv1", 11, 4, 0),
        ("pool1", 19, 8, 0),
        ("conv2", 51, 8, -16),
        ("pool2", 67, 16, -16),
        ("conv3", 99, 16, -32),
        ("conv4", 131, 16, -48),
        ("conv5", 163, 16, -64),
        ("pool5", 195, 32, -64),
    ],
)
def test_caffenet(layer: str, size: int, stride: int, offset: int) -> None:
    field = receptive_field(caffenet, None, (227, 227, 1), layer=layer)
    assert field == ReceptiveField((size,) * 2, (stride,) * 2, (offset,) * 2, (227, 227))


def test_dense_layer_sees_the_whole_image() -> None:
    field = receptive_field(caffenet, None, (227, 227, 1), layer="fc6")
    assert field == ReceptiveField((227, 227), (0, 0), (0, 0), (227, 227))
    assert field.box(0, 0) == (0, 0, 227, 227)


def test_unknown_layer_lists_the_layers() -> None:
    with pytest.raises(ValueError, match=r"unknown name 'conv9'.*valid: conv1, pool1, conv2"):
        receptive_field(caffenet, None, (227, 227, 1), layer="conv9")


def test_box_is_clipped_to_the_image() -> None:
    field = receptive_field(caffenet, None, (227, 227, 1), layer="conv5")
    assert field.box(0, 12) == (-64, 128, 99, 291)
    assert field.box(0, 12, clipped=True) == (0, 128, 99, 227)


def test_rows_and_columns_differ() -> None:
    def apply(params: Any, images: Array) -> dict[str, Array]:
        kernel = jnp.ones((5, 3, 1, 1), jnp.float32)
        numbers = ("NHWC", "HWIO", "NHWC")
        padding = [(2, 0), (0, 1)]
        y = lax.conv_general_dilated(
            images, kernel, (3, 2), padding, rhs_dilation=(1, 2), dimension_numbers=numbers
        )
        return {"conv": y, "transposed": y.swapaxes(1, 2)}

    expected = ReceptiveField((5, 5), (3, 2), (-2, 0), (20, 16))
    assert receptive_field(apply, None, (20, 16, 1), layer="conv") == expected
    assert receptive_field(apply, None, (20, 16, 1), layer="transposed") == expected


def seen_pixels(fun: Any, image_shape: tuple[int, ...]) -> np.ndarray:
    """(h, w, H, W): whether the unit at (h, w) changes with the pixel, for random images."""
    images = np.random.default_rng(0).normal(size=(4, *image_shape)).astype(np.float32)

    def jacobian(image: Array) -> Array:
        return jax.jacobian(lambda image: fun(image[None])[0].sum(-1))(image)

    slopes = jax.device_get(jax.jit(jax.vmap(jacobian))(images))
    return (slopes != 0).any(axis=(0, -1))


def ends_in_a_map(network: Network) -> bool:
    image = np.zeros((1, *network.image_shape), np.float32)
    return jax.eval_shape(network.apply, image)[network.last].ndim == 4


def field_and_pixels(network: Network) -> tuple[ReceptiveField, np.ndarray]:
    """Of the last layer, what we say that its units see, and what they do see."""
    shape, last = network.image_shape, network.last
    field = receptive_field(lambda _, images: network.apply(images), None, shape, layer=last)
    return field, seen_pixels(lambda images: network.apply(images)[last], shape)


@SETTINGS
@given(st.data())
def test_no_unit_sees_more_than_its_field(data: st.DataObject) -> None:
    kinds = (convolution, convolution, pooling, branches, spatial)
    network: Network = data.draw(networks(kinds=kinds, depth=3, with_head=False))
    if not ends_in_a_map(network):
        return
    field, seen = field_and_pixels(network)
    if sum(line.startswith("swap") for line in network.description) % 2:
        seen = seen.swapaxes(0, 1)  # rows and columns of a unit are the image's
    for row, col in np.ndindex(*seen.shape[:2]):
        top, left, bottom, right = field.box(row, col, clipped=True)
        outside = seen[row, col].copy()
        outside[top:bottom, left:right] = False
        assert not outside.any(), (row, col)


@pytest.mark.slow
@SETTINGS
@given(st.data())
def test_fields_behind_larger_maps_are_exact(data: st.DataObject) -> None:
    """Along axes that are not seen whole, and where nothing cancels: cubic weights are signed."""
    network: Network = data.draw(networks(kinds=(resampling,), depth=3, with_head=False))
    if not ends_in_a_map(network) or "cubic" in str(network.description):
        return
    field, seen = field_and_pixels(network)
    for row, col in np.ndindex(*seen.shape[:2]):
        rows, cols = np.nonzero(seen[row, col])
        top, left, bottom, right = field.box(row, col, clipped=True)
        if not len(rows):
            continue
        if field.stride[0]:
            assert (rows.min(), rows.max() + 1) == (top, bottom), (row, col)
        if field.stride[1]:
            assert (cols.min(), cols.max() + 1) == (left, right), (row, col)


def test_a_map_that_is_drawn_larger_and_joined_to_the_image() -> None:
    """As in a U-Net: units see boxes of different sizes, and lie on the pixels they came from."""

    def apply(params: Any, images: Array) -> dict[str, Array]:
        numbers = ("NHWC", "HWIO", "NHWC")
        kernel = jnp.ones((3, 3, 1, 1), jnp.float32)
        x = lax.conv_general_dilated(images, kernel, (2, 2), "SAME", dimension_numbers=numbers)
        x = lax.conv_transpose(x, kernel[:2, :2], (2, 2), "SAME")
        return {"joined": jnp.concatenate([x, images], axis=-1)}

    field = receptive_field(apply, None, (8, 8, 1), layer="joined")
    assert (field.size, field.stride, field.image_size) == ((3, 3), (1, 1), (8, 8))
    assert field.box(0, 1) == (0, 0, 3, 3)
    assert field.box(7, 7, clipped=True) == (6, 6, 8, 8)
    assert map_extent(field, (8, 8)) == pytest.approx((0, 8, 8, 0), abs=1)


def test_fields_are_as_small_as_perturbed_pixels_show() -> None:
    """Positive kernels, so that nothing cancels: the boxes are exact, with branches and gaps."""

    def apply(params: Any, images: Array) -> dict[str, Array]:
        numbers = ("NHWC", "HWIO", "NHWC")

        def conv(x: Array, size: int, stride: int, padding: Any, dilation: int = 1) -> Array:
            return lax.conv_general_dilated(
                x,
                jnp.ones((size, size, 1, 1), jnp.float32),
                (stride, stride),
                padding,
                rhs_dilation=(dilation, dilation),
                dimension_numbers=numbers,
            )

        x = conv(images, 3, 2, [(1, 0), (2, 1)])
        wide = conv(x, 2, 1, [(2, 1), (2, 1)], dilation=3)
        x = x + conv(conv(x, 1, 1, "SAME"), 3, 1, "SAME") + wide
        return {"out": lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 1, 1), "VALID")}

    shape = (21, 24, 1)
    field = receptive_field(apply, None, shape, layer="out")
    seen = seen_pixels(lambda x: apply(None, x)["out"], shape)
    inside = 0
    for row, col in np.ndindex(*seen.shape[:2]):
        rows, cols = np.nonzero(seen[row, col])
        found = (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
        box = field.box(row, col)
        if box == field.box(row, col, clipped=True):
            inside += 1
            assert found == box
    assert inside > 10
