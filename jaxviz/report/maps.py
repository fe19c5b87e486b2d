"""A map of pictures: each lies where its features put it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from .. import draw
from .exhibit import Exhibit

_SIDE, _THUMBNAIL = 1400, 56  # pixels


def map_exhibit(
    points: np.ndarray,
    pictures: Sequence[np.ndarray],
    shown: Sequence[int],
    *,
    title: str,
    facts: Sequence[tuple[str, str]] = (),
) -> Exhibit:
    """Draw the pictures `shown` at their points (n, 2), and a dot for every other point."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = _SIDE - _THUMBNAIL
    places = np.rint((points - low) / np.where(high > low, high - low, 1) * room).astype(int)
    canvas = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    dots = places + _THUMBNAIL // 2
    for offset in np.ndindex(3, 3):
        canvas[_SIDE - 1 - dots[:, 1] + offset[1] - 1, dots[:, 0] + offset[0] - 1] = 176
    for index, pixels in zip(shown, pictures, strict=True):
        left, top = places[index][0], room - places[index][1]
        small = Image.fromarray(pixels).resize((_THUMBNAIL,) * 2, Image.Resampling.LANCZOS)
        canvas[top : top + _THUMBNAIL, left : left + _THUMBNAIL] = np.asarray(small)
    figure = draw.tile_grid([draw.Tile(canvas)], columns=1, title=title, tile_size=10)
    alt = f"A map of {len(points)} pictures, {len(shown)} of them drawn where they lie."
    facts = [("pictures", str(len(points))), *facts]
    return Exhibit(figure, {"points": points}, facts, alt)
