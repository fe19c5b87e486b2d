"""An exhibit: a figure, the numbers behind it, and what to say of it."""

from typing import Any, NamedTuple

from matplotlib.figure import Figure

from ..analyses.base import Picture as Picture
from ..analyses.base import normalized
from ..analyses.base import number as number
from ..analyses.base import provenance as provenance
from ..analyses.base import short as short


class Exhibit(NamedTuple):
    """One figure with its raw numbers.

    `facts` are short (what, value) pairs to read beside the figure; `arrays` the raw numbers, by
    name; `alt` says in a sentence what the figure shows, for those who cannot see it.
    """

    figure: Figure
    arrays: dict[str, Any]
    facts: list[tuple[str, str]]
    alt: str


shown = normalized
