"""Incremental evaluation equals whole forward passes."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from random_networks import (
    SETTINGS,
    Network,
    Occlusion,
    convolution,
    networks,
    occlusions,
    pointwise,
    pooling,
    resampling,
)

from jaxviz.cpu import policy, spreading
from jaxviz.incremental import planning
from jaxviz.incremental.evaluation import windowed_outputs
from jaxviz.incremental.explanation import explain
from jaxviz.jaxpr.recording import record


def occluded(image: np.ndarray, occlusion: Occlusion) -> np.ndarray:
    """(positions, H, W, C), by plain NumPy."""
    fill = np.broadcast_to(np.asarray(occlusion.fill, np.float32), image.shape)
    images = np.repeat(image[None], len(occlusion.tops), axis=0)
    height, width = occlusion.window
    for one, top, left in zip(images, occlusion.tops, occlusion.lefts, strict=True):
        box = slice(top, top + height), slice(left, left + width)
        one[box] = fill[box]
    return images


def full_outputs(fun: Any, images: np.ndarray) -> Any:
    return jax.device_get(jax.jit(jax.vmap(lambda image: fun(image[None])))(images))


def assert_close(actual: Any, expected: Any) -> None:
    """Equal within float32 round-off relative to the largest activation."""
    for one, two in zip(
        jax.tree.leaves(jax.device_get(actual)), jax.tree.leaves(expected), strict=True
    ):
        assert one.shape == two.shape
        scale = max(1.0, float(np.max(np.abs(two))))
        np.testing.assert_allclose(one, two, rtol=2e-5, atol=2e-5 * scale)


def random_image(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pays for large networks only, so that small ones use it: groups, spread changes."""
    monkeypatch.setattr(policy, "_LEAST_SPREAD_KERNEL", 1)
    monkeypatch.setattr(planning, "_WORTH_A_STEP", 0)
    monkeypatch.setattr(planning, "_MOST_GROUPS", 2)


@pytest.mark.compiled
@SETTINGS
@given(st.data())
def test_random_networks(data: st.DataObject) -> None:
    network: Network = data.draw(networks())
    occlusion = data.draw(occlusions(network.image_shape))
    assert_incremental_equals_full(
        network, occlusion, chunk_size=data.draw(st.sampled_from([None, 1, 3]))
    )


@pytest.mark.compiled
@SETTINGS
@given(st.data())
def test_random_networks_of_convolutions_and_pools(data: st.DataObject) -> None:
    """No layer needs the whole map, so that boxes go through several layers."""
    kinds = (convolution, convolution, pooling, pointwise)
    network: Network = data.draw(networks(kinds=kinds, depth=5, with_head=False))
    occlusion = data.draw(occlusions(network.image_shape))
    assert_incremental_equals_full(network, occlusion, chunk_size=None)


@pytest.mark.compiled
@SETTINGS
@given(st.data())
def test_random_networks_that_draw_maps_larger(data: st.DataObject) -> None:
    kinds = (convolution, resampling, pointwise)
    network: Network = data.draw(networks(kinds=kinds, depth=5, with_head=False))
    occlusion = data.draw(occlusions(network.image_shape))
    assert_incremental_equals_full(network, occlusion, chunk_size=None)


@pytest.mark.parametrize(
    "larger",
    [
        lambda x: lax.conv_transpose(x, jnp.ones((3, 2, 4, 4), jnp.float32), (2, 3), "SAME"),
        lambda x: jax.image.resize(x, (len(x), 20, 30, 4), "nearest"),
        lambda x: jax.image.resize(x, (len(x), 20, 30, 4), "linear"),
        lambda x: jnp.repeat(jnp.repeat(x, 2, axis=1), 3, axis=2),
    ],
    ids=["transposed", "nearest", "linear", "repeat"],
)
def test_a_larger_map_is_not_evaluated_whole(larger: Any) -> None:
    """And not the convolution behind it."""

    def fun(x: jax.Array) -> jax.Array:
        x = convolution_of(x, jnp.ones((3, 3, 2, 4), jnp.float32))
        return convolution_of(larger(x), jnp.ones((3, 3, 4, 4), jnp.float32))

    report = explain(fun, (10, 10, 2), [4], [4], window=(1, 1))
    assert not any(step.reason for step in report.steps)
    assert report.steps[-1].boxes[0][1] < 20


PROGRAMS_KEPT = 100  # thousands of compiled programs in one process exhaust its memory maps
cases = itertools.count(1)


