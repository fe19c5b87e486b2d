"""A sweep is told by its functions too; what they close over is read anew at each call."""

import flax.nnx as nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sweeping import StopError, in_another_process, pixels, prepare
from tolerances import assert_close

import jaxviz
from jaxviz import InputError, sweep
from jaxviz.sweep.network import network_hash, recorded

pytestmark = pytest.mark.optimized

WEIGHTS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@jax.custom_vjp
def twice(x):
    return x * 2


twice.defvjp(lambda x: (twice(x), None), lambda kept, change: (change,))


def network(weights=WEIGHTS, *, bias=1.0, last=jnp.sin, steps=3, back=2.0, unused=0):
    """A network with loops, branches, random numbers, and a call back into Python."""

    def apply(params, images):
        rest = [images * i for i in range(unused)]
        x = twice(jax.nn.gelu(images @ weights + bias))
        x = jax.lax.fori_loop(0, steps, lambda _, y: y * 1.5, x)
        x = jax.lax.cond(x.sum() > 0, lambda y: y * weights.sum(), lambda y: y, x)
        x = x + jax.random.normal(params["key"], x.shape)
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        x = x + jax.pure_callback(lambda y: np.asarray(y) * back, shape, x)
        return {"last": last(x), "rest": rest}

    return apply


def found_hash(apply=None, prepare=prepare, key=0):
    images = jax.ShapeDtypeStruct((2, 4, 4, 3), np.uint8)
    params = {"key": jax.random.key(key)}
    return network_hash(
        recorded(apply or network(), params, images, prepare=prepare, layers=["last"])
    )


CHANGES = {
    "weights": {"weights": WEIGHTS + 1},
    "one bit of the weights": {"weights": np.where(np.eye(3, 4), -0.0, WEIGHTS)},
    "a constant": {"bias": 2.0},
    "an operation": {"last": jnp.cos},
    "a loop's length": {"steps": 4},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_function_has_another_hash(change):
    assert found_hash(network(**CHANGES[change])) != found_hash()


def test_what_changes_nothing_keeps_the_hash():
    assert found_hash(network()) == found_hash()
    assert found_hash(network(unused=2)) == found_hash()
    assert found_hash(network(WEIGHTS.copy())) == found_hash()
    assert found_hash(network(back=3.0)) == found_hash()  # of a call back, nothing is known
    assert found_hash(prepare=lambda x: prepare(x) + 1) != found_hash()


def print_hash():
    print(found_hash())


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_hash_is_the_same_in_every_run_of_python(seed):
    other = in_another_process("test_sweep_identity", "print_hash()", PYTHONHASHSEED=seed)
    assert other == found_hash()


def doubled(params, images):
    return {"same": images * 2}


def same(params, images):
    return {"same": images}


def sweep_features(apply, prepare, **options):
    pictures = sweep.ArrayPictures(pixels(20))
    return sweep.features(
        apply, (), pictures, prepare=prepare, layer="same", batch_size=4, save_every=1, **options
    )


def sweep_patches(apply, prepare, **options):
    pictures = sweep.ArrayPictures(pixels(20))
    return sweep.top_patches(
        apply,
        (),
        pictures,
        prepare=prepare,
        layers="same",
        k=2,
        batch_size=4,
        save_every=1,
        **options,
    )


@pytest.mark.parametrize("kind", [sweep_features, sweep_patches])
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("other", [(doubled, prepare), (same, lambda x: prepare(x) - 1)])
def test_going_on_with_another_function_is_refused(tmp_path, kind, finished, other):
    def stop(done, total):
        raise StopError

    if finished:
        kind(same, prepare, folder=tmp_path)
    else:
        with pytest.raises(StopError):
            kind(same, prepare, folder=tmp_path, progress=stop)
    with pytest.raises(InputError, match="another function, `apply` or `prepare`"):
        kind(*other, folder=tmp_path)
    kind(same, prepare, folder=tmp_path)


def test_arrays_that_a_function_closes_over_are_read_at_each_call():
    held = {"scale": np.float32(1)}

    def apply(params, images):
        return {"same": images * jnp.asarray(held["scale"])}

    def answers():
        images = jnp.asarray(prepare(pixels(4)))
        yield jaxviz.top_patches(apply, (), [images], layers="same", k=2)["same"].values
        yield sweep_patches(apply, prepare).found["same"].values
        yield sweep_features(apply, prepare).vectors

    before = [*answers()]
    held["scale"] = np.float32(2)
    for found, old in zip(answers(), before, strict=True):
        assert_close(found, 2 * old)


class WithDropout(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 5, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, images):
        return self.dropout(self.linear(images))


def dropping(seed=0):
    definition, params = nnx.split(WithDropout(nnx.Rngs(seed)))

    def apply(params, images):
        model = nnx.merge(definition, params, copy=True)
        return {"same": model(images)}

    return apply, params


def test_random_keys_may_be_among_the_parameters(tmp_path):
    apply, params = dropping()
    pictures = sweep.ArrayPictures(pixels(20))
    how = {"prepare": prepare, "layer": "same", "batch_size": 4}
    found = sweep.features(apply, params, pictures, folder=tmp_path / "out", **how)
    assert (found.vectors == 0).mean() > 0.3
    again = sweep.features(apply, params, pictures, **how)
    assert found.vectors.tobytes() == again.vectors.tobytes()
    with pytest.raises(InputError, match="another weights"):
        sweep.features(*dropping(1), pictures, folder=tmp_path / "out", **how)


def print_dropped():
    apply, params = dropping()
    found = sweep.features(
        apply, params, sweep.ArrayPictures(pixels(20)), prepare=prepare, layer="same", batch_size=4
    )
    print(found.vectors.tobytes().hex())


def test_random_keys_are_put_on_every_device(capsys):
    print_dropped()
    expected = capsys.readouterr().out.strip()
    assert in_another_process("test_sweep_identity", "print_dropped()", devices=2) == expected


def test_top_patches_of_batches_compose():
    images = jnp.arange(1.0, 5.0).reshape(2, 1, 2, 1)

    def best(params, images):
        halves = [images[:1], images[1:]]
        return jaxviz.top_patches(scaled, params, halves, layers="same", k=1)["same"].values

    def scaled(params, images):
        return {"same": images * params}

    expected = best(2.0, images)
    assert_close(jax.jit(best)(2.0, images), expected)
    assert_close(jax.vmap(best, (0, None))(jnp.array([2.0, 4.0]), images)[1], 2 * expected)
    slope = jax.grad(lambda params: best(params, images).sum())(2.0)
    assert_close(slope, expected.sum() / 2)
