"""Where distances are estimated: vectors shifted and scaled so that float32 products suffice.

The squared distance |q|^2 + |x|^2 - 2 q x loses its digits where the vectors share an offset that
is large beside their distances, and overflows or vanishes for very large or small numbers. So
vectors are taken relative to a center, and scaled by a power of two, where either is needed.
"""

import math
from typing import NamedTuple

import numpy as np

from ..._checks import InputError

FLOOR = np.float32(2.0**-90)  # more than float32 underflow can take from a squared distance
_SMALL, _LARGE = 2.0**-60, 2.0**100  # squared lengths between which float32 is safe
_SAMPLE = 32  # rows of the database that the center is the mean of
_OFFSET = 4  # so many times the spread about the center, an offset is worth a pass over the data
_BLOCK_BYTES = 2**18  # of float64 vectors handled together, which a core's cache holds


class Placed(NamedTuple):
    """Vectors (n, dim) in a frame, ready for products.

    A product with `vectors` times `factors`, if there are any, is one with the placed vector, whose
    squared length is in `squares`. Those `far` are placed nearer than they are.
    """

    vectors: np.ndarray
    squares: np.ndarray
    factors: np.ndarray | None = None
    far: np.ndarray | None = None


class Frame(NamedTuple):
    """A scale, which is a power of two, and a center; for cosine, of vectors of unit length.

    Squared distances in the frame are those of the vectors times `scale` squared, or twice the
    cosine distances. To be at cosine distance 1 from all, a zero vector counts as a unit vector at
    right angles to all others.
    """

    cosine: bool
    scale: float
    center: np.ndarray | None

    @classmethod
    @np.errstate(invalid="ignore")  # what is not finite is refused when it is placed
    def fitting(cls, queries: np.ndarray, database: np.ndarray, *, cosine: bool) -> "Frame":
        """The frame for some queries and a database, of which a few rows are looked at."""
        sample = as_float32(database[:: max(1, len(database) // _SAMPLE)][:_SAMPLE])
        largest = max(np.abs(vectors, dtype=np.float32).max() for vectors in (queries, sample))
        exponent = math.frexp(largest)[1] if np.isfinite(largest) else 0
        scale = 1.0 if cosine or -16 <= exponent <= 32 or not largest else 2.0**-exponent
        units = cls(cosine, scale, None).exact(sample)
        center = units.mean(axis=0)
        spread = np.vecdot(units - center, units - center).mean()
        centered = np.vecdot(center, center) > _OFFSET * spread
        return cls(cosine, scale, center if centered else None)

    @property
    def is_plain(self) -> bool:
        """Whether most vectors are placed as they are."""
        return self.center is None and self.scale == 1

    def exact(self, vectors: np.ndarray) -> np.ndarray:
        """The vectors in this frame, in float64."""
        exact = vectors.astype(np.float64)
        if self.cosine:
            exact /= _divisors(exact)[0]
        elif self.scale != 1:
            exact *= self.scale
        if self.center is not None:
            exact -= self.center
        return exact

    def place(self, vectors: np.ndarray, name: str, first: int = 0) -> Placed:
        """The vectors in this frame; they are row `first` of `name` and those that follow."""
        if self.is_plain:
            with np.errstate(over="ignore", invalid="ignore"):
                squares = np.vecdot(vectors, vectors)
            doubtful = ~((squares > _SMALL) & (squares < _LARGE))
            if not vectors[doubtful].any():  # zeros are all right
                if not self.cosine:
                    return Placed(vectors, squares)
                lengths = np.sqrt(np.where(squares == 0, np.float32(1), squares))
                return Placed(vectors, np.ones_like(squares), 1 / lengths)
        placed, squares = np.empty(vectors.shape, np.float32), np.empty(len(vectors))
        for block in blocks(len(vectors), vectors.shape[1]):
            finite = np.isfinite(vectors[block]).all(axis=1)
            if not finite.all():
                row = first + block.start + int(finite.argmin())
                raise InputError(f"{name}: expected finite numbers, got others in row {row}")
            exact = self.exact(vectors[block])
            squares[block] = np.vecdot(exact, exact)
            exact *= np.sqrt(np.minimum(1, _LARGE / np.maximum(squares[block], 1)))[:, None]
            placed[block] = exact
        far = squares > _LARGE
        squares = np.minimum(squares, _LARGE)
        if self.cosine:
            squares += ~vectors.any(axis=1)
        return Placed(placed, squares.astype(np.float32), None, far)

    def squared_distances(
        self, queries: np.ndarray, numbers: np.ndarray, database: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        """The squared distances of pairs, by difference in float64, in the vectors' own scale.

        A pair is the number of a query and a row of the database. For cosine, the queries are of
        unit length already. All blocks use the same memory, which takes half the time.
        """
        squared, space = np.empty(len(rows)), np.empty((_block(database.shape[1]), len(queries[0])))
        are_zero = np.vecdot(queries, queries) == 0 if self.cosine else np.zeros(0, bool)
        for block in blocks(len(rows), database.shape[1]):
            asked, found = queries[numbers[block]], as_float32(database[rows[block]])
            exact = space[: len(found)]
            exact[...] = found
            if self.cosine:
                divisors, is_zero = _divisors(exact)
                exact /= divisors
            exact -= asked
            squared[block] = np.vecdot(exact, exact)
            if self.cosine:
                squared[block][is_zero | are_zero[numbers[block]]] = 2
        return squared


def _divisors(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What brings vectors to length 1, (n, 1), and which of them are zero, for which it is 1."""
    lengths = np.sqrt(np.vecdot(vectors, vectors))
    return np.where(lengths == 0, 1, lengths)[:, None], lengths == 0


def _block(dim: int) -> int:
    """How many vectors a core's cache holds in float64."""
    return max(1, _BLOCK_BYTES // (8 * dim))


def blocks(number: int, dim: int) -> list[slice]:
    """Slices of so many vectors as a core's cache holds in float64."""
    step = _block(dim)
    return [slice(first, first + step) for first in range(0, number, step)]


@np.errstate(over="ignore")  # what is too large for float32 becomes infinite, and is refused
def as_float32(vectors: np.ndarray) -> np.ndarray:
    """Numbers of any type as float32, without a copy where they are."""
    return np.asarray(vectors, np.float32)