def assert_incremental_equals_full(
    network: Network, occlusion: Occlusion, *, chunk_size: int | None
) -> None:
    if next(cases) % PROGRAMS_KEPT == 0:
        jax.clear_caches()
    image = random_image(network.image_shape)
    clean, outputs = windowed_outputs(
        network.apply,
        image,
        occlusion.fill,
        occlusion.tops,
        occlusion.lefts,
        window=occlusion.window,
        chunk_size=chunk_size,
    )
    images = occluded(image, occlusion)
    expected = full_outputs(network.apply, np.concatenate([images, image[None]]))
    assert_close(outputs, jax.tree.map(lambda x: x[:-1], expected))
    assert_close(clean, jax.tree.map(lambda x: x[-1], expected))


NUMBERS = ("NHWC", "HWIO", "NHWC")
SMALL = Occlusion(
    window=(4, 3), tops=[0, 0, 5, 8, 8], lefts=[0, 7, 3, 0, 7], fill=np.float32([1.0, -1.0])
)
SMALL_IMAGE = random_image((12, 10, 2))


def small_kernel(*shape: int) -> jax.Array:
    return jnp.asarray(random_image(shape) / np.sqrt(np.prod(shape[:-1])), jnp.float32)


def convolution_of(x: jax.Array, kernel: jax.Array, **options: Any) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=NUMBERS, **options)


def small_network(x: jax.Array) -> dict[str, jax.Array]:
    conv1 = jax.nn.relu(convolution_of(x, small_kernel(3, 3, 2, 6)))
    conv2 = jax.nn.relu(convolution_of(conv1, small_kernel(3, 3, 6, 4)))
    return {"conv1": conv1, "conv2": conv2, "logits": conv2.mean((1, 2))}


def assert_agrees(fun: Any, image: np.ndarray = SMALL_IMAGE) -> None:
    result = windowed_outputs(fun, image, SMALL.fill, SMALL.tops, SMALL.lefts, window=SMALL.window)
    assert_close(result.outputs, full_outputs(fun, occluded(image, SMALL)))


def columns_as_channels(x: jax.Array) -> jax.Array:
    """A window changes some of the channels of a convolution that is spread."""
    rows = x.reshape(len(x), 12, 20)
    numbers = ("NWC", "WIO", "NWC")
    return lax.conv_general_dilated(
        rows, small_kernel(3, 20, 6), (1,), "SAME", dimension_numbers=numbers
    )


def no_space(x: jax.Array) -> jax.Array:
    numbers = ("NC", "IO", "NC")
    flat = x.reshape(len(x), -1)
    return lax.conv_general_dilated(flat, small_kernel(240, 5), (), "SAME", None, None, numbers)


@pytest.mark.parametrize(
    "fun",
    [
        columns_as_channels,
        no_space,
        lambda x: x[..., :0] @ jnp.zeros((0, 3), jnp.float32),
        lambda x: convolution_of(x[..., :0], jnp.zeros((3, 3, 0, 4), jnp.float32)),
    ],
    ids=["columns as channels", "no space", "no terms", "no channels"],
)
def test_products_of_unusual_shapes(fun: Any) -> None:
    assert_agrees(lambda x: fun(jnp.sin(x)))


