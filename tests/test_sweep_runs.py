"""Two runs in one folder: the second is refused, and no wrong file is ever called complete."""

import contextlib
import errno
import itertools
import random
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from sweeping import (
    NUMBER,
    SHAPE,
    SMALL,
    arrays,
    assert_same,
    pixels,
    run,
    start,
    top,
    two_processes,
    vectors,
)

from jaxviz import InputError, sweep
from jaxviz.files import only_run


def parts(folder, *shapes):
    with contextlib.ExitStack() as stack:
        for shape in shapes:
            stack.enter_context(only_run(folder, *shape))


@pytest.mark.parametrize("shape", [(0, 1), (0, 2), (1, 2), (0, 3)])
def test_the_processes_of_one_run_share_a_folder_and_nobody_else(tmp_path, shape):
    folder = tmp_path / "new" / "out"
    parts(folder, (0, 2), (1, 2))
    parts(folder, shape)
    with only_run(folder, 0, 2), only_run(folder, 1, 2):
        with pytest.raises(InputError, match="out: another run is at work there; wait") as caught:
            parts(folder, shape)
        assert "\n" not in str(caught.value)
    parts(folder, shape)
    assert [path.name for path in folder.iterdir()] == [".lock-jaxviz.json"]


@pytest.mark.parametrize("reason", [NotImplementedError(), OSError(errno.ENOLCK, "No locks")])
def test_without_locks_a_warning_says_so(tmp_path, monkeypatch, reason):
    def refuse(*_, **__):
        raise reason

    monkeypatch.setattr("jaxviz.files.FileLock.acquire", refuse)
    with pytest.warns(UserWarning, match="no locks here; start no second run on this folder"):
        parts(tmp_path, (0, 1))


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for index, one in enumerate(pixels(NUMBER)):
        Image.fromarray(one).save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture(scope="module")
def undisturbed():
    pictures = sweep.ArrayPictures(pixels(NUMBER))
    return {"top": arrays(top(pictures)), "features": vectors(pictures).vectors}


def refused(action):
    with pytest.raises(InputError, match="another run is at work there"):
        action()


@pytest.mark.parametrize("kind", ["features", "top"])
def test_a_second_run_is_refused_until_the_first_has_died(tmp_path, undisturbed, kind):
    pictures, folder = sweep.ArrayPictures(pixels(NUMBER)), tmp_path / "out"
    first = start(
        "--kind", kind, "--folder", folder, "--pause", 0.2, "--save-every", 1,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    first.stdout.readline()
    refused(lambda: vectors(pictures, folder=folder))
    refused(lambda: vectors(pictures, folder=folder, part=sweep.Part(1, 2)))
    refused(lambda: top(pictures, folder=folder))
    refused(lambda: sweep.restart(folder))
    packing = sweep.FolderPictures([folder / "none.png"], SMALL)
    refused(lambda: sweep.pack(packing, folder=folder, preprocessing=SMALL))
    with pytest.raises(InputError):
        sweep.load_features(folder)
    first.kill()
    first.communicate()
    seen = []
    options = {"folder": folder, "progress": lambda done, total: seen.append(done)}
    if kind == "features":
        found = vectors(pictures, **options).vectors
        assert found.tobytes() == undisturbed[kind].tobytes()
    else:
        assert_same(arrays(top(pictures, **options)), undisturbed[kind])
    assert seen[0] > 4  # it goes on where the first was killed


def test_features_that_are_written_anew_meanwhile_are_not_opened(tmp_path, monkeypatch):
    vectors(sweep.ArrayPictures(pixels(8)), folder=tmp_path)
    room = sys.modules["jaxviz.sweep.features"]
    mapped = room.map_array

    def meanwhile(path):
        monkeypatch.setattr(room, "map_array", mapped)
        sweep.restart(tmp_path)
        vectors(sweep.ArrayPictures(pixels(12)), folder=tmp_path)
        return mapped(path)

    monkeypatch.setattr(room, "map_array", meanwhile)
    with pytest.raises(InputError, match="is being written anew"):
        sweep.load_features(tmp_path)
    sweep.load_features(tmp_path)
    (tmp_path / "index.jsonl").unlink()
    with pytest.raises(InputError, match=r"index\.jsonl: missing or damaged"):
        sweep.load_features(tmp_path)


def test_a_set_that_is_packed_anew_meanwhile_is_not_read_on(tmp_path, photographs):
    pictures = sweep.folder_pictures(photographs, SMALL)
    packed = sweep.pack(pictures, folder=tmp_path / "out", preprocessing=SMALL, shard_size=50)
    out = np.zeros((4, *SHAPE), np.uint8)
    packed.read(0, out)
    sweep.restart(tmp_path / "out")
    sweep.pack(pictures, folder=tmp_path / "out", preprocessing=SMALL, shard_size=50)
    with pytest.raises(InputError, match="was packed anew meanwhile"):
        packed.read(0, out)
    with pytest.raises(InputError, match="was packed anew meanwhile"):
        packed.picture(0)


def test_a_folder_of_another_kind_is_not_taken_over(tmp_path, photographs):
    pictures = sweep.folder_pictures(photographs, SMALL)
    sweep.pack(pictures, folder=tmp_path / "out", preprocessing=SMALL, shard_size=50)
    with pytest.raises(InputError, match="holds packed pictures; name another folder"):
        vectors(pictures, folder=tmp_path / "out")
    sweep.open_packed(tmp_path / "out", SMALL)


KINDS = ("features", "top", "restart", "pack", "two processes")


@pytest.mark.slow
@pytest.mark.parametrize("pair", [*itertools.product(KINDS, KINDS)], ids="/".join)
def test_two_runs_with_kills_never_leave_a_wrong_file(tmp_path, photographs, undisturbed, pair):
    rng, folder = random.Random(str(pair)), tmp_path / "out"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def begin(kind):
        if kind == "two processes":
            return two_processes(folder, "--kind", "features", "--save-every", 1, **quiet)
        options = ("--folder", folder, "--save-every", 1, "--pause", 0.03)
        if kind == "pack":
            options = (*options, "--pictures", photographs)
        return [start("--kind", kind, *options, **quiet)]

    def look():
        """Whatever is called complete must be right."""
        with contextlib.suppress(InputError):
            found = sweep.load_features(folder).vectors
            assert found.tobytes() == undisturbed["features"].tobytes()
        with contextlib.suppress(InputError):
            packed = sweep.open_packed(folder, SMALL)
            out = np.zeros((NUMBER, *SHAPE), np.uint8)
            packed.read(0, out)
            whole = np.zeros_like(out)
            sweep.folder_pictures(photographs, SMALL).read(0, whole)
            np.testing.assert_array_equal(out, whole)

    for _ in range(3):
        workers = begin(pair[0])
        time.sleep(rng.choice([0, 1, 2.5]))
        workers += begin(pair[1])
        last = time.monotonic() + rng.uniform(2, 9)
        while time.monotonic() < last:
            look()
            time.sleep(0.02)
        for worker in workers:
            worker.kill()
            worker.communicate()
        look()
    sweep.restart(folder)
    run("--kind", "features", "--folder", folder)
    assert sweep.load_features(folder).vectors.tobytes() == undisturbed["features"].tobytes()
