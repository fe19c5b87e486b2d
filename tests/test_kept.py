"""Programs that are kept on disk: found again by what they do, and by nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from jax import lax
from jax.experimental import pallas
from jax.extend.core import Primitive
from jax.interpreters import mlir
from random_networks import SETTINGS, networks

from jaxviz.cpu import kept
from jaxviz.jaxpr.digest import NotLastingError, digest
from jaxviz.jaxpr.recording import record

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(kept.FOLDER, str(tmp_path))
    return tmp_path


def traced(**options):
    """A function as it is in a process of its own, and how often it was traced there."""
    times = []

    def function(x, *, factor):
        times.append(factor)
        return {"sum": (factor * x["x"]).sum(), "cut": x["x"][1:]}

    return jax.jit(kept.traced_once(function), static_argnames="factor"), times


def tape(function, *arguments):
    return record(function, *arguments).tape


def test_one_process_traces_for_all(folder):
    first, times = traced()
    expected = first({"x": X}, factor=2)
    assert first({"x": X}, factor=2)["sum"] == 30
    assert times == [2]
    (path,) = folder.iterdir()
    other, times = traced()
    found = other({"x": X}, factor=2)
    assert not times
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert path.name.startswith("traced-")


@pytest.mark.parametrize(
    ("x", "factor"), [(X, 3), (X, 2.0), (X[:1], 2), (X.astype(np.float16), 2), (X.astype(int), 2)]
)
def test_other_arguments_are_other_programs(folder, x, factor):
    traced()[0]({"x": X}, factor=2)
    other, times = traced()
    found = other({"x": x}, factor=factor)
    assert times == [factor]
    assert found["cut"].dtype == x.dtype or x.dtype == np.int64
    np.testing.assert_array_equal(found["sum"], factor * x.sum())


def test_other_code_settings_and_devices_are_other_programs(folder, monkeypatch):
    traced()[0]({"x": X}, factor=2)
    with jax.default_matmul_precision("float32"):
        other, times = traced()
        other({"x": X}, factor=2)
        assert times == [2]
    monkeypatch.setattr(kept, "_code", lambda: ("another.py", 1, 1))
    other, times = traced()
    other({"x": X}, factor=2)
    assert times == [2]
    assert len([*folder.iterdir()]) == 3
    monkeypatch.setattr(jax, "devices", lambda: [None, None])
    other, times = traced()
    other({"x": X}, factor=2)
    assert times == [2]
    assert len([*folder.iterdir()]) == 3


@pytest.mark.parametrize("size", [0, 10, 40, 200])
def test_a_broken_file_is_written_anew(folder, size):
    traced()[0]({"x": X}, factor=2)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:size] + bytes(size > 100) + whole[size + 1 :] * (size > 100))
    other, times = traced()
    assert other({"x": X}, factor=2)["sum"] == 30
    assert times == [2]
    other, times = traced()
    assert other({"x": X}, factor=2)["sum"] == 30
    assert not times


def test_a_folder_that_cannot_be_made_does_no_harm(folder, monkeypatch):
    (folder / "file").touch()
    monkeypatch.setenv(kept.FOLDER, str(folder / "file"))
    assert traced()[0]({"x": X}, factor=2)["sum"] == 30


def test_what_no_file_can_hold_is_traced_here(folder):
    def called_back(leaves, *, tape):
        shape = jax.ShapeDtypeStruct((2, 3), jnp.float32)
        return jax.pure_callback(lambda x: x + 1, shape, leaves[0])

    for static in (tape(jnp.sin, X), object()):  # JAX cannot write it; it has no name that lasts
        called = jax.jit(kept.traced_once(called_back), static_argnames="tape")
        found = called([X], tape=static)
        np.testing.assert_array_equal(found, X + 1)
    drawn = jax.jit(kept.traced_once(lambda key: jax.random.normal(key, (2,))))(jax.random.key(0))
    np.testing.assert_array_equal(drawn, jax.random.normal(jax.random.key(0), (2,)))
    assert not [*folder.iterdir()]


def test_nothing_is_kept_unless_it_is_asked_for(folder, monkeypatch):
    assert kept.are_kept()
    monkeypatch.delenv(kept.FOLDER)
    assert not kept.are_kept()


@jax.custom_jvp
def clipped(x):
    return jnp.clip(x, 0, 1)


clipped.defjvp(lambda primals, tangents: (clipped(primals[0]), 2 * tangents[0]))


@jax.custom_jvp
def clipped_otherwise(x):
    return jnp.clip(x, 0, 1)


clipped_otherwise.defjvp(lambda primals, tangents: (clipped(primals[0]), 3 * tangents[0]))
FUNCTIONS = [
    lambda x: x + 0.0,
    lambda x: x - 0.0,
    lambda x: x + -0.0,
    lambda x: x + 0.0 * x,
    lambda x: x.sum(0),
    lambda x: x.sum(1),
    lambda x: x.sum(1, keepdims=True),
    lambda x: lax.scan(lambda c, y: (c + y, c), 0.0, x[0])[0],
    lambda x: lax.scan(lambda c, y: (c + y, c), 1.0, x[0])[0],
    lambda x: lax.scan(lambda c, y: (c * y, c), 0.0, x[0])[0],
    lambda x: lax.scan(lambda c, y: (c + y, c), 0.0, x[0], reverse=True)[0],
    lambda x: (x, x + 1),
    lambda x: (x + 1, x),
    lambda x: jnp.dot(x, x.T, precision="highest"),
    lambda x: jnp.dot(x, x.T, precision="default"),
]


def test_different_functions_have_different_digests():
    keep = [record(one, X, keep=lambda body: True).tape for one in (clipped, clipped_otherwise)]
    tapes = [*keep, *(tape(function, X) for function in FUNCTIONS), tape(FUNCTIONS[0], X[:1])]
    assert len({digest(one) for one in tapes}) == len(tapes) == len(set(tapes))


@given(networks(), networks())
@SETTINGS
def test_digests_are_equal_as_tapes_are(one, other):
    first, again, second = (
        tape(network.apply, np.zeros((1, *network.image_shape), np.float32))
        for network in (one, one, other)
    )
    assert digest(first) == digest(again)
    assert (digest(first) == digest(second)) == (first == second)


def test_another_process_finds_the_same_digest(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_kept import *\n"
        "print(digest(*(tape(function, X) for function in FUNCTIONS), 'mean', (1, None)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)], check=True, text=True,
            capture_output=True, env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1
    assert found.pop().strip() == digest(*(tape(one, X) for one in FUNCTIONS), "mean", (1, None))


@pytest.mark.parametrize("value", [object(), print, lambda: 0, [len], jax.jit(jnp.sin)])
def test_what_lies_in_memory_alone_has_no_digest(value):
    with pytest.raises(NotLastingError):
        digest(value)


def scaling(factor):
    """A primitive of one's own, whose parameters do not say what it does."""
    scale = Primitive("scale")
    scale.def_abstract_eval(lambda x: x)
    mlir.register_lowering(scale, mlir.lower_fun(lambda x: x * factor, multiple_results=False))
    return scale.bind


def kernel(body):
    def call(x):
        def run(x_ref, out_ref):
            out_ref[...] = body(x_ref[...])

        out = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return pallas.pallas_call(run, out_shape=out, interpret=True)(x)

    return call


@pytest.mark.parametrize("function", [scaling(2.0), kernel(lambda x: 2 * x)])
def test_primitives_that_are_not_jaxs_own_have_no_digest(function):
    for one in (function, lambda x: lax.map(function, x)):
        with pytest.raises(NotLastingError):
            digest(tape(one, X))


def test_settings_that_change_within_a_process_are_asked_for(folder):
    function = jax.jit(
        kept.traced_once(lambda x: x + jax.random.normal(jax.random.PRNGKey(0), (3,)))
    )
    found = []
    for is_partitionable in (True, False, True):
        with jax.threefry_partitionable(is_partitionable):
            found.append(np.asarray(function(X)))
            np.testing.assert_array_equal(
                found[-1], X + jax.random.normal(jax.random.PRNGKey(0), (3,))
            )
    assert (found[0] != found[1]).any()
    assert len([*folder.iterdir()]) == 2
