"""Top patches: equal to brute force, whatever the batches; crops are what the unit sees."""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxviz
from jaxviz import InputError, top_patches
from jaxviz.techniques.patches import TopPatches, crop, empty_state, merge

pytestmark = pytest.mark.optimized

EXAMPLES = Path(__file__).parents[1] / "examples" / "images"


def same(params, images):
    return {"same": images, "vector": images.max(axis=(1, 2))}


@st.composite
def image_sets(draw):
    """Few distinct values, so that ties are common."""
    number, side = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 2**16))
    values = np.random.default_rng(seed).integers(-2, 3, size=(number, side, side + 1, 2))
    return values.astype(np.float32)


def brute_force(images, k):
    """For each channel, each image's best place, then the k best, all ties to the smaller."""
    rows = []
    for channel in range(images.shape[-1]):
        best = []
        for index, image in enumerate(images[..., channel]):
            row, col = np.unravel_index(image.argmax(), image.shape)
            best.append((-image[row, col], index, row, col))
        best = sorted(best)[:k] + [(np.inf, -1, 0, 0)] * (k - len(best))
        rows.append(best)
    table = np.array(rows, np.float64)
    return -table[..., 0], *(table[..., i] for i in (1, 2, 3))


@given(image_sets(), st.integers(1, 5), st.integers(1, 4))
def test_equals_brute_force_whatever_the_batches(images, k, size):
    batches = [images[i : i + size] for i in range(0, len(images), size)]
    found = top_patches(same, None, batches, layers="same", k=k)["same"]
    for got, expected in zip(found, brute_force(images, k), strict=True):
        np.testing.assert_array_equal(got, expected)


@given(image_sets(), st.integers(1, 5), st.integers(1, 4), st.booleans())
@settings(max_examples=15)
def test_all_positions_and_the_smallest_equal_a_full_sort(images, k, size, largest):
    batches = [images[i : i + size] for i in range(0, len(images), size)]
    found = top_patches(
        same, None, batches, layers="same", k=k, largest=largest, unique_images=False
    )["same"]
    sign = 1 if largest else -1
    for channel in range(images.shape[-1]):
        every = [(-sign * v, *place) for place, v in np.ndenumerate(images[..., channel])]
        best = sorted(every)[:k] + [(np.inf, -1, 0, 0)] * (k - len(every))
        got = [[sign * -v, *p] for v, *p in zip(*(f[channel].tolist() for f in found), strict=True)]
        np.testing.assert_array_equal(got, best)


@given(image_sets(), st.integers(1, 5))
@settings(max_examples=10)
def test_the_smallest_are_the_largest_of_the_negative(images, k):
    smallest = top_patches(same, None, [images], layers="same", k=k, largest=False)["same"]
    largest = top_patches(same, None, [-images], layers="same", k=k)["same"]
    np.testing.assert_array_equal(smallest.values, -largest.values)
    jax.tree.map(np.testing.assert_array_equal, smallest[1:], largest[1:])


@given(image_sets(), st.integers(1, 5), st.integers(1, 4), st.booleans())
@settings(max_examples=15)
def test_ranked_by_the_mean_equals_a_sort_of_the_means(images, k, size, largest):
    batches = [images[i : i + size] for i in range(0, len(images), size)]
    options = {"layers": "same", "k": k, "largest": largest}
    found = top_patches(same, None, batches, rank_by="mean", **options)["same"]
    sign = 1 if largest else -1
    sums = sign * images.sum(axis=(1, 2))  # of whole numbers, so ties are exact
    every = top_patches(same, None, batches, **options | {"k": len(images)})["same"]
    for channel in range(images.shape[-1]):
        order = sorted(range(len(images)), key=lambda i: (-sums[i, channel], i))[:k]
        number = len(order)
        assert found.images[channel, :number].tolist() == order
        means = sign * sums[order, channel] / images[0, ..., 0].size
        np.testing.assert_allclose(found.values[channel, :number], means, rtol=1e-6)
        places = dict(zip(every.images[channel].tolist(), zip(
            every.rows[channel].tolist(), every.cols[channel].tolist(), strict=True
        ), strict=True))  # fmt: skip
        got = zip(found.rows[channel].tolist(), found.cols[channel].tolist(), strict=True)
        assert list(got)[:number] == [places[i] for i in order]


@given(image_sets(), st.data(), st.booleans(), st.booleans())
@settings(max_examples=15, deadline=None)
def test_each_label_has_the_patches_that_its_pictures_have_alone(images, data, largest, unique):
    names = data.draw(st.lists(st.sampled_from("abc"), min_size=len(images), max_size=len(images)))
    pictures = np.tile((images[..., :1] + 9).astype(np.uint8), 3)

    def swept(chosen, **options):
        return jaxviz.sweep.top_patches(
            same, None, jaxviz.sweep.ArrayPictures(pictures[chosen]), layers="same", k=3,
            prepare=lambda x: x.astype(jnp.float32), largest=largest, unique_images=unique,
            batch_size=2, **options,
        )  # fmt: skip

    together = swept(range(len(images)), labels=names)
    assert together.labels == tuple(sorted(set(names)))
    for number, label in enumerate(together.labels):
        own = np.flatnonzero(np.array(names) == label)
        alone = swept(own).found["same"]
        expected = alone._replace(images=np.where(alone.images < 0, -1, own[alone.images]))
        got = TopPatches(*(field[number] for field in together.found["same"]))
        jax.tree.map(np.testing.assert_array_equal, got, expected)


