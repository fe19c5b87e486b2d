"""Networks whose images depend on one another are refused, and no others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from random_networks import networks

import jaxviz
from jaxviz import InputError
from jaxviz._independence import independent
from jaxviz.jaxpr.axes import follow
from jaxviz.jaxpr.axis import image_axes
from jaxviz.jaxpr.recording import record

SHAPE = (8, 8, 3)


def batch_norm(x):
    return (x - x.mean((0, 1, 2))) / x.std((0, 1, 2))


MIXING = {
    "batch normalization": (batch_norm, "reduce_sum"),
    "mean of the batch": (lambda x: x - x.mean(0), "reduce_sum"),
    "largest of the batch": (lambda x: x / x.max(), "reduce_max"),
    "the first image": (lambda x: x + x[:1], "slice"),
    "similarity": (lambda x: x.reshape(len(x), -1) @ x.reshape(len(x), -1).T, "dot_general"),
    "order in the batch": (lambda x: jnp.sort(x, axis=0), "sort"),
    "the batch reversed": (lambda x: x + x[::-1], "rev"),
    "softmax over the batch": (lambda x: jax.nn.softmax(x, axis=0), "reduce_max"),
    "top-k of the batch": (lambda x: jax.lax.top_k(x.T, 1)[0], "top_k"),
    "sums along the batch": (lambda x: jnp.cumsum(x, axis=0), "cumsum"),
    "transposed in a square": (lambda x: x[:, :2, 0, 0] + x[:, :2, 0, 0].T, "add"),
    "the batch as pixels": (
        lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (2, 1, 1, 1), (1,) * 4, "SAME"),
        "reduce_window_sum",
    ),
}


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_images_is_refused_with_its_name_and_line(name):
    function, operation = MIXING[name]
    with pytest.raises(InputError, match="images of a batch depend on one another") as caught:
        independent(lambda params, images: {"out": function(images)}, None, SHAPE)
    assert f"{operation} " in str(caught.value)


def windows(x):
    return x.reshape(len(x) * 4, 4, 4, 3).max((1, 2)).reshape(len(x), 12)


def shuffled(x):
    return x[..., np.array([2, 0, 1])].reshape(len(x), 8, 8, 1, 3).swapaxes(3, 4)


def scanned(x):
    rows = x.swapaxes(0, 1)
    return jax.lax.scan(lambda carry, row: (carry + row, carry), rows[0], rows)[0]


APART = {
    "flattened": lambda x: x.reshape(len(x), -1) @ jnp.ones((192, 2)),
    "instance normalization": lambda x: x - x.mean((1, 2), keepdims=True),
    "channels first": lambda x: x.transpose(3, 1, 2, 0).mean((1, 2)).T,
    "windows in the batch": windows,
    "attention": lambda x: jnp.einsum("bijc,bklc->bijkl", x, x),
    "shuffled channels": shuffled,
    "one image at a time": lambda x: jax.lax.map(lambda image: image.sum(), x),
    "vmap": lambda x: jax.vmap(lambda image: jnp.convolve(image[:, 0, 0], jnp.ones(3)))(x),
    "random weights": lambda x: x @ jax.random.normal(jax.random.key(0), (3, 4)),
    "scan over rows": scanned,
    "reversed rows": lambda x: x[:, ::-1] + jnp.roll(x, 1, axis=2),
}


@pytest.mark.parametrize("name", APART)
def test_what_keeps_images_apart_is_taken(name):
    independent(lambda params, images: {"out": APART[name](images)}, None, SHAPE)


@given(networks())
def test_no_random_network_is_refused(network):
    shape = (2, *network.image_shape)
    tape = record(network.apply, jax.ShapeDtypeStruct(shape, jnp.float32)).tape
    follow(tape, {tape.inputs[-1]: image_axes(shape)})


@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def test_our_networks_are_followed_to_their_end(name, request):
    network = request.getfixturevalue(name)
    shape = (2, *network.preprocessing.input_shape)
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    tape = record(network.apply, network.params, images).tape
    assert follow(tape, {tape.inputs[-1]: image_axes(shape)}).unknown is None


def dropout(params, images):
    keep = jax.random.bernoulli(jax.random.key(0), 0.5, images.shape)
    return {"out": images * keep}


def test_dropout_that_was_left_on_is_refused():
    with pytest.raises(InputError, match="changes with a second image beside it"):
        independent(dropout, None, SHAPE)
    count = iter(range(100))

    def differing(params, images):
        key = jax.random.key(next(count))
        return {"out": images + jax.random.normal(key, (3,))}

    with pytest.raises(InputError, match="differs from call to call"):
        independent(differing, None, SHAPE)


def test_random_numbers_whose_key_is_a_parameter_are_wanted():
    def noisy(params, images):
        return {"out": images + jax.random.normal(params["key"], images.shape)}

    independent(noisy, {"key": jax.random.key(0)}, SHAPE)


def test_modules_in_training_are_refused():
    module = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    graph, state = nnx.split(module)
    with pytest.raises(InputError, match="evaluation mode"):
        jaxviz.name_activations(
            lambda params, images: nnx.merge(graph, params)(images), state, SHAPE
        )
