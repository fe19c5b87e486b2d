"""Picture sets: unreadable files are listed, a packed set gives the folder's bits."""

import dataclasses
import json
import shutil
import struct
import zlib

import numpy as np
import pytest
from conftest import refusal
from PIL import Image
from sweeping import SMALL, StopError, arrays, assert_same, interrupted, top

from jaxviz import InputError, sweep
from jaxviz.pictures.folders import Skipped

READABLE = {"gray.jpg": "L", "cmyk.jpg": "CMYK", "palette.png": "P", "alpha.png": "RGBA"}
UNREADABLE = {
    "empty.jpg": "empty",
    "enormous.png": "pixels",
    "text.jpg": "not a picture",
    "truncated.jpg": "truncated",
}


def enormous_png():
    """The head of a picture of 20,000 x 20,000 pixels; its rows would be 1.2 GB."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(60_001)))
    return b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Twenty ordinary pictures among odd and unreadable ones."""
    folder = tmp_path_factory.mktemp("mixed")
    rng = np.random.default_rng(0)
    for index in range(20):
        pixels = rng.integers(0, 256, size=(14 + index, 18, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{'abcx'[index % 4]}{index:02d}.png")
    picture = Image.fromarray(rng.integers(0, 256, size=(40, 40, 3), dtype=np.uint8))
    for name, mode in READABLE.items():
        picture.convert(mode).save(folder / name)
    picture.save(folder / "truncated.jpg")
    whole = (folder / "truncated.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "enormous.png").write_bytes(enormous_png())
    return folder


@pytest.fixture(scope="module")
def swept(mixed):
    return top(sweep.folder_pictures(mixed, SMALL), k=40)


def assert_all_there(swept, pictures):
    reasons = {one.path.rsplit("/", 1)[-1]: one.reason for one in swept.skipped}
    assert set(reasons) == set(UNREADABLE)
    for name, reason in UNREADABLE.items():
        assert reason in reasons[name] or reason in reasons[name].lower()
    seen = swept.found["conv"].images[0]
    names = {pictures.paths[i].name for i in seen[seen >= 0]}
    assert names == {path.name for path in pictures.paths} - set(UNREADABLE)


def test_unreadable_files_are_listed_and_nothing_else_is_missing(mixed, swept):
    assert_all_there(swept, sweep.folder_pictures(mixed, SMALL))


def test_features_have_a_row_for_each_readable_picture(mixed, tmp_path):
    from sweeping import vectors

    found = vectors(sweep.folder_pictures(mixed, SMALL), folder=tmp_path / "out")
    assert {one.path.rsplit("/", 1)[-1] for one in found.skipped} == set(UNREADABLE)
    assert len(found.vectors) == len(found.paths) == 24
    assert not {path.name for path in found.paths} & set(UNREADABLE)


def test_a_folder_without_one_readable_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(InputError, match=r"none could be read.*a\.png"):
        top(sweep.folder_pictures(tmp_path, SMALL))


def test_a_changed_file_changes_the_set(mixed, tmp_path):
    for path in mixed.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = sweep.folder_pictures(tmp_path, SMALL).identity()
    assert sweep.folder_pictures(tmp_path, SMALL).identity() == before
    (tmp_path / "text.jpg").write_text("another")
    assert sweep.folder_pictures(tmp_path, SMALL).identity() != before


def packed(folder, into, **options):
    pictures = sweep.folder_pictures(folder, SMALL)
    return sweep.pack(pictures, folder=into, preprocessing=SMALL, shard_size=5, **options)


def test_a_packed_set_gives_the_bits_of_its_folder(mixed, swept, tmp_path):
    pictures = packed(mixed, tmp_path / "packed")
    again = top(pictures, k=40)
    assert_same(arrays(again), arrays(swept))
    assert again.skipped == swept.skipped
    assert_all_there(again, pictures)


def test_a_packed_picture_is_the_folder_s(mixed, tmp_path):
    pictures, folder = packed(mixed, tmp_path / "packed"), sweep.folder_pictures(mixed, SMALL)
    for index, path in enumerate(folder.paths):
        if path.name not in UNREADABLE:
            pixels, placement = pictures.picture(index)
            np.testing.assert_array_equal(pixels, folder.picture(index).pixels)
            assert placement == folder.picture(index).placement


def test_interrupted_packing_is_refused_then_finished(mixed, tmp_path):
    def stop(done, total):
        if done == 10:
            raise StopError

    with pytest.raises(StopError):
        packed(mixed, tmp_path / "packed", progress=stop)
    with pytest.raises(InputError, match="not finished"):
        sweep.open_packed(tmp_path / "packed", SMALL)
    steps = []
    packed(mixed, tmp_path / "packed", progress=lambda done, total: steps.append(done))
    assert steps[-1] == 28
    packed(mixed, tmp_path / "undisturbed")
    assert_same_folder(tmp_path / "packed", tmp_path / "undisturbed")


def assert_same_folder(found, expected):
    names = sorted(path.name for path in expected.iterdir())
    assert sorted(path.name for path in found.iterdir()) == names
    for name in names:
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_packing_killed_at_random_moments_leaves_whole_shards(mixed, tmp_path, kills):
    arguments = ("--kind", "pack", "--pictures", mixed, "--folder", tmp_path / "packed")
    assert interrupted(*arguments, kills=kills, seed=kills, most=2) >= min(kills, 2)
    pictures = sweep.folder_pictures(mixed, SMALL)
    sweep.pack(pictures, folder=tmp_path / "whole", preprocessing=SMALL, shard_size=4)
    assert_same_folder(tmp_path / "packed", tmp_path / "whole")


def test_a_packed_set_serves_networks_that_crop_no_more(mixed, tmp_path):
    packed(mixed, tmp_path / "packed")
    for crop in range(1, SMALL.crop + 1):
        smaller = dataclasses.replace(SMALL, crop=crop)
        pictures = sweep.open_packed(tmp_path / "packed", smaller)
        folder = sweep.folder_pictures(mixed, smaller)
        found, expected = (np.zeros((len(folder.paths), crop, crop, 3), np.uint8) for _ in (1, 2))
        assert pictures.read(0, found) == folder.read(0, expected)
        np.testing.assert_array_equal(found, expected)
        for index in set(range(len(folder.paths))) - set(pictures.skipped):
            assert pictures.picture(index).placement == folder.picture(index).placement


@pytest.mark.parametrize("change", [{"crop": 11}, {"resize": 13}])
def test_a_packed_set_for_another_size_is_refused(mixed, tmp_path, change):
    packed(mixed, tmp_path / "packed")
    with pytest.raises(InputError, match="resize 12 and crop 10, the network takes 1"):
        sweep.open_packed(tmp_path / "packed", dataclasses.replace(SMALL, **change))


def test_small_pictures_are_packed_whole(tmp_path):
    large = dataclasses.replace(SMALL, resize=256, crop=224)
    sizes = [(8, 8), (30, 2), (224, 224), (223, 225), (224, 225), (400, 300)]
    for number, (height, width) in enumerate(sizes):
        pixels = np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    pictures = sweep.folder_pictures(tmp_path, large)
    found = sweep.pack(pictures, folder=tmp_path / "out", preprocessing=large)
    for index in range(len(sizes)):
        np.testing.assert_array_equal(found.picture(index).pixels, pictures.picture(index).pixels)
    kept = sum(min(height * width, 224**2) * 3 for height, width in sizes)
    assert (tmp_path / "out" / "shard-00000.rgb").stat().st_size == kept


def test_a_disk_that_is_too_small_is_refused(mixed, tmp_path, monkeypatch):
    free = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: free._replace(free=1000))
    with pytest.raises(InputError, match=r"28 pictures take \d,\d+ bytes, and the disk has 1,000"):
        packed(mixed, tmp_path / "packed")
    assert not list((tmp_path / "packed").glob("shard-*"))


def test_another_set_is_not_packed_into_the_same_folder(mixed, tmp_path):
    packed(mixed, tmp_path / "packed")
    pictures = sweep.FolderPictures([mixed / "gray.jpg"], SMALL)
    with pytest.raises(InputError, match="holds something else"):
        sweep.pack(pictures, folder=tmp_path / "packed", preprocessing=SMALL)


def test_a_damaged_shard_is_named(mixed, tmp_path):
    pictures = packed(mixed, tmp_path / "packed")
    (tmp_path / "packed" / "shard-00001.rgb").write_bytes(b"")
    with pytest.raises(InputError, match=r"shard-00001\.rgb: missing or damaged"):
        top(pictures)


def test_a_picture_that_vanished_is_named(tmp_path):
    pictures = sweep.FolderPictures([tmp_path / "gone.png"], SMALL)
    assert pictures.read(0, np.zeros((1, 10, 10, 3), np.uint8)) == {
        0: Skipped(str(tmp_path / "gone.png"), "no such file")
    }
    with pytest.raises(InputError, match=r"gone\.png: could be read before"):
        pictures.picture(0)


def test_pictures_in_memory_keep_where_they_come_from(mixed):
    folder = sweep.folder_pictures(mixed, SMALL)
    loaded = sweep.load_pictures(folder.paths, SMALL)
    numbers = [i for i, path in enumerate(folder.paths) if path.name not in UNREADABLE]
    assert loaded.paths == [folder.paths[i] for i in numbers]
    for index, number in enumerate(numbers):
        found, expected = loaded.picture(index), folder.picture(number)
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        assert found.placement == expected.placement
    assert {one.path.rsplit("/", 1)[-1] for one in loaded.skipped} == set(UNREADABLE)
    other = sweep.ArrayPictures(loaded.pixels, paths=loaded.paths[::-1])
    assert other.identity() != loaded.identity()


@pytest.mark.parametrize("name", ["paths", "placements"])
def test_pictures_in_memory_have_as_many_names_as_pixels(name):
    with pytest.raises(InputError, match=f"{name}: expected 3, one for each picture, got 0"):
        sweep.ArrayPictures(np.zeros((3, 4, 4, 3), np.uint8), **{name: []})


def test_a_folder_is_opened_for_what_it_holds(mixed, tmp_path):
    packed(mixed, tmp_path / "packed")
    folder, decoded = (sweep.open_pictures(f, SMALL) for f in (mixed, str(tmp_path / "packed")))
    assert isinstance(folder, sweep.FolderPictures)
    assert isinstance(decoded, sweep.PackedPictures)
    assert folder.paths == decoded.paths


DAMAGES = [
    ("jaxviz.json", "shard_size", 0), ("jaxviz.json", "shard_size", "x"),
    ("jaxviz.json", "crop", "18"), ("jaxviz.json", "resize", None),
    ("shard-00000.json", "sizes", None), ("shard-00000.json", "stored", "ab"),
    ("shard-00000.json", "paths", 5), ("shard-00000.json", "skipped", [[99, "gone"]]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "key", "value"), DAMAGES)
def test_a_packed_set_of_damaged_numbers_is_one_line(name, key, value, mixed, tmp_path):
    pictures = sweep.folder_pictures(mixed, SMALL)
    sweep.pack(pictures, folder=tmp_path / "packed", preprocessing=SMALL)
    path = tmp_path / "packed" / name
    content = json.loads(path.read_text())
    content[key] = value
    path.write_text(json.dumps(content))
    said = refusal(sweep.open_packed, tmp_path / "packed", SMALL)
    assert said.startswith(str(tmp_path / "packed"))
