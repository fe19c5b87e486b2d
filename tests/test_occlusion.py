"""Occlusion: closed forms, borders, and answers that do not depend on how they were computed."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxviz
from jaxviz import InputError, occlusion_map, progressive_occlusion
from jaxviz.techniques.occlusion.problem import window_starts

pytestmark = pytest.mark.optimized


def linear(weights, images):
    """A network whose only output is linear in the image."""
    return {"out": jnp.einsum("bhwc,hwco->bo", images, weights, precision="highest")}


def first(outputs):
    return outputs["out"][:, 0]


def wavy(params, images):
    """A small network with nothing linear about it."""
    x = jnp.tanh(images * params)
    pooled = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return {"pool": pooled, "out": jnp.sin(pooled.sum(axis=(1, 2)))}


@st.composite
def problems(draw):
    height, width = draw(st.integers(3, 9)), draw(st.integers(3, 9))
    window = draw(st.integers(1, height)), draw(st.integers(1, width))
    stride = draw(st.integers(1, window[0])), draw(st.integers(1, window[1]))
    seed = draw(st.integers(0, 2**16))
    batch = draw(st.integers(1, 3))
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(batch, height, width, 2)).astype(np.float32)
    weights = rng.normal(size=(height, width, 2, 1)).astype(np.float32)
    kind = draw(st.sampled_from(["number", "channels", "image"]))
    fills = {
        "number": np.float32(0.5),
        "channels": np.array([0.25, -1], np.float32),
        "image": rng.normal(size=(height, width, 2)).astype(np.float32),
    }
    return images, weights, window, stride, fills[kind]


@given(problems())
def test_linear_score_has_its_closed_form(problem):
    images, weights, window, stride, fill = problem
    result = occlusion_map(
        linear, weights, images, score=first, window=window, stride=stride, fill=fill
    )
    height, width = images.shape[1:3]
    filled = np.broadcast_to(np.asarray(fill, np.float64), images.shape[1:])
    loss = ((images - filled) * weights[..., 0]).sum(-1)  # what hiding one pixel takes away
    heat, cover = np.zeros(images.shape[:3]), np.zeros((height, width))
    for i, top in enumerate(window_starts(height, window[0], stride[0])):
        for j, left in enumerate(window_starts(width, window[1], stride[1])):
            box = np.s_[top : top + window[0], left : left + window[1]]
            drop = loss[:, box[0], box[1]].sum(axis=(1, 2))
            np.testing.assert_allclose(
                result.baseline - result.scores[:, i, j], drop, rtol=1e-4, atol=1e-4
            )
            heat[:, box[0], box[1]] += drop[:, None, None]
            cover[box] += 1
    np.testing.assert_array_equal(result.coverage, cover)
    np.testing.assert_allclose(result.heatmap, heat / cover, rtol=1e-4, atol=1e-4)


@given(st.integers(1, 60), st.data())
def test_windows_cover_every_pixel_and_touch_both_edges(length, data):
    window = data.draw(st.integers(1, length))
    stride = data.draw(st.integers(1, window))
    starts = window_starts(length, window, stride)
    assert starts[0] == 0 and starts[-1] + window == length
    assert (np.diff(starts) > 0).all() and (np.diff(starts) <= stride).all()
    covered = {pixel for start in starts for pixel in range(start, start + window)}
    assert covered == set(range(length))


@settings(max_examples=12)  # two compilations each
@given(problems(), st.integers(1, 40))
def test_chunk_size_never_changes_an_answer(problem, chunk_size):
    images, _, window, stride, fill = problem
    how = {"score": first, "window": window, "stride": stride, "fill": fill}
    one = occlusion_map(wavy, 1.5, images, **how, chunk_size=chunk_size)
    other = occlusion_map(wavy, 1.5, images, **how, chunk_size=7)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@settings(max_examples=7)  # three compilations each
@given(problems())
def test_jit_vmap_and_batching_never_change_an_answer(problem):
    images, _, window, stride, fill = problem

    def explain(batch):
        return occlusion_map(wavy, 1.5, batch, score=first, window=window, stride=stride, fill=fill)

    plain = explain(images)
    jitted = jax.jit(explain)(images)
    mapped = jax.vmap(lambda image: explain(image[None]))(images)
    for name in ("scores", "baseline", "heatmap"):
        expected = getattr(plain, name)
        np.testing.assert_allclose(getattr(jitted, name), expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(getattr(mapped, name)[:, 0], expected, rtol=1e-5, atol=1e-5)


def test_every_occluded_image_is_what_numpy_makes_of_it():
    images = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)
    result = occlusion_map(
        lambda params, images: {"images": images}, None, images,
        score=lambda outputs: outputs["images"], window=(2, 3), stride=(1, 2), fill=9.0,
    )  # fmt: skip
    assert result.scores.shape == (2, 4, 3, 5, 6, 3)
    for i, top in enumerate(range(4)):
        for j, left in enumerate([0, 2, 3]):
            expected = images.copy()
            expected[:, top : top + 2, left : left + 3] = 9
            np.testing.assert_array_equal(result.scores[:, i, j], expected)


def test_many_scores_in_one_sweep_equal_one_by_one():
    images = np.random.default_rng(1).normal(size=(2, 6, 6, 2)).astype(np.float32)
    how = {"window": 3, "stride": 2, "fill": 0.0}
    every = occlusion_map(wavy, 2.0, images, score=lambda outputs: outputs["out"], **how)
    for c in range(2):
        one = occlusion_map(wavy, 2.0, images, score=jaxviz.logit(c), **how)
        for name in ("scores", "baseline", "heatmap"):
            np.testing.assert_allclose(
                getattr(every, name)[..., c], getattr(one, name), rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize("method", ["incremental", "full"])
def test_the_gradient_of_an_answer_is_that_of_whole_passes(method):
    """Eagerly and under jit: d(sum of scores)/d(params), checked against a plain loop."""
    images = np.random.default_rng(2).normal(size=(1, 4, 4, 2)).astype(np.float32)

    def total(params):
        how = {"score": first, "window": 2, "stride": 2, "fill": 0.0, "method": method}
        return occlusion_map(lambda _, x: wavy(params, x), None, images, **how).scores.sum()

    def plain(params):
        scores = 0.0
        for top in (0, 2):
            for left in (0, 2):
                occluded = jnp.asarray(images).at[:, top : top + 2, left : left + 2].set(0)
                scores += first(wavy(params, occluded)).sum()
        return scores

    expected = jax.grad(plain)(1.5)
    np.testing.assert_allclose(jax.grad(total)(1.5), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.grad(total))(1.5), expected, rtol=1e-4, atol=1e-5)


def test_images_given_are_not_changed():
    images = np.ones((1, 4, 4, 2), np.float32)
    images.flags.writeable = False
    occlusion_map(wavy, 1.0, images, score=first, window=2, stride=2, fill=0.0)
    np.testing.assert_array_equal(images, 1)


def layer_score(outputs):
    return outputs["out"][:, None] * jnp.ones((1, 2**26, 1))


BAD = {
    "heatmap": ({"score": layer_score}, "heatmap=False"),
    "window": ({"window": 5}, "larger than the image"),
    "empty window": ({"window": 0}, "positive whole number"),
    "stride": ({"stride": 3}, "larger than the window"),
    "fill": ({"fill": np.zeros(5, np.float32)}, "fill"),
    "fill by name": ({"fill": "mean"}, "fill: expected a number.*got 'mean'"),
    "method": ({"method": "fast"}, "method"),
    "chunk size": ({"chunk_size": 0}, "chunk_size"),
    "score": ({"score": lambda outputs: outputs["out"].sum()}, "score"),
    "no score": ({"score": lambda outputs: outputs}, "score: expected one array.*got dict"),
    "score's layer": ({"score": lambda outputs: outputs["oud"]}, "score: .*'oud'.*valid: .*out"),
    "class": ({"score": jaxviz.logit(2)}, "expected 0 to 1"),
    "layer": ({"score": jaxviz.feature_map("conv9", 0)}, "conv9"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused_in_one_line(name):
    options, said = BAD[name]
    how = {"score": first, "window": 2, "stride": 2, "fill": 0.0} | options
    with pytest.raises(InputError, match=said) as caught:
        occlusion_map(wavy, 1.0, np.ones((1, 4, 4, 2), np.float32), **how)
    assert "\n" not in str(caught.value)


def test_a_score_keeps_its_own_errors():
    def confused(outputs):
        return outputs["out"] * {}[3]

    images = np.ones((1, 4, 4, 2), np.float32)
    with pytest.raises(KeyError, match="3"):
        occlusion_map(wavy, 1.0, images, score=confused, window=2, stride=2, fill=0.0)


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("alexnet", jaxviz.feature_map("conv5", 124)),
        ("alexnet", lambda outputs: outputs["conv3"]),
        ("squeezenet", jaxviz.log_probability(285)),
    ],
)
def test_the_two_methods_agree_on_the_shipped_networks(name, score, photographs, request):
    network = request.getfixturevalue(name)
    paths = [photographs / "cat" / "chelsea.png", photographs / "person" / "astronaut.png"]
    images = network.preprocess(paths)
    one, other = (
        occlusion_map(
            network.apply, network.params, images, score=score, window=(40, 56), stride=(36, 50),
            fill=network.spec.mean_fill, method=method, heatmap=False,
        )
        for method in ("incremental", "full")
    )  # fmt: skip
    for name in ("baseline", "scores"):
        expected = np.asarray(getattr(other, name))
        size = np.abs(expected).max()
        np.testing.assert_allclose(getattr(one, name), expected, rtol=1e-4, atol=1e-5 * size)


def test_a_report_says_what_is_computed_again(alexnet):
    report = jaxviz.explain_occlusion(
        alexnet.apply, alexnet.params, (224, 224, 3),
        score=jaxviz.feature_map("conv3", 0), window=16, stride=8,
    )  # fmt: skip
    convolutions = [step for step in report.steps if step.multiply_adds]
    assert [step.shape[1] for step in convolutions] == [55, 27, 13]  # nothing after conv3
    assert sum(report.group_sizes) == 27 * 27
    assert 0 < report.share < 0.3
    shares = [step.share for step in convolutions]
    assert shares == sorted(shares), "the box grows with depth"


@settings(max_examples=8)
@given(problems())
def test_the_progressive_maps_are_those_of_their_strides(problem):
    images, weights, window, stride, fill = problem
    options = {"score": first, "window": window, "fill": fill}
    levels = list(progressive_occlusion(linear, weights, images, stride=stride, **options))
    assert levels[-1][0] == stride
    for steps, found in levels:
        expected = occlusion_map(linear, weights, images, stride=steps, **options)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    for (steps, _), (finer, _) in itertools.pairwise(levels):
        assert steps == tuple(2 * step for step in finer)
        assert steps[0] <= window[0]
        assert steps[1] <= window[1]
