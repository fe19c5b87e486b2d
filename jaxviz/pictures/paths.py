"""The paths of very many pictures, in little memory."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import SupportsIndex, overload


class Paths(Sequence[Path]):
    """Paths that are kept as text; each becomes a `Path` when it is asked for.

    A million `Path`s take 450 bytes each, their text a fifth of that.

    >>> paths = Paths(["a/1.png", "a/2.png"])
    >>> paths[1].name, len(paths), paths == [Path("a/1.png"), Path("a/2.png")]
    ('2.png', 2, True)
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Each text is what `str` gives of a path."""
        self._text = bytearray()
        self._ends = array("q", [0])
        self.extend(texts)

    def extend(self, texts: Iterable[str]) -> None:
        """Add these at the end."""
        for text in texts:
            self._text += text.encode("utf-8", "surrogatepass")
            self._ends.append(len(self._text))

    def texts(self) -> Iterator[str]:
        """All of them as text."""
        return map(self._at, range(len(self)))

    def _at(self, index: int) -> str:
        part = self._text[self._ends[index] : self._ends[index + 1]]
        return part.decode("utf-8", "surrogatepass")

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: SupportsIndex) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Path | list[Path]:
        every = range(len(self))
        if isinstance(index, slice):
            return [Path(self._at(number)) for number in every[index]]
        return Path(self._at(every[index]))

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self.texts())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Paths):
            return self._text == other._text and self._ends == other._ends
        return isinstance(other, Sequence) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment]


def texts_of(paths: Sequence[Path]) -> Iterator[str]:
    """The text of each path."""
    return paths.texts() if isinstance(paths, Paths) else map(str, paths)
