"""Folders of pictures: all are found, read in order, and what cannot be read is listed."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_images import TORCHVISION, scene

import jaxviz
from jaxviz import draw
from jaxviz.files import write_manifest
from jaxviz.pictures.decoding import decode
from jaxviz.pictures.folders import SUFFIXES, find_pictures
from jaxviz.pictures.sets import load_pictures

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(["b/2.png", "a/1.PNG", "a/deep/er/3.jpeg", "z.webp"]):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(seed=10 * i)).save(file)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "a" / "folder.png").mkdir()
    return tmp_path


def test_pictures_are_found_in_all_folders_and_sorted(folder):
    found = find_pictures([folder])
    names = [path.relative_to(folder).as_posix() for path in found]
    assert names == ["a/1.PNG", "a/deep/er/3.jpeg", "b/2.png", "z.webp"]
    assert all(path.suffix.lower() in SUFFIXES for path in found)


def test_places_keep_the_order_they_were_given_in(folder):
    single = folder / "notes.txt"  # named outright, so its suffix does not matter
    assert find_pictures([folder / "b", single, folder / "a" / "deep"]) == [
        folder / "b" / "2.png",
        single,
        folder / "a" / "deep" / "er" / "3.jpeg",
    ]


def test_a_place_without_pictures_is_refused_by_name(folder):
    for name, reason in {"a/folder.png": "no pictures", "absent": "no such"}.items():
        with pytest.raises(jaxviz.InputError, match=reason) as caught:
            find_pictures([folder, folder / name])
        assert str(folder / name) in str(caught.value)


def test_loading_keeps_the_order_and_lists_what_it_skips(folder):
    (folder / "b" / "1.png").write_bytes(b"")
    (folder / "b" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing of use")
    paths = find_pictures([folder])[::-1]
    loaded = load_pictures(paths, TORCHVISION)
    bad = [folder / "b" / "3.png", folder / "b" / "1.png"]
    assert [one.path for one in loaded.skipped] == [str(path) for path in bad]
    assert all(one.reason and one.path not in one.reason for one in loaded.skipped)
    assert loaded.paths == [path for path in paths if path not in bad]
    for path, pixels, placement in zip(loaded.paths, loaded.pixels, loaded.placements, strict=True):
        whole = decode(path)
        np.testing.assert_array_equal(pixels, TORCHVISION.fit(whole))
        assert placement == TORCHVISION.placement(*whole.shape[:2])


def test_loading_nothing_readable_is_refused_with_the_reasons(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(jaxviz.InputError, match=r"bad\.png.*empty"):
        load_pictures([tmp_path / "bad.png"], TORCHVISION)
    with pytest.raises(jaxviz.InputError, match="none given"):
        load_pictures([], TORCHVISION)


def names(folder):
    return [path.relative_to(folder).as_posix() for path in find_pictures([folder])]


def test_links_are_followed_and_no_folder_is_entered_twice(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "in").mkdir()
    shutil.copy(folder / "z.webp", elsewhere / "in" / "5.webp")
    (folder / "linked").symlink_to(elsewhere, target_is_directory=True)
    (folder / "b" / "4.webp").symlink_to(folder / "z.webp")
    alone = [*names(folder)]
    assert alone == [
        "a/1.PNG", "a/deep/er/3.jpeg", "b/2.png", "b/4.webp", "linked/in/5.webp", "z.webp"
    ]  # fmt: skip
    for place in ("a/up", "b/aside", "linked/in/back"):
        (folder / place).symlink_to(folder, target_is_directory=True)
    (folder / "again").symlink_to(elsewhere / "in", target_is_directory=True)
    (folder / "0").symlink_to(folder / "b", target_is_directory=True)  # would sort before b itself
    found = names(folder)
    assert len(found) == len(alone)
    assert {os.path.realpath(folder / name) for name in found} == {
        os.path.realpath(folder / name) for name in alone
    }
    assert "b/2.png" in found


def test_what_is_no_file_is_listed_with_its_reason(folder):
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    loaded = load_pictures(find_pictures([folder]), TORCHVISION)
    assert {(Path(one.path).name, one.reason) for one in loaded.skipped} == {
        ("gone.jpg", "no such file"),
        ("pipe.jpg", "no ordinary file"),
    }
    assert len(loaded.paths) == 4


def test_a_folder_that_cannot_be_read_is_not_passed_over(folder, monkeypatch):
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("jaxviz.pictures.folders.os.scandir", refusing)
    with pytest.raises(jaxviz.InputError, match=r"deep: cannot be read \(Permission denied\)"):
        find_pictures([folder])


def test_what_jaxviz_wrote_is_no_picture(folder):
    before = names(folder)
    figure = draw.tile_grid([draw.Tile(scene())], columns=1)
    write_manifest(folder / "out", {})
    draw.save_figure(figure, folder / "out" / "conv5.png")
    assert names(folder) == before
    assert names(folder / "out") == ["conv5.png"]  # asked for outright
    draw.save_figure(figure, folder / "occlusion.png")
    loaded = load_pictures(find_pictures([folder]), TORCHVISION)
    assert [Path(one.path).name for one in loaded.skipped] == ["occlusion.png"]
    assert loaded.skipped[0].reason == "was made by jaxviz"
    assert len(loaded.paths) == len(before)
