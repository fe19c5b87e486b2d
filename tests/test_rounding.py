"""Occlusion with precision="bfloat16": what a window changes is rounded before it is multiplied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxviz
from jaxviz import InputError
from jaxviz.cpu import policy
from jaxviz.incremental import evaluation, windowed_outputs

TOPS, LEFTS, WINDOW = [0, 2, 5, 8], [7, 0, 3, 6], (4, 3)
SHAPE = (12, 10, 4)


@pytest.fixture(autouse=True, params=["spread", "read"])
def everything_is_rounded(request, monkeypatch):
    """Small kernels too, on any processor, and where a change is spread or is not."""
    monkeypatch.setattr(policy, "bfloat16_pays", lambda terms, numbers: True)
    spreads = request.param == "spread"
    monkeypatch.setattr(policy, "_LEAST_SPREAD_KERNEL", 1 if spreads else 1 << 30)
    jax.clear_caches()
    yield spreads
    jax.clear_caches()


def whole_numbers(*shape, most=3):
    """None is zero, so that no matrix of them is taken for one that resizes."""
    rng = np.random.default_rng(sum(shape))
    return (rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


NUMBERS = ("NHWC", "HWIO", "NHWC")


def convolution(*shape, strides=(1, 1), numbers=NUMBERS, **options):
    kernel = whole_numbers(*shape)
    return lambda x: lax.conv_general_dilated(
        x, kernel, strides, "SAME", dimension_numbers=numbers, **options
    )


def channels_first(x):
    layer = convolution(5, 4, 3, 3, numbers=("NCHW", "OIHW", "NCHW"))
    return layer(x.transpose(0, 3, 1, 2))


LINEAR = {
    "3x3": convolution(3, 3, 4, 5),
    "5x5": convolution(5, 5, 4, 2),
    "1x1": convolution(1, 1, 4, 6),
    "1x1 by steps": convolution(1, 1, 4, 6, strides=(2, 3)),
    "by steps": convolution(3, 3, 4, 5, strides=(2, 1)),
    "dilated": convolution(3, 3, 4, 5, rhs_dilation=(2, 1)),
    "in groups": convolution(3, 3, 2, 6, feature_group_count=2),
    "each channel": convolution(3, 3, 1, 4, feature_group_count=4),
    "channels first": channels_first,
    "transposed": lambda x: lax.conv_transpose(x, whole_numbers(3, 3, 4, 5), (2, 2), "SAME"),
    "transposed by one tap": lambda x: lax.conv_transpose(
        x, whole_numbers(1, 1, 4, 5), (2, 2), "SAME"
    ),
    "one tap between zeros": lambda x: lax.conv_general_dilated(
        x, whole_numbers(1, 1, 4, 5), (1, 1), ((1, 0), (0, 2)), (2, 1), None, NUMBERS
    ),
    "dense": lambda x: x.reshape(1, -1) @ whole_numbers(480, 7),
    "channels mixed": lambda x: x @ whole_numbers(4, 7),
    "matrix by rows": lambda x: jnp.einsum("bhwc,dc->bhwd", x, whole_numbers(7, 4)),
    "matrix first": lambda x: jnp.einsum("dc,bhwc->bdhw", whole_numbers(7, 4), x),
}


ROUNDED = {"1x1", "1x1 by steps", "dense", "channels mixed", "matrix by rows"}
SPREAD = {"3x3", "5x5", "dilated", "in groups", "channels first"}


def outputs(layer, image, **options):
    found = windowed_outputs(layer, image, 0.0, TOPS, LEFTS, window=WINDOW, **options)
    return np.asarray(found.clean), np.asarray(found.outputs)


def whole_passes(layer, image):
    images = np.repeat(image[None], len(TOPS), axis=0)
    for one, top, left in zip(images, TOPS, LEFTS, strict=True):
        one[top : top + WINDOW[0], left : left + WINDOW[1]] = 0
    return np.stack([np.asarray(layer(one[None])) for one in images])


@pytest.mark.parametrize("layer", LINEAR.values(), ids=LINEAR)
def test_small_whole_numbers_are_multiplied_exactly(layer):
    image = whole_numbers(*SHAPE, most=9)
    clean, found = outputs(layer, image, rounded=True)
    np.testing.assert_array_equal(clean, layer(image[None]))
    np.testing.assert_array_equal(found, whole_passes(layer, image))


@pytest.mark.parametrize("name", LINEAR)
def test_the_error_is_a_share_of_the_change(name, everything_is_rounded):
    """Of large numbers that a window leaves as they are nothing is lost."""
    layer = LINEAR[name]
    image = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    image[:, :, 1] += 1000.0  # hidden by some windows, in part
    image[0, :7] = 1e4  # hidden by none
    exact = whole_passes(layer, image)
    clean, found = outputs(layer, image, rounded=True)
    np.testing.assert_allclose(clean, outputs(layer, image)[0], rtol=1e-5, atol=1e-3)
    changes = np.abs(exact - clean)
    assert np.abs(found - exact).max() < 0.01 * changes.max()
    if name in ROUNDED or (everything_is_rounded and name in SPREAD):
        assert np.abs(found - exact).max() > 1e-5 * changes.max()  # it is rounded


def wavy(params, images):
    kernel, matrix = params
    maps = lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=NUMBERS)
    maps = jax.nn.relu(maps)
    return {"maps": maps, "logits": jax.nn.relu(maps.reshape(len(images), -1)) @ matrix}


PARAMS = tuple(
    np.random.default_rng(2).normal(size=shape).astype(np.float32) / 10
    for shape in ((3, 3, 4, 8), (960, 5))
)
IMAGES = np.random.default_rng(3).normal(size=(2, *SHAPE)).astype(np.float32)
HOW = {"score": jaxviz.logit(2), "window": 4, "stride": 3, "fill": 0.5}


def test_a_map_is_off_by_a_small_share_of_its_range():
    exact = jaxviz.occlusion_map(wavy, PARAMS, IMAGES, **HOW)
    found = jaxviz.occlusion_map(wavy, PARAMS, IMAGES, **HOW, precision="bfloat16")
    np.testing.assert_allclose(found.baseline, exact.baseline, rtol=1e-5)
    off = np.abs(np.asarray(found.heatmap) - exact.heatmap).max() / np.ptp(exact.heatmap)
    assert 1e-6 < off < 0.01


def test_all_maps_of_a_series_are_rounded_alike():
    *_, (_, last) = jaxviz.progressive_occlusion(wavy, PARAMS, IMAGES, **HOW, precision="bfloat16")
    found = jaxviz.occlusion_map(wavy, PARAMS, IMAGES, **HOW, precision="bfloat16")
    np.testing.assert_allclose(last.scores, found.scores, rtol=1e-4)
    given = {"fills": np.stack([IMAGES[::-1]] * 3), "key": jax.random.key(0)}
    how = {key: value for key, value in HOW.items() if key != "fill"} | given
    one, other = (
        jaxviz.occlusion_statistics(wavy, PARAMS, IMAGES, **how, precision=precision)
        for precision in (None, "bfloat16")
    )
    assert 1e-6 < np.abs(one.heatmap - other.heatmap).max() / np.ptp(one.heatmap) < 0.01


@pytest.mark.compiled
def test_nothing_is_rounded_in_a_jit_of_ones_own():
    """There no one can look at whether too much is hidden."""

    def heatmap(precision):
        def of(images):
            return jaxviz.occlusion_map(wavy, PARAMS, images, **HOW, precision=precision).heatmap

        return of

    plain, rounded = (jax.jit(heatmap(precision))(IMAGES) for precision in (None, "bfloat16"))
    np.testing.assert_array_equal(plain, rounded)


def test_where_nothing_is_rounded_no_other_program_is_made(monkeypatch):
    monkeypatch.setattr(policy, "bfloat16_pays", lambda terms, numbers: False)
    monkeypatch.setattr(evaluation, "_evaluate_rounded", None)
    plain, rounded = (
        jaxviz.occlusion_map(wavy, PARAMS, IMAGES, **HOW, precision=precision).scores
        for precision in (None, "bfloat16")
    )
    np.testing.assert_array_equal(plain, rounded)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("hidden", [1e4, np.inf])
def test_the_error_of_what_a_window_hides_is_not_left_behind(size, hidden):
    """The first layer's change is huge, and the score's is not."""
    first, second = np.abs(whole_numbers(1, 1, 4, 6)), convolution(size, size, 6, 5)

    def network(x):
        return jnp.tanh(second(jnp.where(x > 9, hidden, x) @ first[0, 0]) / 50)

    image = np.random.default_rng(6).normal(size=SHAPE).astype(np.float32)
    image[2, 9] = 10
    with jax.debug_nans(False), jax.debug_infs(False):
        exact, found = whole_passes(network, image), outputs(network, image, rounded=True)[1]
    there = np.isfinite(exact)
    assert there[0].all()  # which hides what is huge
    assert np.abs(found - exact)[there].max() < 0.01


@pytest.mark.parametrize("precision", ["highest", lax.DotAlgorithmPreset.F32_F32_F32])
def test_a_network_that_asks_for_a_precision_gets_it(precision):
    layer = LINEAR["1x1"] if precision == "highest" else lambda x: x
    matrix = np.random.default_rng(7).normal(size=(SHAPE[2], 7)).astype(np.float32)

    def network(x):
        with jax.default_matmul_precision("highest"):
            x = layer(x)
        return jnp.dot(x[..., :4], matrix, precision=precision)

    image = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
    plain, rounded = (outputs(network, image, rounded=one)[1] for one in (False, True))
    np.testing.assert_allclose(plain, rounded, rtol=1e-5, atol=1e-5)


def test_numbers_of_other_types_are_not_rounded():
    layer = LINEAR["1x1"]

    def network(x):
        return layer(x.astype(jnp.float16).astype(jnp.float32)).astype(jnp.float16)

    def halves(x):
        return (x.astype(jnp.float16) @ jnp.ones((4, 4), jnp.float16)).astype(jnp.float32)

    image = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
    np.testing.assert_array_equal(
        outputs(halves, image)[1], outputs(halves, image, rounded=True)[1]
    )
    assert (outputs(network, image)[1] != outputs(network, image, rounded=True)[1]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float16"}, "precision: unknown name 'float16'; valid: bfloat16"),
        ({"precision": "bfloat16", "method": "full"}, "precision: expected None for method='full'"),
    ],
)
def test_what_cannot_be_rounded_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        jaxviz.occlusion_map(wavy, PARAMS, IMAGES, **HOW, **options)
    with pytest.raises(InputError, match=message):
        next(jaxviz.progressive_occlusion(wavy, PARAMS, IMAGES, **HOW, **options))