@st.composite
def states(draw):
    rows = st.tuples(*[st.integers(0, 2)] * 3)
    places = draw(st.lists(rows, min_size=3, max_size=3, unique=True))
    values = draw(st.lists(st.integers(-1, 1), min_size=3, max_size=3))
    state = empty_state(1, 3)
    fields = [np.array([v], np.float32) for v in (values,)]
    fields += [np.array([column], np.int32) for column in zip(*places, strict=True)]
    return merge(state, TopPatches(*map(jnp.asarray, fields)))


@pytest.fixture(scope="module", autouse=True)
def infinities_pass():
    """A state begins with -inf, which tests of its parts see even under `jax_debug_infs`."""
    with jax.debug_infs(False):
        yield


@given(states(), states(), states())
def test_merge_is_a_commutative_monoid(a, b, c):
    def equal(x, y):
        jax.tree.map(np.testing.assert_array_equal, x, y)

    equal(merge(a, b), merge(b, a))
    equal(merge(merge(a, b), c), merge(a, merge(b, c)))
    equal(merge(a, empty_state(1, 3)), a)


@given(st.integers(-6, 6), st.integers(-6, 6), st.integers(1, 8), st.integers(1, 8))
def test_crop_equals_cutting_from_a_padded_picture(top, left, height, width):
    pixels = np.random.default_rng(3).integers(1, 255, size=(5, 4, 3), dtype=np.uint8)
    padded = np.pad(pixels, [(20, 20), (20, 20), (0, 0)])
    patch = crop(pixels, (top, left, top + height, left + width))
    expected = padded[20 + top : 20 + top + height, 20 + left : 20 + left + width]
    np.testing.assert_array_equal(patch, expected)


def test_value_read_again_from_the_cropped_patch_alone():
    """Where a unit's field lies inside the image, its patch alone gives back its activation."""
    network = jaxviz.load("alexnet")
    pictures = ("cat/chelsea.png", "food/coffee.png", "person/astronaut.png")
    images = network.preprocess([EXAMPLES / name for name in pictures])
    layer = "conv2"
    found = top_patches(network.apply, network.params, [images], layers=layer, k=3)[layer]
    field = jaxviz.receptive_field(network.apply, network.params, (224, 224, 3), layer=layer)
    checked = 0
    for channel, rank in itertools.product(range(0, 192, 8), range(3)):
        index, row, col = (int(x[channel, rank]) for x in found[1:])
        top, left, bottom, right = field.box(row, col)
        if top < 0 or left < 0 or bottom > 224 or right > 224:
            continue
        # The patch on a canvas of zeros: pixels outside the field must not matter.
        canvas = (
            jnp.zeros((1, 224, 224, 3))
            .at[0, top:bottom, left:right]
            .set(images[index, top:bottom, left:right])
        )
        again = jaxviz.activation_maps(network.apply, network.params, canvas, layers=layer)[layer]
        np.testing.assert_allclose(
            again[0, row, col, channel], found.values[channel, rank], rtol=1e-4
        )
        checked += 1
    assert checked >= 20


def test_layers_without_space_have_their_place_at_zero():
    images = np.arange(24, dtype=np.float32).reshape(3, 2, 2, 2)
    found = top_patches(same, None, [images], layers=["vector", "same"], k=2)
    assert found["vector"].rows.max() == found["vector"].cols.max() == 0
    np.testing.assert_array_equal(found["vector"].values, found["same"].values)


BAD = {
    "no batches": ([], {"layers": "same"}, "at least one"),
    "layer": ([np.ones((1, 2, 2, 1), np.float32)], {"layers": "conv9"}, "conv9"),
    "k": ([np.ones((1, 2, 2, 1), np.float32)], {"layers": "same", "k": 0}, "k:"),
    "shape": (
        [np.ones((1, 2, 2, 1), np.float32), np.ones((1, 3, 2, 1), np.float32)],
        {"layers": "same"},
        r"\(2, 2, 1\)",
    ),
    "rank_by": ([np.ones((1, 2, 2, 1), np.float32)], {"layers": "same", "rank_by": "sum"}, "mean"),
    "positions": (
        [np.ones((1, 2, 2, 1), np.float32)],
        {"layers": "same", "rank_by": "mean", "unique_images": False},
        "whole images",
    ),
    "integers": ([np.ones((1, 2, 2, 1), np.uint8)], {"layers": "same"}, "float"),
}


def labeled(pictures, labels):
    return jaxviz.sweep.top_patches(
        same, None, pictures, prepare=lambda x: x / 255.0, layers="same", labels=labels
    )


@pytest.mark.usefixtures("unchecked")
def test_labels_of_another_number_are_refused():
    pictures = jaxviz.sweep.ArrayPictures(np.zeros((3, 2, 2, 3), np.uint8))
    with pytest.raises(InputError, match="one for each of 3 pictures, got 2"):
        labeled(pictures, ["a", "b"])
    with pytest.raises(InputError, match="expected a list, one for each picture, got 'abc'"):
        labeled(pictures, "abc")
    odd = labeled(pictures, np.array(["a", "\udce9", "a"]))
    assert odd.labels == ("a", "\udce9")


@pytest.mark.parametrize("made", [lambda x: x[..., :0], lambda x: x[:, :0], lambda x: x * (1 + 1j)])
def test_a_layer_that_has_no_real_numbers_is_refused(made):
    batches = [np.ones((1, 2, 2, 3), np.float32)]
    with pytest.raises(InputError, match="expected 'made' to hold real numbers, got"):
        top_patches(lambda params, images: {"made": made(images)}, None, batches, layers="made")


@pytest.mark.parametrize("name", BAD)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused_in_one_line(name):
    batches, options, said = BAD[name]
    with pytest.raises(InputError, match=said) as caught:
        top_patches(same, None, batches, **options)
    assert "\n" not in str(caught.value)
