"""Floors are counted right, and the rows of a profile add up to the whole."""

import importlib
import json
import math
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxviz

pytestmark = pytest.mark.once

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PROFILES = sorted((BENCHMARKS / "results").glob("profile-*.json"))


@pytest.fixture(scope="module")
def floors():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("floors")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def alexnet():
    return jaxviz.load("alexnet")


def test_a_convolution_is_counted_as_by_hand(floors, alexnet):
    images = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    work = floors.forward_work(lambda x: alexnet.apply(alexnet.params, x)["conv1"], images)
    assert work.operations == 2 * 2 * (55 * 55 * 64) * (11 * 11 * 3)
    assert work.parameters == 4 * (11 * 11 * 3 * 64 + 64)
    assert work.result == 4 * 2 * 55 * 55 * 64


def test_all_convolutions_of_alexnet_have_the_published_multiply_adds(floors, alexnet):
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    work = floors.forward_work(lambda x: alexnet.apply(alexnet.params, x)["pool5"], images)
    dense = 9216 * 4096 + 4096 * 4096 + 4096 * 1000
    assert work.operations == 2 * (714_188_480 - dense)


def test_a_layers_own_work_is_a_difference(floors):
    before, after = floors.Work(10, 4, 100), floors.Work(30, 24, 50)
    assert floors.own(before, after) == {"operations": 20, "num_bytes": 100 + 20 + 50}


def test_occlusion_by_a_pointwise_network_is_counted_as_by_hand(floors):
    mix = jnp.ones((3, 5))
    places = {"window": 4, "stride": 4}
    work = floors.occlusion_work(lambda params, x: {"mix": x @ params}, mix, (8, 8, 3), **places)
    assert work.operations == 2 * (64 + 4 * 16) * 3 * 5  # the image, then four windows
    assert work.parameters == 4 * 3 * 5
    assert work.result == 4 * (64 + 4 * 16) * 5
    nothing = floors.occlusion_work(lambda params, x: {"same": x}, mix, (8, 8, 3), **places)
    assert nothing == floors.Work(0, 0, 4 * (64 + 4 * 16) * 3)


def test_the_floor_is_the_larger_of_both_times(floors):
    rates = {"operations": 100.0, "bytes": 10.0}
    assert floors.floor(200, 10, rates) == 2.0
    assert floors.floor(200, 50, rates) == 5.0
    assert floors.floor(None, None, rates) is None


def test_rows_are_differences_and_negative_ones_stay(floors):
    stages = [
        floors.Stage("a", None, 100, 0, torch=len),
        floors.Stage("b", None, 0, 10, torch=len),
        floors.Stage("c", None),
    ]
    middle = {
        ("jaxviz", "a"): 2.0, ("jaxviz", "b"): 1.5, ("jaxviz", "c"): 4.0,
        ("torch", "a"): 1.0, ("torch", "b"): 3.0,
    }  # fmt: skip
    found = floors.rows(stages, middle, {"operations": 100.0, "bytes": 10.0})
    assert [row["ms"] for row in found.values()] == [2000, -500, 2500, 4000]
    assert found["a"]["times_the_floor"] == 2.0
    assert found["b"]["torch_ms"] == 2000
    assert "floor_ms" not in found["c"]
    assert "torch_ms" not in found["c"]
    assert found["all"]["floor_ms"] == 2000
    assert found["all"]["torch_ms"] == 3000


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_measured_rows_add_up(path):
    for one in json.loads(path.read_text(encoding="utf-8"))["paths"].values():
        *rows, whole = one["rows"].values()
        for key in ("ms", "share", "floor_ms", "torch_ms"):
            values = [row.get(key, 0) for row in rows]
            rounding = 1e-3 * math.fsum(map(abs, values))
            assert math.fsum(values) == pytest.approx(whole.get(key, 0), abs=rounding)
        cuts = {name: np.median(values) for name, values in one["seconds"].items()}
        last = [name for name in cuts if name.startswith("jaxviz ")][-1]
        assert cuts[last] * 1e3 == pytest.approx(whole["ms"], rel=1e-3)
