"""Labels from a table fit their pictures, or the line says which one has none."""

from pathlib import Path

import pytest
from conftest import refusal

from jaxviz.analyses.labels import labels_of, read_labels

PATHS = [Path("x/a.png"), Path("x/b, c.png"), Path("y/ねこ.png")]


def table(tmp_path, text, encoding="utf-8"):
    file = tmp_path / "labels.csv"
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("heading", ["", "file{0}label\n", "\n", "file{0}label; or, none\n"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_picture_has_its_label(mark, heading, encoding, end, tmp_path):
    rows = ['a.png{0}"big, cat"', '"b, c.png"{0}dog{0}0.7', "y/ねこ.png{0} ねこ ", "z.png{0}no"]
    text = (heading + "\n".join(rows)).format(mark).replace("\n", end)
    assert read_labels(table(tmp_path, text, encoding), PATHS) == ["big, cat", "dog", "ねこ"]


def test_what_is_missing_or_fits_several_is_said(tmp_path):
    said = refusal(read_labels, table(tmp_path, "a.png,cat"), PATHS)
    assert "has none for 2 of 3 pictures, such as x/b, c.png" in said
    twice = [Path("x/a.png"), Path("y/a.png")]
    assert "a.png fits 2 pictures" in refusal(read_labels, table(tmp_path, "a.png,cat"), twice)
    assert read_labels(table(tmp_path, "x/a.png,cat\ny/a.png,dog"), twice) == ["cat", "dog"]
    assert "cannot be read" in refusal(read_labels, tmp_path / "absent.csv", PATHS)
    long = table(tmp_path, f"a.png,{'x' * 200_000}")
    assert "not a table (field larger" in refusal(read_labels, long, PATHS)


def test_folders_are_labels_unless_there_is_one():
    assert labels_of(PATHS) == ["x", "x", "y"]
    assert labels_of(PATHS[:2]) is None
