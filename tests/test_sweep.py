"""A sweep's answer is that of the plain technique, to the bit, however it is run."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeping import (
    LAYERS,
    NUMBER,
    SWEEPING,
    StopError,
    apply,
    arrays,
    assert_same,
    environment,
    finish,
    interrupted,
    names,
    params,
    pixels,
    prepare,
    run,
    top,
    two_processes,
)
from tolerances import assert_close

import jaxviz
from jaxviz import InputError, devices, sweep
from jaxviz._prefetch import prefetch

pytestmark = pytest.mark.optimized


@pytest.fixture(scope="module")
def undisturbed():
    return arrays(top(sweep.ArrayPictures(pixels(NUMBER))))


@given(st.integers(1, 23), st.integers(1, 6), st.booleans(), st.booleans())
@settings(max_examples=6)
def test_equals_a_sort_of_all_activations(number, size, largest, unique):
    images = pixels(number)
    found = top(
        sweep.ArrayPictures(images), batch_size=size, largest=largest, unique_images=unique
    ).found
    for layer in LAYERS:
        values = np.asarray(
            jaxviz.activation_maps(apply, params(), prepare(images), layers=layer)[layer]
        )
        values = values if values.ndim == 4 else values[:, None, None]
        for channel in range(values.shape[-1]):
            one = values[..., channel] if largest else -values[..., channel]
            every = one.max((1, 2)) if unique else one
            best = -np.sort(-every, axis=None)[:4]
            sign = 1 if largest else -1
            got = [sign * f for f in found[layer].values[channel][: len(best)]]
            assert_close(got, best, beside=values)
            for rank in range(len(best)):
                index, row, col = (int(f[channel, rank]) for f in found[layer][1:])
                assert_close(one[index, row, col], best[rank], beside=values)


@pytest.mark.compiled
def test_batches_of_images_give_the_same_bits(undisturbed):
    images = jax.jit(prepare)(pixels(NUMBER))
    batches = [images[i : i + 4] for i in range(0, NUMBER, 4)]
    plain = jaxviz.top_patches(apply, params(), batches, layers=LAYERS, k=4)
    assert_same(arrays(sweep.Swept(plain, [])), undisturbed)


@pytest.mark.parametrize("number", [2, 8])
def test_number_of_devices_changes_no_bit(tmp_path, undisturbed, number):
    run("--output", tmp_path / "found.npz", devices=number)
    assert_same(np.load(tmp_path / "found.npz"), undisturbed)


def test_two_processes_change_no_bit_even_after_one_was_killed(tmp_path, undisturbed):
    _, second = workers = two_processes(tmp_path / "out", stdout=subprocess.PIPE)
    second.stdout.readline()  # the second is at work
    for worker in workers:
        worker.kill()
        worker.communicate()
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    finish(two_processes(tmp_path / "out", **pipes))
    for index in range(2):
        assert_same(np.load(tmp_path / f"{index}.npz"), undisturbed)


@pytest.mark.compiled
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_goes_on_to_the_same_bits(tmp_path, undisturbed, kills):
    arguments = ("--folder", tmp_path / "out", "--output", tmp_path / "found.npz")
    killed = interrupted(*arguments, "--save-every", 1, kills=kills, seed=kills)
    assert killed >= max(3, kills // 2)
    assert_same(np.load(tmp_path / "found.npz"), undisturbed)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pictures():
    """50,000 pictures of 12 kB would be 600 MB; their paths are made when asked for."""
    few, many = (
        int(subprocess.run(
            [sys.executable, SWEEPING, "--kind", "peak", "--number", str(number)],
            env=environment(), text=True, capture_output=True, check=True,
        ).stdout)
        for number in (500, 50_000)
    )  # fmt: skip
    assert many - few < 30_000  # kilobytes


def begin(folder, *, after=40, **options):
    """A sweep that ends by an error after some pictures, as an interruption does."""

    def progress(done, total):
        if done >= after:
            raise StopError

    with pytest.raises(StopError):
        top(
            sweep.ArrayPictures(pixels(NUMBER)),
            folder=folder, save_every=1, progress=progress, **options,
        )  # fmt: skip


def test_a_resumed_sweep_does_not_start_again(tmp_path, undisturbed):
    begin(tmp_path / "out")
    seen = []
    resumed = top(
        sweep.ArrayPictures(pixels(NUMBER)),
        folder=tmp_path / "out", progress=lambda done, total: seen.append(done),
    )  # fmt: skip
    assert seen[0] > 40
    assert_same(arrays(resumed), undisturbed)
    again = top(
        sweep.ArrayPictures(pixels(NUMBER)),
        folder=tmp_path / "out", progress=lambda done, total: seen.append(-1),
    )  # fmt: skip
    assert -1 not in seen
    assert_same(arrays(again), undisturbed)


def test_saving_leaves_only_whole_files(tmp_path):
    begin(tmp_path / "out")
    (tmp_path / "out" / ".sweep-00000-of-00001.npz.abc").write_bytes(b"half")
    top(sweep.ArrayPictures(pixels(NUMBER)), folder=tmp_path / "out")
    assert names(tmp_path / "out") == ["jaxviz.json", "sweep-00000-of-00001.npz"]


CHANGED = {
    "one picture more": (lambda: pixels(NUMBER + 1), {}, "number of pictures \\(203, now 204\\)"),
    "another picture": (lambda: pixels(NUMBER, seed=2), {}, "list of pictures"),
    "another k": (lambda: pixels(NUMBER), {"k": 5}, "option k \\(4, now 5\\)"),
    "other layers": (lambda: pixels(NUMBER), {"layers": "conv"}, "option layers"),
    "the smallest": (lambda: pixels(NUMBER), {"largest": False}, "option largest"),
    "all places": (lambda: pixels(NUMBER), {"unique_images": False}, "option unique images"),
    "another batch size": (lambda: pixels(NUMBER), {"batch_size": 5}, "option batch size"),
    "more processes": (lambda: pixels(NUMBER), {"part": sweep.Part(0, 2)}, "processes \\(1, now 2"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_going_on_with_anything_else_is_refused(tmp_path, change):
    images, options, said = CHANGED[change]
    begin(tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(InputError, match=said) as caught:
        top(sweep.ArrayPictures(images()), folder=tmp_path / "out", **options)
    assert "\n" not in str(caught.value)
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_going_on_with_other_weights_is_refused(tmp_path):
    begin(tmp_path / "out")
    with pytest.raises(InputError, match="another weights"):
        sweep.top_patches(
            apply, params(1), sweep.ArrayPictures(pixels(NUMBER)), folder=tmp_path / "out",
            prepare=prepare, layers=LAYERS, k=4, batch_size=4,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["jaxviz.sweep.identity.__version__", "jax.__version__"])
def test_going_on_with_other_software_is_refused(tmp_path, monkeypatch, name):
    begin(tmp_path / "out")
    monkeypatch.setattr(name, "0.0.1")
    with pytest.raises(InputError, match=f"another version of {name.split('.')[0]} .*now 0.0.1"):
        top(sweep.ArrayPictures(pixels(NUMBER)), folder=tmp_path / "out")


def test_a_folder_of_someone_else_is_not_touched(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not made by jaxviz"):
        top(sweep.ArrayPictures(pixels(3)), folder=tmp_path)


@given(st.integers(0, 30), st.integers(1, 5))
def test_prefetch_keeps_the_order_and_its_distance(number, depth):
    made = []
    for done, value in enumerate(
        prefetch(lambda i: made.append(i) or i, range(number), depth=depth)
    ):
        assert value == done
        assert len(made) <= done + 1 + depth
    assert sorted(made) == list(range(number))


def test_an_error_surfaces_where_its_result_would_have():
    results = prefetch(lambda i: 1 // (3 - i), range(9))
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_unless_said_the_batch_size_suits_the_device(monkeypatch):
    found = {}
    for backend in ("cpu", "gpu", "tpu"):
        monkeypatch.setattr("jax.default_backend", lambda backend=backend: backend)
        found[backend] = devices.batch_size(None)
        assert devices.batch_size(7) == 7
    assert found["cpu"] < found["gpu"] == found["tpu"]
    with pytest.raises(InputError, match="batch_size"):
        devices.batch_size(0)
