"""Sheets: many small pictures of one size in one file, in rows, read from left to right.

A sheet of pictures that were cut from photographs is a JPEG. Its blocks are 16 pixels wide, so the
place of each picture begins at a multiple of that. Smaller pictures, and those of filters, are a
PNG, which keeps every pixel. A picture's edge is repeated around it, so that no browser mixes it
with its neighbor when it draws the picture in another size.
"""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

LARGEST = 78  # pixels of the longer side of a picture in a sheet
EDGE = 1  # pixels that are repeated around it
_BLOCK = 16
_LOSSLESS = 24  # pictures up to this side are no longer worth a JPEG's loss
_QUALITY = 78  # 1.7 kB a patch of 78 x 78 pixels, of AlexNet's conv5 on the example photographs


class Sheets(NamedTuple):
    """How the sheets of some pictures are laid out.

    `size` (height, width) is that of a picture and `cell` that of its place; a sheet has `across`
    of them side by side and `number` in all, the last sheet perhaps fewer. `ending` is the file's.
    """

    size: tuple[int, int]
    cell: tuple[int, int]
    across: int
    number: int
    ending: str

    def file(self, pictures: Sequence[np.ndarray]) -> bytes:
        """One sheet of uint8 pictures: (height, width, 3), or 2 for gray and opacity."""
        (height, width), (high, wide) = self.size, self.cell
        down = -(-len(pictures) // self.across)
        pixels = np.zeros((down * high, self.across * wide, pictures[0].shape[2]), np.uint8)
        edges = [(EDGE, high - height - EDGE), (EDGE, wide - width - EDGE), (0, 0)]
        for place, one in enumerate(pictures):
            row, col = divmod(place, self.across)
            top, left = row * high, col * wide
            pixels[top : top + high, left : left + wide] = np.pad(one, edges, mode="edge")
        file = io.BytesIO()
        image = Image.fromarray(pixels)
        if self.ending == "png":
            image.save(file, "PNG", compress_level=9)
        else:
            image.save(file, "JPEG", quality=_QUALITY)
        return file.getvalue()


def photograph_sheets(
    field: tuple[int, int], *, across: int, number: int, largest: int = LARGEST
) -> Sheets:
    """Sheets of patches of a receptive field (height, width), made smaller where it is large.

    >>> photograph_sheets((163, 163), across=16, number=128)
    Sheets(size=(78, 78), cell=(80, 80), across=16, number=128, ending='jpg')
    >>> photograph_sheets((51, 51), across=8, number=8).cell
    (64, 64)
    """
    scale = min(1, largest / max(field))
    size = (max(round(field[0] * scale), 1), max(round(field[1] * scale), 1))
    if max(size) <= _LOSSLESS:
        return exact_sheets(size, across=across, number=number)
    cell = _up(size[0] + 2 * EDGE), _up(size[1] + 2 * EDGE)
    return Sheets(size, cell, across, number, "jpg")


def exact_sheets(size: tuple[int, int], *, across: int, number: int) -> Sheets:
    """Sheets of pictures (height, width) that keep every pixel."""
    return Sheets(size, (size[0] + 2 * EDGE, size[1] + 2 * EDGE), across, number, "png")


def _up(side: int) -> int:
    """The next multiple of a JPEG's block."""
    return -(-side // _BLOCK) * _BLOCK


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture (height, width, 3) in another size (height, width)."""
    if pixels.shape[:2] == size:
        return pixels
    image = Image.fromarray(pixels)
    return np.asarray(image.resize(size[::-1], Image.Resampling.LANCZOS))


def mosaic(slices: np.ndarray) -> np.ndarray:
    """Slices (channels, height, width) side by side: uint8 gray and opacity, none between them.

    >>> mosaic(np.ones((4, 2, 2))).shape
    (5, 5, 2)
    """
    channels, height, width = slices.shape
    across = int(np.ceil(np.sqrt(channels)))
    down = -(-channels // across)
    bytes_ = np.rint(np.clip(slices, 0, 1) * 255).astype(np.uint8)
    pixels = np.zeros((down * (height + 1), across * (width + 1), 2), np.uint8)
    for place, one in enumerate(bytes_):
        top, left = place // across * (height + 1), place % across * (width + 1)
        pixels[top : top + height, left : left + width, 0] = one
        pixels[top : top + height, left : left + width, 1] = 255
    return pixels[:-1, :-1]
