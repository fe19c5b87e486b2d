"""Features on disk are those in memory, however often the sweep was interrupted."""

import contextlib
import json
import resource
import subprocess

import jax
import numpy as np
import pytest
from sweeping import (
    NUMBER,
    StopError,
    apply,
    finish,
    interrupted,
    names,
    params,
    pixels,
    prepare,
    run,
    two_processes,
    vectors,
)
from tolerances import assert_close

import jaxviz
from jaxviz import InputError, sweep


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    vectors(sweep.ArrayPictures(pixels(NUMBER)), folder=folder)
    return folder


def assert_same_files(folder, expected):
    for path in expected.iterdir():
        if not path.name.startswith(("sweep-", ".lock-")):
            assert (folder / path.name).read_bytes() == path.read_bytes(), path.name
    left = [name for name in names(folder) if not name.startswith("sweep-")]
    assert left == ["features.npy", "index.jsonl", "jaxviz.json"]


def test_equal_to_the_plain_technique(undisturbed):
    found = sweep.load_features(undisturbed)
    images = jax.jit(prepare)(pixels(NUMBER))
    plain = jaxviz.features(apply, params(), images, layer="wide")
    assert found.vectors.dtype == np.float32
    assert_close(found.vectors, plain)
    assert [path.name for path in found.paths] == [str(i) for i in range(NUMBER)]


def test_numpy_reads_the_file_alone(undisturbed):
    mapped = np.load(undisturbed / "features.npy", mmap_mode="r", allow_pickle=False)
    np.testing.assert_array_equal(mapped, sweep.load_features(undisturbed).vectors)


@pytest.mark.parametrize("devices", [8])
def test_number_of_devices_changes_no_bit(tmp_path, undisturbed, devices):
    run("--kind", "features", "--folder", tmp_path / "out", devices=devices)
    assert_same_files(tmp_path / "out", undisturbed)


def test_two_processes_change_no_bit(tmp_path, undisturbed):
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    finish(two_processes(tmp_path / "out", "--kind", "features", **pipes))
    assert_same_files(tmp_path / "out", undisturbed)


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_goes_on_to_the_same_bits(tmp_path, undisturbed, kills):
    arguments = ("--kind", "features", "--folder", tmp_path / "out", "--save-every", 1)
    assert interrupted(*arguments, kills=kills, seed=kills) >= max(3, kills // 2)
    assert_same_files(tmp_path / "out", undisturbed)


def begin(folder):
    def progress(done, total):
        if done >= 40:
            raise StopError

    with pytest.raises(StopError):
        vectors(sweep.ArrayPictures(pixels(NUMBER)), folder=folder, save_every=3, progress=progress)


def test_rows_that_were_not_saved_are_written_again(tmp_path, undisturbed):
    begin(tmp_path / "out")
    with (tmp_path / "out" / "sweep-00000-of-00001.npy").open("ab") as rows:
        rows.write(b"half a row")
    vectors(sweep.ArrayPictures(pixels(NUMBER)), folder=tmp_path / "out")
    assert_same_files(tmp_path / "out", undisturbed)


def test_lost_rows_are_noticed(tmp_path):
    begin(tmp_path / "out")
    (tmp_path / "out" / "sweep-00000-of-00001.npy").write_bytes(b"")
    with pytest.raises(InputError, match="rows are missing"):
        vectors(sweep.ArrayPictures(pixels(NUMBER)), folder=tmp_path / "out")


def test_after_restart_another_sweep_may_use_the_folder(tmp_path, undisturbed):
    begin(tmp_path / "out")
    with pytest.raises(InputError, match="list of pictures"):
        vectors(sweep.ArrayPictures(pixels(NUMBER, seed=2)), folder=tmp_path / "out")
    sweep.restart(tmp_path / "out")
    other = vectors(sweep.ArrayPictures(pixels(NUMBER, seed=2)), folder=tmp_path / "out")
    assert (other.vectors != sweep.load_features(undisturbed).vectors).any()


@contextlib.contextmanager
def full_disk():
    """As if the disk were full as soon as a file holds 300,000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_in_one_line_and_loses_nothing(tmp_path, undisturbed):
    seen = []

    def go_on():
        vectors(
            sweep.ArrayPictures(pixels(NUMBER)), folder=tmp_path / "out",
            save_every=3, progress=lambda done, total: seen.append(done),
        )  # fmt: skip

    message = r"00001\.npy: cannot be written \(File too large\)$"
    with full_disk(), pytest.raises(InputError, match=message):
        go_on()
    seen.clear()
    go_on()
    assert seen[0] > 20
    assert_same_files(tmp_path / "out", undisturbed)


@pytest.mark.parametrize("unfinished", [True, False])
def test_only_complete_features_are_opened(tmp_path, unfinished):
    said = "was not finished" if unfinished else "no folder of features"
    if unfinished:
        begin(tmp_path / "out")
    with pytest.raises(InputError, match=said):
        sweep.load_features(tmp_path / "out")


def test_a_damaged_file_is_named(tmp_path, undisturbed):
    for path in undisturbed.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "features.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match=r"features\.npy: missing or damaged"):
        sweep.load_features(tmp_path)
    assert json.loads((tmp_path / "jaxviz.json").read_text())["complete"]


def test_without_a_folder_they_are_the_same_in_memory(undisturbed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = sweep.load_features(undisturbed)
    found = vectors(sweep.ArrayPictures(pixels(NUMBER)))
    assert found.vectors.tobytes() == expected.vectors.tobytes()
    assert found[1:] == expected[1:]
    assert not list(tmp_path.iterdir())