def nnx_network() -> Any:
    class Block(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.conv = nnx.Conv(2, 6, (3, 3), strides=2, rngs=rngs)
            self.norm = nnx.BatchNorm(6, use_running_average=True, rngs=rngs)
            self.grouped = nnx.Conv(6, 9, (3, 3), feature_group_count=3, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, deterministic=True)
            self.dense = nnx.Linear(9, 4, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            x = nnx.relu(self.norm(self.conv(x)))
            x = nnx.max_pool(self.grouped(x), (2, 2), strides=(1, 1))
            return self.dense(self.dropout(x).mean((1, 2)))

    graph, state = nnx.split(Block(nnx.Rngs(0)))
    return lambda x: nnx.merge(graph, state)(x)


def linen_network() -> Any:
    class Block(linen.Module):
        @linen.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            x = linen.Conv(6, (3, 3), padding="CIRCULAR")(x)
            x = linen.GroupNorm(num_groups=2)(linen.gelu(x))
            x = linen.avg_pool(x, (3, 3), strides=(2, 2), padding="SAME", count_include_pad=False)
            return linen.Dense(4)(linen.ConvTranspose(3, (2, 2), strides=(2, 2))(x))

    params = Block().init(jax.random.key(0), SMALL_IMAGE[None])
    return lambda x: Block().apply(params, x)


@pytest.mark.parametrize("network", [nnx_network, linen_network])
def test_flax_networks(network: Any) -> None:
    assert_agrees(network())


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: jnp.sort(x, axis=1).sum(),
        lambda x: jnp.abs(jnp.fft.fft2(x, axes=(1, 2))),
        lambda x: lax.scan(lambda c, row: (c + row, c * row), x[:, 0], x.swapaxes(0, 1))[1],
        lambda x: lax.fori_loop(0, 3, lambda i, y: jnp.roll(y, 1, axis=2) * 1.1, x),
        lambda x: lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x),
        lambda x: convolution_of(x, x[0, :3, :3, :1, None] * jnp.ones((1, 1, 2, 3), x.dtype)),
        lambda x: jax.image.resize(x, (1, 17, 9, 2), "bilinear"),
        lambda x: jnp.einsum("bhwc,bijc->bhwij", x, x),
        lambda x: jnp.linalg.norm(jnp.tensordot(x, x, [(0, 1), (0, 1)])),
        lambda x: (jnp.argmax(x.mean((1, 2)), axis=-1), jnp.round(10 * x).astype(jnp.int32)),
        lambda x: (x > 0).sum((1, 2)),
        lambda x: jnp.pad(jnp.sort(x, axis=2), [(0, 0), (1, 2), (0, 0), (0, 0)]),
        lambda x: jnp.float32(3),
        lambda x: convolution_of(jnp.log(jnp.abs(x)), small_kernel(2, 2, 2, 3)),
    ],
)
def test_operations_without_a_rule(fun: Any) -> None:
    assert_agrees(fun)


@pytest.mark.parametrize("channels", [16, 40])
def test_increments_of_wide_convolutions(channels: int) -> None:
    def fun(x: jax.Array) -> dict[str, jax.Array]:
        wide = jnp.tanh(convolution_of(x, small_kernel(1, 1, 2, channels)))
        dilated = convolution_of(wide, small_kernel(3, 2, channels, 5), rhs_dilation=(2, 3))
        return {"wide": convolution_of(wide, small_kernel(3, 3, channels, 5)), "dilated": dilated}

    assert_agrees(fun)


def test_image_that_is_not_square_and_fills() -> None:
    for fill in (0.5, np.float32([1, 2]), random_image((12, 10, 2)) + 1):
        result = windowed_outputs(
            small_network, SMALL_IMAGE, fill, SMALL.tops, SMALL.lefts, window=SMALL.window
        )
        expected = full_outputs(small_network, occluded(SMALL_IMAGE, SMALL._replace(fill=fill)))
        assert_close(result.outputs, expected)
        assert_close(result.clean, jax.tree.map(lambda x: x[0], full_outputs(
            small_network, SMALL_IMAGE[None])))  # fmt: skip


def test_under_jit_and_vmap_with_traced_parameters() -> None:
    images = np.stack([SMALL_IMAGE, SMALL_IMAGE[::-1], SMALL_IMAGE * 2])
    kernel = small_kernel(3, 3, 2, 4)

    @jax.jit
    def scores(kernel: jax.Array, images: jax.Array) -> jax.Array:
        def fun(x: jax.Array) -> jax.Array:
            return jnp.tanh(convolution_of(x, kernel)).sum()

        return jax.vmap(
            lambda image: (
                windowed_outputs(
                    fun, image, SMALL.fill, SMALL.tops, SMALL.lefts, window=SMALL.window
                ).outputs
            )
        )(images)

    found = scores(kernel, images)
    for image, row in zip(images, found, strict=True):
        expected = full_outputs(
            lambda x: jnp.tanh(convolution_of(x, kernel)).sum(), occluded(image, SMALL)
        )
        assert_close(row, expected)


def test_chunk_size_does_not_change_the_answer() -> None:
    answers = [
        windowed_outputs(
            small_network,
            SMALL_IMAGE,
            SMALL.fill,
            SMALL.tops,
            SMALL.lefts,
            window=SMALL.window,
            chunk_size=chunk_size,
        ).outputs["logits"]
        for chunk_size in (1, 2, 5, 100)
    ]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=1e-6, atol=1e-6)


def test_steps_after_the_outputs_are_dropped() -> None:
    image = jax.ShapeDtypeStruct((1, 12, 10, 2), jnp.float32)
    whole = record(small_network, image)
    first = record(lambda x: small_network(x)["conv1"], image)
    assert [step.name for step in first.tape.steps].count("conv_general_dilated") == 1
    assert [step.name for step in whole.tape.steps].count("conv_general_dilated") == 2
    assert len(first.constants) < len(whole.constants)


