"""The filters of a convolution."""

import numpy as np

from ..query import Query
from ..session import Session
from ..wire import Arrays
from .base import Check, view

_MOST_FILTERS = 64  # in one answer


@view("long")
def filters(session: Session, query: Query, check: Check) -> Arrays:
    """The filters of a convolution: in color where they read the picture, else slice by slice.

    Exact ones are the kernel (rows, cols, in, out) itself.
    """
    layer = query.text("layer")
    session.layer(layer)
    if query.number("exact", 0, most=1):
        kernel = np.asarray(session.network.kernel(layer), np.float32)
        return Arrays({"kernel": kernel}, {"layer": layer})
    start = query.number("start", 0)
    found = session.filters(layer)
    pixels = np.rint(np.clip(found.weights[start : start + _MOST_FILTERS], 0, 1) * 255)
    return Arrays({"pixels": pixels.astype(np.uint8)}, {
        "form": found.form, "filters": len(found.weights), "start": start,
        "largest": found.largest_weight,
    })  # fmt: skip
