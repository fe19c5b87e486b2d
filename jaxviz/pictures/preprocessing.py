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
    `crop` pixels, put the channels in the order `channels` ("RGB", "BGR", or "gray" for one),
    divide by `divisor`, subtract `mean`, divide by `std`, numbers for each of these channels.
    """

    resize: int
    crop: int
    divisor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: str = "RGB"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the network's input."""
        return self.crop, self.crop, len(self.mean)

    @property
    def fitted_shape(self) -> tuple[int, int, int]:
        """The shape of a picture that is resized and cut, and not yet normalized."""
        return self.crop, self.crop, 3

    def normalize(self, pixels: Any) -> Any:
        """Turn uint8 RGB (..., 3) into the float32 values the network was trained on.

        It is written in operators alone, so that it runs on NumPy arrays and in traced code.
        """
        scaled = self._ordered(pixels.astype(np.float32)) / np.float32(self.divisor)
        # Of the same rank: JAX can be told to insist on it.
        shape = (1,) * (pixels.ndim - 1) + (len(self.mean),)
        mean, std = (np.array(one, np.float32).reshape(shape) for one in (self.mean, self.std))
        return (scaled - mean) / std

    def denormalize(self, images: Any) -> np.ndarray:
        """Turn normalized images (..., 3) back into uint8 RGB for showing."""
        values = np.asarray(images) * np.array(self.std) + np.array(self.mean)
        if self.channels == "BGR":
            values = values[..., ::-1]
        pixels = np.rint(np.clip(values * self.divisor, 0, 255)).astype(np.uint8)
        return pixels.repeat(3, axis=-1) if self.channels == "gray" else pixels

    def _ordered(self, pixels: Any) -> Any:
        if self.channels == "BGR":
            return pixels[..., ::-1]
        if self.channels == "gray":  # the brightness that Pillow's mode L has
            red, green, blue = (pixels[..., i : i + 1] for i in range(3))
            return red * np.float32(0.299) + green * np.float32(0.587) + blue * np.float32(0.114)
        return pixels

    def placement(self, height: int, width: int) -> Placement:
        """Say where the network's input lies in a picture of this height and width."""
        new_height, new_width = self._resized(height, width)
        top, left = self._corner(height, width)
        rows, cols = height / new_height, width / new_width
        return Placement(top * rows, left * cols, rows, cols, height, width)

    def fit(self, pixels: Pixels) -> Fitted:
        """Resize and crop an RGB picture to uint8 (crop, crop, 3)."""
        height, width = self._resized(*pixels.shape[:2])
        resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        top, left = self._corner(*pixels.shape[:2])
        return np.asarray(resized.crop((left, top, left + self.crop, top + self.crop)))

    def fit_crop(self, larger: Pixels, height: int, width: int) -> Fitted:
        """The same from the input of a network that resizes alike and crops no smaller.

        `height` and `width` are those of the picture.
        """
        if len(larger) == self.crop:
            return larger
        outer = dataclasses.replace(self, crop=len(larger))._corner(height, width)
        top, left = (
            mine - theirs for mine, theirs in zip(self._corner(height, width), outer, strict=True)
        )
        return larger[top : top + self.crop, left : left + self.crop]

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        short = min(height, width)
        return int(self.resize * height / short), int(self.resize * width / short)

    def _corner(self, height: int, width: int) -> tuple[int, int]:
        """Where the crop begins in the resized picture, (top, left)."""
        rows, cols = self._resized(height, width)
        return round((rows - self.crop) / 2), round((cols - self.crop) / 2)


def preprocess(sources: Iterable[Source], preprocessing: Preprocessing) -> np.ndarray:
    """Decode, fit and normalize pictures: float32 (batch, crop, crop, channels)."""
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