def test_functions_of_the_same_structure_share_a_compilation() -> None:
    def tape(scale: float, kernel: jax.Array) -> Any:
        image = jax.ShapeDtypeStruct((1, 12, 10, 2), jnp.float32)
        return record(lambda x: scale * jax.nn.relu(convolution_of(x, kernel)), image).tape

    one, two = small_kernel(3, 3, 2, 4), 2 * small_kernel(3, 3, 2, 4)
    assert tape(2.0, one) == tape(2.0, two)
    assert hash(tape(2.0, one)) == hash(tape(2.0, two))
    assert tape(0.0, one) != tape(-0.0, one)
    assert tape(2.0, one) != tape(2.0, small_kernel(3, 3, 2, 5))


def test_explanation_names_what_was_windowed_and_what_was_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy, "_LEAST_SPREAD_KERNEL", 1 << 16)

    def fun(x: jax.Array) -> jax.Array:
        return jnp.cumsum(convolution_of(x, small_kernel(3, 3, 2, 4)), axis=1)

    report = explain(fun, (12, 10, 2), [0, 6], [5, 4], window=(2, 2))
    steps = {step.name: step for step in report.steps}
    assert steps["conv_general_dilated"].boxes == ((1, 4, 4, 4), (1, 3, 4, 4))[::-1]
    assert steps["conv_general_dilated"].multiply_adds == 12 * 10 * 9 * 2 * 4
    assert steps["conv_general_dilated"].share == pytest.approx((16 + 12) / 2 / 120)
    assert steps["cumsum"].reason == "no rule for cumsum"
    assert "whole: no rule for cumsum" in str(report)


def test_explanation_counts_the_products_of_a_spread_change() -> None:
    def fun(x: jax.Array) -> jax.Array:
        return convolution_of(x, small_kernel(3, 3, 2, 4))

    (step,) = explain(fun, (12, 10, 2), [0, 6], [5, 4], window=(2, 2)).steps
    assert step.share == pytest.approx(4 * 4 / (12 * 10 * 9))  # for 2 pixels an axis, 4 points


def test_values_of_too_many_positions_are_not_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fun(x: jax.Array) -> jax.Array:
        return jnp.cumsum(convolution_of(x, small_kernel(3, 3, 2, 4)), axis=1)

    monkeypatch.setattr(policy, "numbers_held", lambda: 2000)  # two positions take 2 * 12 * 10 * 4
    assert_agrees(fun)


@pytest.mark.parametrize("extents", [(5,), (2, 5), (3, 6), (1, 8), (2, 3, 4)])
def test_a_change_spread_in_both_ways_is_a_convolution(extents: tuple[int, ...]) -> None:
    rank = len(extents)
    change = jnp.asarray(random_image((3, 2, *extents, 4)))
    kernel = jnp.asarray(random_image((3,) * rank + (4, 6)))
    space = "WHD"[:rank]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")

    def fun(images: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            images, kernel, (1,) * rank, [(2, 2)] * rank, dimension_numbers=numbers
        )

    tape = record(fun, jax.ShapeDtypeStruct(change.shape[1:], jnp.float32)).tape
    (step,) = tape.steps
    prepared = spreading.prepare(step, kernel)
    for way in (spreading.spread_by_taps, spreading.spread_by_points):
        assert_close(way(step, change, prepared), jax.vmap(fun)(change))


def test_what_is_inside_of_loops_and_branches_is_counted():
    """A loop written as a scan, a cond or plainly costs the same; a while counts one turn."""
    kernel = jnp.ones((3, 3), jnp.float32)

    def plain(x):
        x = jnp.sort(x, axis=1)  # from here on, whole maps
        for _ in range(4):
            x = x @ kernel
        return x

    def scanned(x):
        x = jnp.sort(x, axis=1)
        return jax.lax.scan(lambda y, _: (y @ kernel, None), x, None, length=4)[0]

    def branched(x):
        x = jnp.sort(x, axis=1)
        for _ in range(4):
            x = jax.lax.cond(x[0, 0, 0, 0] > 0, lambda y: y @ kernel, lambda y: y, x)
        return x

    def looped(x):
        x = jnp.sort(x, axis=1)
        return jax.lax.while_loop(lambda y: y.sum() < 0, lambda y: y @ kernel, x)

    found = [
        explain(fun, (8, 8, 3), [0, 4], [0, 4], window=(2, 2))
        for fun in (plain, scanned, branched, looped)
    ]
    costs = [sum(step.multiply_adds for step in report.steps) for report in found]
    assert costs == [4 * 64 * 9] * 3 + [64 * 9]
    assert [report.share for report in found] == [1.0] * 4
