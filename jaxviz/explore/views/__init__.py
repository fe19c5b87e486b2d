"""The views of the explorer: what each answers, by the public functions of the package.

A view is `view(session, query, check)`. It returns an answer, or yields several, each better than
the one before; between its parts it calls `check()`, which ends it when no one waits any more.
"""

from . import channels, filters, gradients, hiding, making, neighbors
from .base import VIEWS
from .figures import figure
from .pictures import classes_of, deepest, maps_of

__all__ = [
    "VIEWS", "channels", "classes_of", "deepest", "figure", "filters", "gradients", "hiding",
    "making", "maps_of", "neighbors",
]  # fmt: skip
