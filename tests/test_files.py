"""A file appears whole or not at all, and never over one that is not ours."""

import json
import os
import stat
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

import jaxviz
from jaxviz.draw import save_figure, stacked_png
from jaxviz.files import (
    MANIFEST,
    claim_file,
    claim_folder,
    write_arrays,
    write_manifest,
    write_whole,
)

pytestmark = pytest.mark.once


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def refusal(function, *arguments):
    with pytest.raises(jaxviz.InputError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_what_is_written_is_read_back_and_leaves_nothing_beside_it(tmp_path_factory, old, new):
    folder = tmp_path_factory.mktemp("whole")
    for data in (old, new):
        assert write_whole(folder / "inner" / "file", data).read_bytes() == data
    assert names(folder / "inner") == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [None, b"the old content"])
def test_a_write_that_fails_leaves_what_was_there(step, error, before, tmp_path, monkeypatch):
    file = tmp_path / "result.png"
    if before is not None:
        file.write_bytes(before)

    def fail(*arguments, **options):
        raise error

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, step, fail)
    if isinstance(error, OSError):
        message = refusal(write_whole, file, b"the new content")
        assert str(file) in message
        assert "No space left" in message
    else:
        with pytest.raises(KeyboardInterrupt):
            write_whole(file, b"the new content")
    monkeypatch.undo()
    assert names(tmp_path) == ([] if before is None else ["result.png"])
    assert before is None or file.read_bytes() == before


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path, monkeypatch):
    file = tmp_path / "result.png"
    file.write_bytes(b"old")
    seen = []
    real = os.fsync

    def look(handle):
        beside = next(path for path in tmp_path.iterdir() if path != file)
        seen.append((file.read_bytes(), beside.read_bytes()))
        real(handle)

    monkeypatch.setattr(os, "fsync", look)
    write_whole(file, b"new")
    assert seen == [(b"old", b"new")]
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o077, 0o600)])
def test_files_get_the_permissions_that_the_user_asks_for(mask, mode, tmp_path):
    old = os.umask(mask)
    try:
        file = write_whole(tmp_path / "file", b"")
    finally:
        assert os.umask(old) == mask
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_place_that_cannot_hold_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert str(tmp_path / "file" / "x.png") in refusal(
        write_whole, tmp_path / "file" / "x.png", b""
    )
    (tmp_path / "folder").mkdir()
    assert str(tmp_path / "folder") in refusal(write_whole, tmp_path / "folder", b"")
    assert names(tmp_path) == ["file", "folder"]
    long = tmp_path / ("x" * 300 + ".png")
    assert "cannot be" in refusal(write_whole, long, b"")


def test_our_own_results_may_be_replaced(tmp_path):
    figure = Figure((1, 1))
    save_figure(figure, tmp_path / "one.png")
    write_whole(tmp_path / "two.png", stacked_png([figure, figure]))
    write_arrays(tmp_path / "three.npz", {"x": np.arange(3)}, {})
    for name in ("one.png", "two.png", "three.npz", "absent.png", "new/folder/absent.npz"):
        assert claim_file(tmp_path / name) == tmp_path / name


def test_what_is_not_ours_is_refused_and_left_alone(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.npz", "PNG")
    np.savez(tmp_path / "arrays.npz", x=np.arange(3))
    (tmp_path / "empty.png").touch()
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.png").write_text("Software jaxviz")
    (tmp_path / "cut.png").write_bytes((tmp_path / "photo.png").read_bytes()[:40])
    # A header that claims 60000 x 60000 pixels, which Pillow refuses to open.
    photo = bytearray((tmp_path / "photo.png").read_bytes())
    photo[16:24] = (60000).to_bytes(4, "big") * 2
    photo[29:33] = zlib.crc32(photo[12:29]).to_bytes(4, "big")
    (tmp_path / "enormous.png").write_bytes(photo)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in before:
        message = refusal(claim_file, tmp_path / name)
        assert message.startswith(f"{tmp_path / name}: exists and was not made by jaxviz")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_foreign_software_text_is_not_our_mark(tmp_path):
    Figure((1, 1)).savefig(tmp_path / "plot.png")  # says Matplotlib
    refusal(claim_file, tmp_path / "plot.png")


def test_folders_and_paths_through_files_are_no_file_names(tmp_path):
    (tmp_path / "file").touch()
    assert "is a folder" in refusal(claim_file, tmp_path)
    assert "not a folder" in refusal(claim_file, tmp_path / "file" / "x.png")
    assert "is a file" in refusal(claim_folder, tmp_path / "file")


def test_a_folder_is_ours_when_new_empty_or_with_our_manifest(tmp_path):
    assert claim_folder(tmp_path / "new") == tmp_path / "new"
    assert claim_folder(tmp_path) == tmp_path
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "was not made by jaxviz" in refusal(claim_folder, tmp_path)
    write_manifest(tmp_path / "ours", {"patches": [Path("a"), "ü"]})
    (tmp_path / "ours" / "index.html").touch()
    assert claim_folder(tmp_path / "ours") == tmp_path / "ours"
    content = json.loads((tmp_path / "ours" / MANIFEST).read_text("utf-8"))
    assert content == {"patches": ["a", "ü"]}


def test_file_names_that_are_not_utf8_are_kept_in_the_manifest(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    file = write_manifest(tmp_path, {"image": name})
    assert json.loads(file.read_text("utf-8")) == {"image": name}


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_.]{0,8}", fullmatch=True), st.integers(), max_size=4
    )
)
def test_arrays_come_back_with_their_provenance(tmp_path_factory, numbers):
    folder = tmp_path_factory.mktemp("arrays")
    numbers.pop("jaxviz", None)
    numbers = {name: value % 2**40 for name, value in numbers.items()}
    record = {"options": numbers, "path": Path("ä"), "nothing": None}
    file = write_arrays(folder / "x.npz", {k: np.full((2,), v) for k, v in numbers.items()}, record)
    with np.load(file, allow_pickle=False) as found:
        assert json.loads(str(found["jaxviz"])) == {**record, "path": "ä"}
        assert {k: v.tolist() for k, v in found.items() if k != "jaxviz"} == {
            name: [value, value] for name, value in numbers.items()
        }
    assert claim_file(file) == file


@pytest.mark.parametrize("claim", [claim_file, claim_folder])
def test_a_place_without_permission_is_refused_before_the_work(claim, tmp_path, monkeypatch):
    asked = []

    def access(path, mode):
        asked.append((Path(path), mode))
        return False

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(jaxviz.InputError, match="cannot be written"):
        claim(tmp_path / "new" / "out")
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]
