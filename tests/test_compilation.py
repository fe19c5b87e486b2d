"""Compiled functions find out whether they are traced, and stay plain where they are."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxviz.cpu import policy
from jaxviz.cpu.compilation import compiled, inside_a_trace

X = np.ones(3, np.float32)
TRANSFORMATIONS = {
    "jit": lambda f: jax.jit(f)(X),
    "grad": lambda f: jax.grad(f)(X),
    "vmap": lambda f: jax.vmap(f)(X),
    "jvp": lambda f: jax.jvp(f, (X,), (X,)),
    "eval_shape": lambda f: jax.eval_shape(f, X),
    "make_jaxpr": lambda f: jax.make_jaxpr(f)(X),
    "grad of jit": lambda f: jax.grad(jax.jit(f))(X),
    "vmap of grad": lambda f: jax.vmap(jax.grad(f))(X),
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_every_transformation_is_seen_though_no_argument_shows_it(name):
    seen = []

    def function(x):
        seen.append(inside_a_trace())
        compiled(lambda: jnp.ones(2))()  # with compiler options this would raise
        return x.sum()

    with jax.disable_jit(False):
        TRANSFORMATIONS[name](function)
    assert seen and all(seen)
    assert not inside_a_trace()


def test_a_trace_belongs_to_its_thread():
    seen = []

    def function(x):
        thread = threading.Thread(target=lambda: seen.append(inside_a_trace()))
        thread.start()
        thread.join()
        return x

    jax.make_jaxpr(function)(X)
    assert seen == [False]


def test_static_arguments_and_other_backends(monkeypatch):
    double = compiled(lambda x, *, times: x * times, static_argnames=("times",))
    np.testing.assert_array_equal(double(X, times=2), 2 * X)
    monkeypatch.setattr(policy, "on_cpu", lambda: False)
    policy.compiler_options.cache_clear()
    assert policy.compiler_options() is None
    policy.compiler_options.cache_clear()
