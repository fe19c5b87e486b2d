"""The labels of pictures: the folders they are in, or what a table says."""

import csv
from collections.abc import Sequence
from pathlib import Path

from .._checks import InputError


def labels_of(paths: Sequence[Path]) -> list[str] | None:
    """Each picture's label, the name of its folder; None if all have the same."""
    labels = [path.parent.name for path in paths]
    return labels if len(set(labels)) > 1 else None


def label_of_each(paths: Sequence[Path], table: Path | None = None) -> list[str]:
    """Each picture's label, from a table if there is one; refuse pictures that all have the same.

    >>> label_of_each([Path("cats/1.png"), Path("dogs/1.png")])
    ['cats', 'dogs']
    """
    found = read_labels(table, paths) if table else labels_of(paths)
    if not found or len(set(found)) < 2:
        raise InputError(
            "labels: all pictures have the same; put those of a kind in a folder of their own, or "
            "name a table with --labels"
        )
    return found


def read_labels(table: Path, paths: Sequence[Path]) -> list[str]:
    """Each picture's label, from a table of names and labels: CSV with commas, semicolons or tabs.

    A name is a picture's path or its end, such as `cat.png` or `pets/cat.png`. A first row that
    names no picture is a heading, and rows of other pictures do not matter.

    Raises `InputError` if the file cannot be read, a name fits several pictures, or a picture has
    no label.
    """
    try:
        text = table.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"labels: {table}: cannot be read ({error.strerror})") from None
    by_name: dict[str, list[int]] = {}
    for number, path in enumerate(paths):
        by_name.setdefault(path.name, []).append(number)

    def named_by(rows: list[list[str]]) -> int:
        return sum(Path(row[0].strip()).name in by_name for row in rows)

    try:
        read = (csv.reader(text.splitlines(), delimiter=mark) for mark in ",;\t")
        tables = [[row for row in rows if len(row) > 1] for rows in read]
    except csv.Error as error:
        raise InputError(f"labels: {table}: not a table ({error})") from None
    labels: dict[int, str] = {}
    for row in max(tables, key=named_by):
        end = Path(row[0].strip())
        found = [i for i in by_name.get(end.name, ()) if _ends_in(paths[i], end)]
        if len(found) > 1:
            raise InputError(f"labels: {table}: {end} fits {len(found)} pictures; write more of it")
        labels.update((number, row[1].strip()) for number in found)
    missing = [path for number, path in enumerate(paths) if number not in labels]
    if missing:
        raise InputError(
            f"labels: {table}: has none for {len(missing)} of {len(paths)} pictures, such as "
            f"{missing[0]}"
        )
    return [labels[number] for number in range(len(paths))]


def _ends_in(path: Path, end: Path) -> bool:
    return path == end or path.parts[-len(end.parts) :] == end.parts
