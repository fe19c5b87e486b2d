"""What a network and a score may return: it is taken as it is meant, or refused in one line."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from tolerances import assert_close

import jaxviz
from jaxviz import sweep

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(3, 4, 4, 3)).astype(np.float32)
DENSE = RNG.normal(size=(3, 5)).astype(np.float32)
WINDOWS = {"window": 2, "stride": 2, "fill": 0.0}
METHODS = ("incremental", "full")

pytestmark = pytest.mark.usefixtures("unchecked")


def apply(params, images):
    return {"map": images * 2, "logits": images.mean((1, 2)) @ DENSE}


def occlusion(network, score=None, images=IMAGES, **options):
    return jaxviz.occlusion_map(
        network, None, images, score=score or jaxviz.logit(1), **WINDOWS | options
    )


def swept(function, network, **options):
    pictures = sweep.ArrayPictures(np.ones((3, 4, 4, 3), np.uint8))
    return function(
        network, None, pictures, prepare=lambda x: x.astype(jnp.float32), **options
    )  # fmt: skip


TECHNIQUES = {
    "activation_maps": lambda f: jaxviz.activation_maps(f, None, IMAGES, layers="map"),
    "features": lambda f: jaxviz.features(f, None, IMAGES, layer="map"),
    "top_patches": lambda f: jaxviz.top_patches(f, None, [IMAGES], layers="map", k=2),
    "receptive_field": lambda f: jaxviz.receptive_field(f, None, (4, 4, 3), layer="map"),
    "sweep.top_patches": lambda f: swept(sweep.top_patches, f, layers="map"),
    "sweep.features": lambda f: swept(sweep.features, f, layer="map"),
    "incremental": lambda f: occlusion(f),
    "full": lambda f: occlusion(f, method="full"),
    "explain_occlusion": lambda f: jaxviz.explain_occlusion(
        f, None, (4, 4, 3), score=jaxviz.logit(1), window=2, stride=2
    ),
    "Network.layers": lambda f: jaxviz.Network(f, None).layers((4, 4, 3)),
}
NO_DICTS = {
    "array": (lambda x: x, "got an array of shape ("),
    "tuple": (lambda x: (x, x), "got a tuple of 2"),
    "list": (lambda x: [x], "got a list of 1"),
    "capture_intermediates": (lambda x: (x, {"intermediates": {"map": (x,)}}), "got a tuple of 2"),
    "nothing": (lambda x: None, "got None"),
    "empty": (lambda x: {}, "got an empty one"),
    "numbers": (lambda x: {0: x}, "got the key 0"),
}


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("kind", NO_DICTS)
def test_an_apply_that_returns_no_dict_of_layers(kind, technique):
    returned, said = NO_DICTS[kind]
    message = refusal(TECHNIQUES[technique], lambda params, images: returned(images))
    assert message.startswith("apply: expected a dict {layer: activations}, ")
    assert said in message


NO_LAYERS = {
    "a nested dict": (lambda x: {"b": x}, "layer 'map' is a dict, expected an array"),
    "Linen's tuple": (lambda x: (x,), "layer 'map' is a tuple of 1, expected an array"),
    "a text": (lambda x: "map", "layer 'map' is a str, expected an array"),
    "one number": (lambda x: x.mean(), "layer 'map' has shape (), expected a first axis of"),
    "fewer images": (lambda x: x[:0], "expected a first axis of"),
}


@pytest.mark.parametrize("technique", [name for name in TECHNIQUES if name not in
                                       ("incremental", "full", "explain_occlusion")])  # fmt: skip
@pytest.mark.parametrize("kind", NO_LAYERS)
def test_layers_that_are_no_activations(kind, technique):
    value, said = NO_LAYERS[kind]
    message = refusal(TECHNIQUES[technique], lambda params, images: {"map": value(images)})
    assert message.startswith("apply: layer 'map'")
    assert said in message


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_networks_without_hash(technique):
    @dataclasses.dataclass
    class Net:
        scale: float

        def __call__(self, params, images):
            return apply(params, images)

    TECHNIQUES[technique](Net(1.0))


@pytest.mark.parametrize(
    "images", [[[[[1.0]]]], None, "a.png", IMAGES[0], IMAGES.astype(int), IMAGES.astype(np.uint8)]
)
@pytest.mark.parametrize("technique", ["activation_maps", "top_patches", "occlusion"])
def test_images_that_are_none(images, technique):
    call = {
        "activation_maps": lambda x: jaxviz.activation_maps(apply, None, x, layers="map"),
        "top_patches": lambda x: jaxviz.top_patches(apply, None, [x], layers="map"),
        "occlusion": lambda x: occlusion(apply, images=x),
    }[technique]
    assert ": expected " in refusal(call, images)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_occlusion_refuses_what_is_not_finite(value):
    images = IMAGES.copy()
    images[1, 2, 3, 0] = value
    assert refusal(occlusion, apply, images=images).startswith("images: expected finite numbers")
    assert refusal(occlusion, apply, fill=value).startswith("fill: expected finite numbers")


@pytest.mark.parametrize("layers", [None, 3, [], [3], ["map", 3]])
def test_names_of_layers(layers):
    message = refusal(jaxviz.activation_maps, apply, None, IMAGES, layers=layers)
    assert message.startswith("layers: expected a name or several")


def test_a_layer_asked_for_twice_counts_once():
    twice = jaxviz.top_patches(apply, None, [IMAGES], layers=("map", "map"), k=2)
    assert list(twice) == ["map"]


def stored(values):
    """An `apply` that gives these values for `IMAGES`, whatever the images."""
    return lambda params, images: {"map": jnp.asarray(values) + 0 * images.sum().astype(int)}


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "float16", "float32"])
@pytest.mark.parametrize("shape", [(), (2,), (4, 2), (4, 3, 2), (2, 2, 2, 2)])
def test_patches_of_layers_of_any_rank_and_type(shape, dtype, unique, largest):
    """Against NumPy's sort; what is between the first axis and the last are places in order."""
    values = np.random.default_rng(1).integers(0, 100, (3, *shape)).astype(dtype)
    found = jaxviz.top_patches(
        lambda params, images: {"map": values + jnp.zeros_like(values)}, None, [IMAGES],
        layers="map", k=3, largest=largest, unique_images=unique,
    )["map"]  # fmt: skip
    flat = values.reshape(3, -1, shape[-1] if shape else 1).astype(float)
    for channel in range(flat.shape[-1]):
        one = flat[..., channel] if largest else -flat[..., channel]
        best = -np.sort(-(one.max(1) if unique else one), axis=None)[:3]
        assert (found.values[channel] * (1 if largest else -1)).tolist() == best.tolist()
        for rank, value in enumerate(best):
            width = shape[1] if len(shape) == 3 else 1
            place = int(found.rows[channel, rank]) * width + int(found.cols[channel, rank])
            assert one[int(found.images[channel, rank]), place] == value


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("largest", [False, True])
def test_nan_is_never_among_the_strongest(largest, unique):
    images = IMAGES.copy()
    images[0, 1, 1, 0] = np.nan
    without = np.where(np.isnan(images), -100 if largest else 100, images)
    found, expected = (
        jaxviz.top_patches(
            apply, None, [x], layers="map", k=3, largest=largest, unique_images=unique
        )["map"]
        for x in (images, without)
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float32"])
def test_strongest_channels_of_any_type(dtype):
    maps = np.array([[[0, 5, 3, 0], [1, 0, 0, 0]]]).astype(dtype)
    order = [0, 1, 2, 3] if dtype == "bool" else [1, 2, 0, 3]
    assert jaxviz.strongest_channels(maps, k=4).tolist() == order


SCORES = {
    "a number": (281, "score: expected a function of the outputs, such as logit(281), got 281"),
    "nothing": (None, "score: expected a function of the outputs"),
    "a text": ("tabby", "score: expected a function of the outputs"),
    "one number": (lambda o: o["logits"].mean(), "score: expected one array (batch, ...)"),
    "a float": (lambda o: 1.0, "score: expected one array (batch, ...)"),
    "outputs": (lambda o: o, "got dict"),
    "a tuple": (lambda o: (o["logits"][:, 0],), "got tuple"),
    "complex": (lambda o: o["logits"][:, 0] * 1j, "score: expected real numbers, got complex64"),
    "own classes": (
        lambda o: o["logits"][jnp.arange(3), np.array([4, 0, 2])],
        "logit([3, 7, ...]) scores a class for each image",
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", SCORES)
def test_scores_that_are_none(kind, method):
    score, said = SCORES[kind]
    call = {"params": None, "images": IMAGES, "method": method, **WINDOWS}
    assert said in refusal(jaxviz.occlusion_map, apply, score=score, **call)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32"])
def test_scores_that_are_whole_numbers_or_truths(dtype, method):
    """Is it still right (Zeiler & Fergus 2014, fig. 7e)? And no difference wraps around."""
    right = np.asarray(apply(None, IMAGES)["logits"]).argmax(1)[0]

    def score(outputs):
        return (outputs["logits"].argmax(1) == right).astype(dtype)

    found = occlusion(apply, score, method=method)
    floats = occlusion(apply, lambda o: score(o).astype(jnp.float32), method=method)
    jax.tree.map(np.testing.assert_array_equal, found, floats)
    assert {0.0, 1.0} >= set(np.asarray(found.scores).ravel().tolist())


KINDS = [jaxviz.logit, jaxviz.probability, jaxviz.log_probability]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("given", [list, tuple, np.array, jnp.array])
def test_a_class_for_each_image(given, kind, method):
    classes = [4, 0, 2]
    found = occlusion(apply, kind(given(classes)), method=method)
    for i, one in enumerate(classes):
        alone = occlusion(apply, kind(one), images=IMAGES[i : i + 1], method=method)
        for together, single in zip(found[:3], alone[:3], strict=True):
            assert_close(together[i], single[0])
    outputs = apply(None, IMAGES)
    assert_close(kind(given(classes))(outputs), found.baseline)


def test_a_class_for_each_image_is_explained():
    found = jaxviz.explain_occlusion(
        apply, None, (4, 4, 3), score=jaxviz.logit([4, 0, 2]), window=2, stride=2
    )
    assert found.group_sizes == (4,)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_class_that_argmax_finds(kind):
    def found(images):
        classes = jnp.argmax(apply(None, images)["logits"], axis=-1)
        return occlusion(apply, kind(classes), images=images).scores

    def of_one(image):
        return found(image[None])[0]

    assert_close(jax.jit(found)(IMAGES), found(IMAGES))
    assert_close(jax.vmap(of_one)(IMAGES), found(IMAGES))


@pytest.mark.parametrize(
    "index", [None, "tabby", 1.5, True, jnp.array(1.0), [], [[1]], [1.5], {}, lambda o: 1]
)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_classes_that_are_none(index, kind):
    assert refusal(kind, index).startswith("class: expected a whole number, or one for each image")


@pytest.mark.parametrize(
    "index, said",
    [(-1, "0 to 4"), (5, "0 to 4"), ([0, 1, 5], "0 to 4"), ([0, 1], "one, or 3, one for each")],
)
def test_classes_that_are_not_there(index, said):
    assert f"class: expected {said}" in refusal(occlusion, apply, jaxviz.logit(index))


@pytest.mark.parametrize("index", [5, -1])
def test_a_class_that_is_not_there_is_nan_where_it_is_traced(index):
    with jax.debug_nans(False):
        found = jax.jit(lambda index: occlusion(apply, jaxviz.logit(index)).baseline)(index)
    assert np.isnan(found).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_principal_components_of_what_is_not_finite(value):
    vectors = np.ones((5, 3))
    vectors[2, 1] = value
    message = refusal(jaxviz.principal_components, vectors)
    assert message == "vectors: expected finite numbers, got others among them"


@pytest.mark.parametrize("index", [[1, 2], 1.5, "a", True, jnp.array(1.0)])
def test_channels_and_places_that_are_no_numbers(index):
    assert refusal(jaxviz.feature_map, "map", index).startswith("channel: expected a whole number")
    assert refusal(jaxviz.unit, "map", 0, index, 0).startswith("row: expected a whole number")
    assert refusal(jaxviz.unit, "map", 0, 0, index).startswith("col: expected a whole number")


@pytest.mark.parametrize("make", [lambda i: jaxviz.feature_map("map", i),
                                  lambda i: jaxviz.unit("map", i, 1, 2)])  # fmt: skip
def test_a_channel_may_be_traced(make):
    found = jax.jit(lambda index: occlusion(apply, make(index)).scores)(1)
    assert_close(found, occlusion(apply, make(np.int64(1))).scores)


def test_images_of_more_digits_than_jax_keeps_are_taken_without_a_warning():
    found = occlusion(apply, images=IMAGES.astype(np.float64))
    assert_close(found.scores, occlusion(apply).scores)


def test_vectors_and_indices_that_are_no_numbers():
    names = np.array([["a"], ["b"]])
    assert "expected vectors of numbers" in refusal(jaxviz.nearest_neighbors, names, names, k=1)
    said = refusal(jaxviz.label_agreement, np.array([[0.0]]), ["a"], ["a"])
    assert said == "indices: expected whole numbers, got float64"
    assert "got NoneType" in refusal(jaxviz.top_patches, apply, None, None, layers="map")


@pytest.mark.parametrize(
    "shape",
    [np.zeros((1, 8, 8, 3)), (8, 8), 8, "abc", (8, 8, 3.5), (0, 8, 3), (-1, 8, 3), (8,) * 4],
)
def test_an_image_shape_that_is_none_is_one_line(shape, unchecked):
    """In every function that takes one."""

    def apply(params, images):
        return {"sums": images.sum(axis=(1, 2))}

    options = {"score": lambda outputs: outputs["sums"][:, 0], "window": 4, "stride": 4}
    for call in (
        lambda: jaxviz.explain_occlusion(apply, {}, shape, **options),
        lambda: jaxviz.receptive_field(apply, {}, shape, layer="sums"),
        lambda: jaxviz.Network(apply, {}).layers(shape),
        lambda: jaxviz.name_activations(lambda p, x: x.sum((1, 2)), {}, shape),
    ):
        assert refusal(call).startswith("image_shape: expected (height, width, channel), got ")
