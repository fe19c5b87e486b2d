"""How pictures become a network's input: resized, cropped, normalized, and where the crop lies."""

import dataclasses
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from .._checks import InputError
from .._typing import Fitted, Pixels
from .decoding import Source, decode, describe


class Placement(NamedTuple):
    """Where a network's input lies in its picture: pixel = start + scale * input pixel."""

    top: float
    left: float
    row_scale: float
    col_scale: float
    height: int
    width: int

    def box(self, box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
        """Carry a half-open (top, left, bottom, right) box to the picture, clipped to it."""
        top, left, bottom, right = box
        rows = np.clip([self.top + self.row_scale * r for r in (top, bottom)], 0, self.height)
        cols = np.clip([self.left + self.col_scale * c for c in (left, right)], 0, self.width)
        return float(rows[0]), float(cols[0]), float(rows[1]), float(cols[1])


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How a network's source prepared its pictures.

    Resize the shorter side to `resize` pixels (bilinear, antialiased), cut the central square of
    `crop` pixels, divide by `divisor`, subtract `mean`, divide by `std`; all in RGB order.
    """

    resize: int
    crop: int
    divisor: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the network's input."""
        return self.crop, self.crop, 3

    def normalize(self, pixels: Any) -> Any:
        """Turn uint8 RGB (..., 3) into the float32 values the network was trained on.

        It is written in operators alone, so that it runs on NumPy arrays and in traced code.
        """
        scaled = pixels.astype(np.float32) / np.float32(self.divisor)
        shape = (1,) * (pixels.ndim - 1) + (3,)  # of the same rank: JAX can be told to insist on it
        mean, std = (np.array(one, np.float32).reshape(shape) for one in (self.mean, self.std))
        return (scaled - mean) / std

    def denormalize(self, images: Any) -> np.ndarray:
        """Turn normalized images (..., 3) back into uint8 RGB for showing."""
        values = np.asarray(images) * np.array(self.std) + np.array(self.mean)
        return np.rint(np.clip(values * self.divisor, 0, 255)).astype(np.uint8)

    def placement(self, height: int, width: int) -> Placement:
        """Say where the network's input lies in a picture of this height and width."""
        short = min(height, width)
        new_height, new_width = (int(self.resize * side / short) for side in (height, width))
        top, left = (round((side - self.crop) / 2) for side in (new_height, new_width))
        rows, cols = height / new_height, width / new_width
        return Placement(top * rows, left * cols, rows, cols, height, width)

    def fit(self, pixels: Pixels) -> Fitted:
        """Resize and crop an RGB picture to uint8 (crop, crop, 3)."""
        height, width = pixels.shape[:2]
        short = min(height, width)
        size = int(self.resize * width / short), int(self.resize * height / short)
        resized = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
        left, top = (round((side - self.crop) / 2) for side in size)
        return np.asarray(resized.crop((left, top, left + self.crop, top + self.crop)))


def preprocess(sources: Iterable[Source], preprocessing: Preprocessing) -> np.ndarray:
    """Decode, fit and normalize pictures: float32 (batch, crop, crop, 3)."""
    if isinstance(sources, str | os.PathLike | Image.Image | np.ndarray):
        raise InputError(f"pictures: expected a list, got one {describe(sources)}; put it in [ ]")
    fitted = [preprocessing.fit(decode(source)) for source in sources]
    if not fitted:
        raise InputError("pictures: expected at least one, got none")
    return preprocessing.normalize(np.stack(fitted))


def batches(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Cut an array into consecutive batches of `size`, the last one perhaps smaller."""
    for start in range(0, len(images), size):
        yield images[start : start + size]
