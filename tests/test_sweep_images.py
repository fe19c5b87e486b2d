"""Sweeps that make feature images: the same to the bit however they are made, and never lost."""

from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from conftest import refusal
from sweeping import (
    SHAPE,
    StopError,
    apply,
    assert_same,
    finish,
    flat,
    interrupted,
    made,
    names,
    params,
    prepare,
    run,
    two_processes,
)
from tolerances import assert_close

import jaxviz
from jaxviz import sweep

pytestmark = pytest.mark.once

FILES = ["images.npy", "index.jsonl", "jaxviz.json", "sweep-00000-of-00001.npz", "traces.npy"]


@pytest.fixture(scope="module")
def undisturbed():
    return flat(made())


def test_images_are_those_of_the_technique():
    found = made(layers="conv", batch_size=7)["conv"]
    wanted = jaxviz.feature_images(
        apply, params(), score=jaxviz.channel_mean("conv"), key=jax.random.key(3), steps=6,
        image_shape=SHAPE, prepare=prepare,
    )  # fmt: skip
    assert found.images.dtype == np.uint8
    assert found.channels.tolist() == list(range(7))
    assert np.abs(found.images - 255 * wanted.images).max() < 1
    assert_close(found.trace, wanted.trace)
    means = apply(params(), prepare(found.images))["conv"].mean(axis=(1, 2))
    assert_close(found.scores, np.diagonal(means))


def test_channels_variants_and_what_lowers_the_score():
    found = made(layers="dense", channels=[4, 1], variants=3, diversity=0, negative=True)["dense"]
    assert found.channels.tolist() == [4, 4, 4, 1, 1, 1]
    assert len({image.tobytes() for image in found.images}) == 6
    assert (found.scores < found.trace[:, 0]).all()


@pytest.mark.compiled
@pytest.mark.parametrize("number", [2, 3])
def test_number_of_devices_changes_no_bit(tmp_path, undisturbed, number):
    run("--kind", "images", "--output", tmp_path / "found.npz", devices=number)
    assert_same(np.load(tmp_path / "found.npz"), undisturbed)


@pytest.mark.compiled
def test_two_processes_change_no_bit(tmp_path, undisturbed):
    workers = two_processes(tmp_path / "made", "--kind", "images")
    finish(workers)
    for i in range(2):
        assert_same(np.load(tmp_path / f"{i}.npz"), undisturbed)


def test_a_process_without_a_batch_has_nothing_to_do(tmp_path):
    """One batch is the second process's; the first one writes the files as soon as it is done."""
    options = {"layers": "dense", "channels": [1], "folder": tmp_path}
    with ThreadPoolExecutor() as pool:
        parts = [sweep.Part(i, 2) for i in range(2)]
        found = [*pool.map(lambda part: flat(made(**options, part=part)), parts)]
    assert_same(found[0], flat(made(layers="dense", channels=[1])))
    assert_same(found[1], found[0])


def test_an_interrupted_run_goes_on_where_it_was(tmp_path, undisturbed):
    def stop(done, total):
        assert total == 18
        if done == 6:
            raise StopError

    with pytest.raises(StopError):
        made(folder=tmp_path / "made", progress=stop)
    assert "was not finished" in refusal(sweep.load_feature_images, tmp_path / "made")
    seen = []
    found = made(folder=tmp_path / "made", progress=lambda done, total: seen.append(done))
    assert seen == [7, 9, 11, 13, 15, 17, 18]
    assert_same(flat(found), undisturbed)
    assert names(tmp_path / "made") == FILES
    assert_same(flat(sweep.load_feature_images(tmp_path / "made")), undisturbed)
    assert_same(flat(made(folder=tmp_path / "made", progress=seen.append)), undisturbed)


@pytest.mark.slow
@pytest.mark.compiled
def test_killed_at_any_moment(tmp_path, undisturbed):
    folder = tmp_path / "made"
    interrupted("--kind", "images", "--folder", folder, "--pause", "0.1", kills=2, seed=1)
    assert_same(flat(sweep.load_feature_images(folder)), undisturbed)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"steps": 7}, "option steps"), ({"channels": [1]}, "option channels"),
        ({"key": jax.random.key(4)}, "option key"), ({"negative": True}, "option negative"),
        ({"parametrization": "pixels"}, "function, `apply` or `prepare`"),
    ],
)  # fmt: skip
def test_another_run_is_told_from_this_one(tmp_path, change, name):
    made(folder=tmp_path, layers="dense")
    assert f"holds a sweep with another {name}" in refusal(
        made, **({"folder": tmp_path, "layers": "dense"} | change)
    )


def test_restart_forgets_the_images(tmp_path):
    made(folder=tmp_path, layers="dense")
    sweep.restart(tmp_path)
    assert names(tmp_path) == ["jaxviz.json"]


def test_folders_that_hold_no_whole_images(tmp_path):
    assert "is no folder of feature images" in refusal(sweep.load_feature_images, tmp_path)
    made(folder=tmp_path, layers="dense")
    (tmp_path / "index.jsonl").write_text("{}\n")
    assert "missing or damaged" in refusal(sweep.load_feature_images, tmp_path)


def test_what_cannot_be_made_is_one_line(unchecked):
    assert "layer: unknown name 'conv9'" in refusal(made, layers="conv9")
    assert "channels: expected 0 to 10" in refusal(made, layers="dense", channels=[11])
    assert "channels: expected some whole numbers" in refusal(made, layers="dense", channels=[])
    assert "channels: expected some whole numbers" in refusal(made, layers="dense", channels=[1.5])
    assert "key: expected a random key" in refusal(made, key=1)
