"""Every technique under `jit`, `shard_map` and on images sharded over a mesh: the same answer."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sweeping import environment
from tolerances import assert_close

import jaxviz
from jaxviz import sweep

RNG = np.random.default_rng(0)
PARAMS = {
    name: jnp.asarray(RNG.normal(size=shape), jnp.float32)
    for name, shape in {"kernel": (3, 3, 3, 4), "dense": (64, 5)}.items()
}
IMAGES = RNG.normal(size=(4, 8, 8, 3)).astype(np.float32)
LABELS = np.arange(4) % 2


def apply(params, images):
    dims = ("NHWC", "HWIO", "NHWC")
    conv = jax.nn.relu(
        jax.lax.conv_general_dilated(images, params["kernel"], (1, 1), "SAME", None, None, dims)
    )
    window = (1, 2, 2, 1)
    pool = jax.lax.reduce_window(conv, -jnp.inf, jax.lax.max, window, window, "VALID")
    return {"conv": conv, "pool": pool, "logits": pool.reshape(len(pool), -1) @ params["dense"]}


def occlusion(method):
    def function(images):
        found = jaxviz.occlusion_map(
            apply, PARAMS, images, score=jaxviz.logit(2), window=3, stride=2, fill=0.5,
            method=method,
        )  # fmt: skip
        return found.scores, found.baseline, found.heatmap

    return function


def neighbors(images):
    vectors = images.reshape(len(images), -1)
    return jaxviz.nearest_neighbors(vectors, vectors, k=2)


ALONE = {  # what treats each image alone, so that `shard_map` can share the images out
    "activation_maps": lambda x: jaxviz.activation_maps(apply, PARAMS, x, layers=("conv", "pool")),
    "features": lambda x: jaxviz.features(apply, PARAMS, x, layer="pool"),
    "compiled_forward": lambda x: jaxviz.compiled_forward(apply, PARAMS, layers="conv")(x),
    "occlusion, incremental": occlusion("incremental"),
    "occlusion, full": occlusion("full"),
}
GRADIENTS = {
    "gradient": jaxviz.gradient,
    "integrated_gradients": functools.partial(jaxviz.integrated_gradients, fill=0.5, steps=3),
    "guided_backpropagation": jaxviz.guided_backpropagation,
    "grad_cam": functools.partial(jaxviz.grad_cam, layer="conv"),
}
ALONE |= {
    name: lambda x, function=function: function(apply, PARAMS, x, score=jaxviz.logit(2))
    for name, function in GRADIENTS.items()
}
TECHNIQUES = ALONE | {
    "top_patches": lambda x: jaxviz.top_patches(apply, PARAMS, [x], layers="conv", k=3),
    "nearest_neighbors": neighbors,
    "principal_components": lambda x: jaxviz.principal_components(x.reshape(len(x), -1), k=2),
    "label_agreement": lambda x: jaxviz.label_agreement(neighbors(x).indices, LABELS, LABELS),
}


@pytest.mark.parametrize("name", TECHNIQUES)
def test_jit_changes_nothing(name):
    function = TECHNIQUES[name]
    jax.tree.map(assert_close, jax.jit(function)(IMAGES), function(IMAGES))


def test_labels_that_do_not_fit_are_refused_under_jit_too():
    def agreement(rows):
        return jaxviz.label_agreement(rows, LABELS, LABELS[None])

    with pytest.raises(jaxviz.InputError, match="labels: expected one for each of 4 queries"):
        jax.jit(agreement)(jnp.zeros((4, 2), jnp.int32))


@pytest.mark.parametrize("row", [-1, 4])
def test_an_index_that_is_no_row_is_refused(row):
    with pytest.raises(jaxviz.InputError, match="rows of the database from 0 to 3"):
        jaxviz.label_agreement(np.array([[0], [1], [2], [row]]), LABELS, LABELS)


def sharded():
    """On two devices: run by `test_sharded_images` in a process of its own."""
    expected = {name: function(IMAGES) for name, function in TECHNIQUES.items()}
    explicit = jax.make_mesh((2,), ("images",))
    auto = jax.make_mesh((2,), ("images",), axis_types=(jax.sharding.AxisType.Auto,))
    batch = jax.P("images")
    for name, function in TECHNIQUES.items():
        for mesh in (explicit, auto):
            images = jax.device_put(IMAGES, jax.NamedSharding(mesh, batch))
            found = [function(images), jax.jit(function)(images)]
            with jax.set_mesh(mesh):
                found += [function(IMAGES), function(images)]
            if name in ALONE:
                shared = jax.shard_map(function, mesh=mesh, in_specs=batch, out_specs=batch)
                found.append(jax.jit(shared)(images))
            for one in found:
                jax.tree.map(assert_close, one, expected[name])
        print(name)
    pictures = sweep.ArrayPictures(np.repeat(np.arange(5, dtype=np.uint8), 192).reshape(5, 8, 8, 3))
    options = {"prepare": lambda x: x.astype(jnp.float32), "batch_size": 2}
    alone = sweep.top_patches(apply, PARAMS, pictures, layers="conv", k=2, **options)
    vectors = sweep.features(apply, PARAMS, pictures, layer="pool", **options).vectors
    with jax.set_mesh(explicit):
        again = sweep.top_patches(apply, PARAMS, pictures, layers="conv", k=2, **options)
        jax.tree.map(np.testing.assert_array_equal, again.found, alone.found)
        rows = sweep.features(apply, PARAMS, pictures, layer="pool", **options).vectors
        np.testing.assert_array_equal(rows, vectors)
    print("sweeps")


@pytest.mark.slow
def test_sharded_images():
    ran = subprocess.run(
        [sys.executable, "-W", "error", __file__], env=environment(2), text=True, check=False,
        capture_output=True,
    )  # fmt: skip
    assert ran.stdout.split("\n") == [*TECHNIQUES, "sweeps", ""], ran.stderr


if __name__ == "__main__":
    sharded()
