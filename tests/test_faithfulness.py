"""What heatmaps are worth: against plain loops and closed forms, and what controls show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from scipy import ndimage, stats
from tolerances import assert_close

import jaxviz
from jaxviz._blur import blurred
from jaxviz.techniques.faithfulness.curves import pixel_ranks

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 6, 7, 3)).astype(np.float32)
WEIGHTS = RNG.normal(size=(6, 7, 3, 4)).astype(np.float32)
HEATMAP = RNG.normal(size=(2, 6, 7)).astype(np.float32)


def linear(params, images):
    return {"scores": jnp.einsum("bhwc,hwck->bk", images, params, precision="highest")}


def curved(params, images):
    return {"scores": jnp.tanh(linear(params, images)["scores"])}


RUN = (curved, WEIGHTS, IMAGES)
SCORE = jaxviz.logit(1)


def loop(first, last, steps):
    """The scores of the images as pixels of `last` replace those of `first`, one step at a time."""
    scores = []
    for place in range(len(IMAGES)):
        order = np.argsort(-HEATMAP[place], axis=None)
        image, row = first[place].copy(), []
        done = 0
        for step in range(steps + 1):
            number = int(np.rint(step * order.size / steps))
            for pixel in order[done:number]:
                at = np.unravel_index(pixel, HEATMAP.shape[1:])
                image[at] = last[place][at]
            done = number
            row.append(np.asarray(curved(WEIGHTS, image[None])["scores"])[0, 1])
        scores.append(row)
    return np.array(scores)


@pytest.mark.parametrize(("steps", "chunk_size"), [(1, None), (10, 4), (42, 1), (50, 100)])
def test_deletion_and_insertion_equal_a_plain_loop(steps, chunk_size):
    options = {"score": SCORE, "key": KEY, "steps": steps, "chunk_size": chunk_size}
    fill = np.float32([0.5, -1, 2])
    filled = np.broadcast_to(fill, IMAGES.shape)
    gone = jaxviz.deletion_curve(*RUN, HEATMAP, fill=fill, **options)
    assert_close(gone.scores, loop(IMAGES, filled, steps))
    back = jaxviz.insertion_curve(*RUN, HEATMAP, fill=fill, **options)
    assert_close(back.scores, loop(filled, IMAGES, steps))

    def gaussian(x):
        return ndimage.gaussian_filter(x, (2, 2, 0), mode="constant", truncate=9)

    soft = np.stack([gaussian(x) / gaussian(np.ones_like(x)) for x in IMAGES])
    back = jaxviz.insertion_curve(*RUN, HEATMAP, blur=2.0, **options)
    assert_close(back.scores, loop(soft, IMAGES, steps))
    assert_close(back.area, np.trapezoid(np.asarray(back.scores), np.asarray(back.shares), axis=1))


def test_a_class_for_each_image_and_jit():
    both = jaxviz.deletion_curve(*RUN, HEATMAP, score=jaxviz.logit([2, 0]), fill=0, key=KEY)
    for place, index in enumerate((2, 0)):
        alone = jaxviz.deletion_curve(*RUN, HEATMAP, score=jaxviz.logit(index), fill=0, key=KEY)
        assert_close(both.scores[place], alone.scores[place])
    jitted = jax.jit(
        lambda images: jaxviz.deletion_curve(
            curved, WEIGHTS, images, HEATMAP, score=SCORE, fill=0, key=KEY
        )
    )(IMAGES)
    plain = jaxviz.deletion_curve(*RUN, HEATMAP, score=SCORE, fill=0, key=KEY)
    assert_close(jitted.scores, plain.scores)


def test_what_a_linear_score_says_no_heatmap_beats():
    """Gradient times input orders the pixels of a linear score best, against any other order."""
    run = (linear, WEIGHTS, IMAGES)
    best = jaxviz.gradient_times_input(*run, score=SCORE).heatmap
    options = {"score": SCORE, "fill": 0, "key": KEY, "steps": 42}
    area = jaxviz.deletion_curve(*run, best, **options).area
    grown = jaxviz.insertion_curve(*run, best, **options).area
    for heatmap in (HEATMAP, -np.asarray(best), *jaxviz.control_heatmaps(IMAGES, key=KEY).values()):
        assert (area <= jaxviz.deletion_curve(*run, heatmap, **options).area + 1e-4).all()
        assert (grown >= jaxviz.insertion_curve(*run, heatmap, **options).area - 1e-4).all()


def test_ties_are_drawn_by_the_key():
    flat = jnp.zeros((3, 4))
    one, again, other = (pixel_ranks(flat, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert sorted(one.ravel().tolist()) == list(range(12))


def test_sums_of_a_linear_score_say_all_of_its_drops():
    run = (linear, WEIGHTS, IMAGES)
    heatmap = jaxviz.gradient_times_input(*run, score=SCORE).heatmap
    options = {"score": SCORE, "window": (2, 3), "sizes": [1, 4], "fill": 0, "key": KEY}
    found = jaxviz.sensitivity_n(*run, heatmap, **options)
    assert_close(found.correlation, np.ones((2, 2)))
    assert found.sizes.tolist() == [1, 4]
    noise = jaxviz.sensitivity_n(*run, HEATMAP, **options, num_sets=300)
    assert np.abs(noise.correlation).max() < 0.9
    chunked = jaxviz.sensitivity_n(*run, HEATMAP, **options, num_sets=300, chunk_size=7)
    assert_close(chunked.correlation, noise.correlation)
    nothing = jaxviz.sensitivity_n(*run, np.zeros_like(HEATMAP), **options)
    assert np.isnan(nothing.correlation).all()


def test_sensitivity_is_the_correlation_over_all_cells():
    """With one cell at a time and many sets it is the correlation over the cells."""
    options = {"score": SCORE, "window": 6, "sizes": [1], "fill": 0.5, "key": KEY, "num_sets": 400}
    found = jaxviz.sensitivity_n(*RUN, HEATMAP, **options).correlation[:, 0]
    assert_close(np.abs(found), np.ones(2))  # of two cells, any two numbers are correlated


def test_what_does_not_vary_has_no_correlation():
    flat = np.full((1, 299, 299), 0.1, np.float32)
    assert np.isnan(jaxviz.rank_correlation(flat, flat)).all()
    run = (linear, WEIGHTS, IMAGES)
    everything = jaxviz.sensitivity_n(
        *run, HEATMAP + 0.3, score=SCORE, window=(2, 3), sizes=[9], fill=0, key=KEY
    )
    assert np.isnan(everything.correlation).all()
    constant = jaxviz.sensitivity_n(
        *run, np.full_like(HEATMAP, 0.1), score=SCORE, window=1, sizes=[5], fill=0, key=KEY
    )
    assert np.isnan(constant.correlation).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, bool])
def test_heatmaps_of_whole_numbers_rank_as_they_are(dtype):
    heatmap = (HEATMAP > 0).astype(dtype)
    options = {"score": SCORE, "fill": 0, "key": KEY}
    found = jaxviz.deletion_curve(*RUN, heatmap, **options).area
    assert_close(found, jaxviz.deletion_curve(*RUN, heatmap.astype(np.float32), **options).area)


def test_long_whole_numbers_rank_as_they_are():
    images = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1)
    options = {"score": lambda outputs: outputs["mean"][:, 0], "fill": 0, "steps": 5}

    def scores(heatmap):
        run = (lambda params, x: {"mean": x.mean((1, 2))}), None, images, heatmap
        return jaxviz.deletion_curve(*run, key=jax.random.key(0), **options).scores

    heatmap = np.arange(25).reshape(1, 5, 5)
    np.testing.assert_array_equal(scores(heatmap), scores(heatmap * 2**40))


@pytest.mark.parametrize(
    "heatmap",
    [1 + np.arange(42) * 1e-12, 2**24 + np.arange(42), np.uint32(2**31) + np.arange(42)],
)
def test_numbers_rank_as_they_are_where_float32_cannot_tell_them_apart(heatmap):
    heatmap = heatmap.reshape(1, 6, 7)
    plain = np.arange(42, dtype=np.float32).reshape(1, 6, 7)
    run, options = (curved, WEIGHTS, IMAGES[:1]), {"score": SCORE, "key": KEY, "steps": 42}
    for curve in (jaxviz.deletion_curve, jaxviz.insertion_curve):
        np.testing.assert_array_equal(
            curve(*run, heatmap, fill=0, **options).scores,
            curve(*run, plain, fill=0, **options).scores,
        )
    assert float(jaxviz.rank_correlation(heatmap, -plain)[0]) == pytest.approx(-1)


def test_ranks_of_what_is_no_number_are_refused():
    heatmap = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    broken = np.where(heatmap > 7, np.nan, heatmap)
    assert "finite" in refusal(jaxviz.rank_correlation, heatmap, broken)


def test_another_window_with_as_many_places_is_refused():
    images = np.ones((1, 8, 8, 1), np.float32)
    mean = lambda params, x: {"mean": x.mean((1, 2))}  # noqa: E731
    found = jaxviz.occlusion_map(
        mean, None, images, score=lambda outputs: outputs["mean"][:, 0], window=4, stride=4, fill=0
    )
    said = refusal(jaxviz.infidelity, found.heatmap, found, window=5, stride=4)
    assert "not those of the occlusion" in said


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_scores_of_whole_numbers_add_up_without_going_round(dtype):
    outputs = {"map": jnp.full((1, 2, 2, 1), 100, dtype)}
    one = jaxviz.unit("map", 0)
    assert (float((2 * one)(outputs)[0]), float((-one)(outputs)[0])) == (200, -100)
    assert float((one + one + one - 2 * one)(outputs)[0]) == 100


def test_infidelity_is_what_it_is_defined_as():
    grid = {"window": 3, "stride": 2}
    occluded = jaxviz.occlusion_map(*RUN, score=SCORE, fill=0.5, **grid)
    found = jaxviz.infidelity(HEATMAP, occluded, **grid)
    values = []
    for place in range(2):
        pairs = [
            (HEATMAP[place, row : row + 3, col : col + 3].sum(),
             float(occluded.baseline[place] - occluded.scores[place, i, j]))
            for i, row in enumerate((0, 2, 3)) for j, col in enumerate((0, 2, 4))
        ]  # fmt: skip
        sums, drops = np.array(pairs).T
        values.append(((sums - drops) ** 2).mean())
        best = max((sums * drops).sum(), 0) / (sums**2).sum()
        assert_close(found.factor[place], best)
        assert_close(found.normalized[place], ((best * sums - drops) ** 2).sum() / (drops**2).sum())
    assert_close(found.value, values)
    run = (linear, WEIGHTS, IMAGES)
    hidden = jaxviz.occlusion_map(*run, score=SCORE, fill=0, **grid)
    heatmap = jaxviz.gradient_times_input(*run, score=SCORE).heatmap
    assert_close(jaxviz.infidelity(heatmap, hidden, **grid).normalized + 1, np.ones(2))


def test_statistics_of_occlusion_are_those_of_single_ones():
    grid = {"window": 3, "stride": 2}
    fills = jaxviz.random_fills(IMAGES, key=KEY, num=5)
    found = jaxviz.occlusion_statistics(*RUN, score=SCORE, fills=fills, key=KEY, **grid)
    drops, heatmaps = [], []
    for fill in fills:
        for place in range(2):
            one = jaxviz.occlusion_map(
                curved, WEIGHTS, IMAGES[place : place + 1], score=SCORE, fill=fill[place], **grid
            )
            drops.append(one.baseline[:, None, None] - one.scores)
            heatmaps.append(one.heatmap)
    drops = np.concatenate(drops).reshape(5, 2, 3, 3)
    heatmaps = np.concatenate(heatmaps).reshape(5, 2, 6, 7)
    assert_close(found.drop, drops.mean(axis=0))
    assert_close(found.standard_error, stats.sem(drops, axis=0))
    assert_close(found.heatmap, heatmaps.mean(axis=0))
    mean, error = heatmaps.mean(axis=0), stats.sem(heatmaps, axis=0)
    outcome = 2 * stats.t.sf(np.abs(mean) / np.maximum(error, 1e-12), df=4)
    clear = np.abs(outcome - 0.05) > 1e-3
    np.testing.assert_array_equal(np.asarray(found.distinct)[clear], (outcome < 0.05)[clear])
    assert 0 <= found.beats.min() <= found.beats.max() <= 1
    order = np.argsort(np.asarray(found.drop[0]).ravel())
    assert (np.diff(np.asarray(found.beats[0]).ravel()[order]) >= 0).all()


def test_a_place_that_matters_is_told_from_those_that_do_not():
    """Only a corner of these images is read, and fills draw its value at random around it."""

    def corner(params, images):
        return {"corner": images[:, :2, :2].mean(axis=(1, 2))}

    images = np.full((1, 8, 8, 1), 5, np.float32)
    fills = RNG.normal(size=(12, 1, 8, 8, 1)).astype(np.float32)
    found = jaxviz.occlusion_statistics(
        corner, None, images, score=lambda outputs: outputs["corner"][:, 0], window=2, stride=2,
        fills=fills, key=KEY,
    )  # fmt: skip
    wanted = np.zeros((8, 8), bool)
    wanted[:2, :2] = True
    np.testing.assert_array_equal(found.distinct[0], wanted)
    assert found.beats[0, 0, 0] == 1
    assert (found.beats[0].ravel()[1:] < 0.5).all()


def test_fills_look_like_pictures_and_not_like_the_same_place():
    fills = jaxviz.random_fills(IMAGES, key=KEY, num=6)
    assert fills.shape == (6, *IMAGES.shape)
    moved, noise, soft = (np.asarray(fills[i]) for i in range(3))
    assert np.isin(moved.ravel(), IMAGES.ravel()).all()
    assert (moved != IMAGES).mean() > 0.95
    np.testing.assert_allclose(noise.std(axis=(0, 1, 2)), IMAGES.std(axis=(0, 1, 2)), rtol=0.3)
    assert soft.std() < IMAGES.std()
    assert (fills[0] != fills[3]).any()


@pytest.mark.once
def test_the_cascade_goes_from_the_last_layer_to_the_first(alexnet):
    run = list(jaxviz.cascading_randomization(alexnet.apply, alexnet.params, (63, 63, 3), key=KEY))
    assert [one.name for one in run] == ["conv5", "conv4", "conv3", "conv2", "conv1"]
    first, last = run[0].params, run[-1].params
    kernels = [np.asarray(p["conv1"]["kernel"]) for p in (alexnet.params, first, last)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    np.testing.assert_array_equal(np.sort(kernels[0], axis=None), np.sort(kernels[2], axis=None))
    assert (kernels[0] != kernels[2]).mean() > 0.9


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize(
    "made",
    [
        lambda kernel: kernel.astype(jnp.bfloat16),
        lambda kernel: kernel / jnp.linalg.norm(kernel),
        lambda kernel: kernel,
    ],
)
def test_the_cascade_follows_the_data_where_all_kernels_are_made_at_first(made):
    params = {"z": jnp.ones((3, 4)), "m": jnp.ones((4, 4)), "a": jnp.ones((4, 2))}

    def apply(params, images):
        kernels = jax.tree.map(made, params)
        hidden = jnp.tanh(images.astype(kernels["z"].dtype) @ kernels["z"]) @ kernels["m"]
        return {"out": hidden.mean((1, 2)) @ kernels["a"]}

    run = jaxviz.cascading_randomization(apply, params, (4, 4, 3), key=KEY)
    assert [one.name for one in run] == ["a", "m", "z"]


def test_the_cascade_destroys_gradients_and_hardly_guided_backpropagation(squeezenet, photographs):
    images = squeezenet.preprocess([photographs / "cat" / "chelsea.png"])
    score = jaxviz.logit(281)
    methods = {"gradient": jaxviz.gradient, "guided": jaxviz.guided_backpropagation}

    def heatmaps(params):
        run = (squeezenet.apply, params, images)
        return {name: method(*run, score=score).heatmap for name, method in methods.items()}

    before = heatmaps(squeezenet.params)
    cascade = jaxviz.cascading_randomization(
        squeezenet.apply, squeezenet.params, images.shape[1:], key=KEY
    )
    for _, one in zip(range(3), cascade, strict=False):
        last = heatmaps(one.params)
    kept = {name: float(jaxviz.rank_correlation(before[name], last[name])[0]) for name in methods}
    assert kept["guided"] > 0.6 > kept["gradient"]


def test_ranks_are_scipys():
    one, other = RNG.integers(0, 5, size=(2, 3, 4, 5)).astype(np.float32)
    wanted = [stats.spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(one, other, strict=True)]
    assert_close(jaxviz.rank_correlation(one, other), wanted)


def test_controls():
    found = jaxviz.control_heatmaps(IMAGES, key=KEY)
    assert (found["center"][0] == found["center"][0].max()).sum() == 2  # of an even height
    step = np.zeros((1, 20, 20, 1), np.float32)
    step[:, :, 10:] = 1
    edges = np.asarray(jaxviz.control_heatmaps(step, key=KEY)["edges"])[0]
    assert set(edges.argmax(axis=1)) <= {9, 10}
    for least in (0, 1e-50, jnp.float32(1e-38)):
        assert_close(blurred(IMAGES, least), IMAGES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jaxviz.deletion_curve(*RUN, HEATMAP[:1], score=SCORE, fill=0, key=KEY),
         "heatmap: expected (2, 6, 7)"),
        (lambda: jaxviz.deletion_curve(*RUN, HEATMAP, score=SCORE, fill=0, key=3),
         "key: expected a random key"),
        (lambda: jaxviz.deletion_curve(*RUN, HEATMAP, score=SCORE, fill=[0, 1], key=KEY),
         "fill: expected a number"),
        (lambda: jaxviz.deletion_curve(*RUN, HEATMAP, score=SCORE, fill=0, key=KEY, steps=0),
         "steps: expected a positive whole number"),
        (lambda: jaxviz.deletion_curve(*RUN, HEATMAP * np.nan, score=SCORE, fill=0, key=KEY),
         "heatmap: expected finite numbers"),
        (lambda: jaxviz.deletion_curve(
            *RUN, HEATMAP, score=lambda outputs: outputs["scores"], fill=0, key=KEY),
         "score: expected one number an image"),
        (lambda: jaxviz.insertion_curve(*RUN, HEATMAP, score=SCORE, blur=-1, key=KEY),
         "blur: expected pixels, 0 or more"),
        (lambda: jaxviz.sensitivity_n(
            *RUN, HEATMAP, score=SCORE, window=2, sizes=[13], fill=0, key=KEY),
         "sizes: expected a positive whole number from 1 to 12"),
        (lambda: jaxviz.occlusion_statistics(
            *RUN, score=SCORE, window=2, stride=2, fills=IMAGES, key=KEY),
         "fills: expected 3 or more of shape (2, 6, 7, 3)"),
        (lambda: jaxviz.occlusion_statistics(
            *RUN, score=jaxviz.logit([0, 1]), window=2, stride=2, key=KEY,
            fills=np.zeros((3, *IMAGES.shape), np.float32)),
         "score: expected one class for all images"),
        (lambda: jaxviz.deletion_curve(
            *RUN, HEATMAP, score=SCORE, fill=0, key=jax.random.split(KEY, 2)),
         "key: expected a random key, such as jax.random.key(0), got keys of shape (2,)"),
        (lambda: jaxviz.sensitivity_n(
            *RUN, HEATMAP, score=SCORE, window=2, sizes=[], fill=0, key=KEY),
         "sizes: expected some whole numbers"),
        (lambda: jaxviz.cascading_randomization(*RUN[:2], (6, 7, 3), key=5), "key: expected"),
        (lambda: jaxviz.rank_correlation(HEATMAP, HEATMAP[:1]), "expected two of one shape"),
        (lambda: blurred(IMAGES, jnp.float32(-1)), "blur: expected pixels, 0 or more"),
        (lambda: jaxviz.random_fills(IMAGES, key=KEY, num=0), "num: expected a positive"),
        (lambda: jaxviz.infidelity(
            HEATMAP, jaxviz.occlusion_map(*RUN, score=SCORE, window=3, stride=3, fill=0),
            window=3, stride=2),
         "window, stride: 3, 2 are not those of the occlusion"),
        (lambda: jaxviz.infidelity(HEATMAP, (), window=3, stride=3),
         "occluded: expected an OcclusionMap, got tuple"),
        (lambda: jaxviz.occlusion_statistics(
            *RUN, score=SCORE, window=2, stride=2, key=KEY, fills=[IMAGES, IMAGES[0], IMAGES]),
         "fills: their shapes differ"),
        (lambda: jaxviz.deletion_curve(
            *RUN, HEATMAP, fill=0, key=KEY,
            score=lambda outputs: outputs["scores"][:, 0] - outputs["scores"][:, 0].mean()),
         "score: depends on the other images of the batch"),
        (lambda: jaxviz.occlusion_map(
            *RUN, window=2, stride=2, fill=0,
            score=lambda outputs: jax.nn.softmax(outputs["scores"], axis=0)[:, 1]),
         "score: depends on the other images of the batch"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_one_line(call, message, unchecked):
    assert message in refusal(call)
