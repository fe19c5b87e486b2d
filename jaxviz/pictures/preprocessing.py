"""How pictures become a network's input: resized, cropped, normalized, and where the crop lies."""

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from .._checks import InputError, is_finite
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
    `crop` pixels, put the channels in the order `channels`, divide by `divisor`, subtract `mean`,
    divide by `std`, numbers for each of these channels.

    `channels` is "RGB", "BGR", "gray" for one of brightness, or a capital letter for each channel,
    such as "BGRN" with near infrared; a dot for one without a name. A network of these takes
    pictures of as many samples, in this order; shown are red, green and blue, or else the first.

    >>> bands = Preprocessing(64, 64, 255, (0,) * 4, (1,) * 4, channels="BGRN")
    >>> bands.input_shape, bands.rgb(np.uint8([[[10, 20, 30, 40]]])).tolist()
    ((64, 64, 4), [[[30, 20, 10]]])
    """

    resize: int
    crop: int
    divisor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: str = "RGB"

    def __post_init__(self) -> None:
        count = num_channels(self.channels)
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if np.shape(numbers) != (count,) or not all(map(is_finite, numbers)):
                raise InputError(
                    f"{name}: expected {count} numbers for channels {self.channels!r}, got "
                    f"{numbers!r}"
                )
        if self.resize < self.crop:
            raise InputError(
                f"resize: {self.resize} pixels are fewer than the {self.crop} to cut out"
            )
        if 0 in self.std:
            raise InputError("std: expected numbers other than 0")
        if not self.divisor:
            raise InputError("divisor: expected a number other than 0")

    @property
    def samples(self) -> int | None:
        """How many samples of a picture are read as they are stored; None where it is read as RGB.

        A picture in RGB serves every network of red, green and blue or of brightness.
        """
        is_color = self.channels == "gray" or sorted(self.channels) == ["B", "G", "R"]
        return None if is_color else len(self.channels)

    @property
    def rgb_channels(self) -> list[int]:
        """The channels of the network's input that are shown as red, green and blue."""
        if set("RGB") <= set(self.channels):
            return [self.channels.index(color) for color in "RGB"]
        return [0, 1, 2] if len(self.mean) == 3 else [0, 0, 0]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the network's input."""
        return self.crop, self.crop, len(self.mean)

    @property
    def fitted_shape(self) -> tuple[int, int, int]:
        """The shape of a picture that is resized and cut, and not yet normalized."""
        return self.crop, self.crop, self.samples or 3

    def normalize(self, pixels: Any) -> Any:
        """Turn uint8 RGB (..., 3), or other `samples`, into the values the network was trained on.

        They are float32. It is written in operators alone, so that it runs on NumPy arrays and in
        traced code.
        """
        expect_samples(pixels.shape[-1], self.fitted_shape[2])
        scaled = self._ordered(pixels.astype(np.float32)) / np.float32(self.divisor)
        # Of the same rank: JAX can be told to insist on it.
        shape = (1,) * (pixels.ndim - 1) + (len(self.mean),)
        mean, std = (np.array(one, np.float32).reshape(shape) for one in (self.mean, self.std))
        return (scaled - mean) / std

    def denormalize(self, images: Any) -> np.ndarray:
        """Turn normalized images (..., channels) back into uint8 RGB for showing."""
        values = np.asarray(images) * np.array(self.std) + np.array(self.mean)
        pixels = np.rint(np.clip(values * self.divisor, 0, 255)).astype(np.uint8)
        return pixels[..., self.rgb_channels]

    def rgb(self, pixels: np.ndarray) -> np.ndarray:
        """Fitted pictures as they are shown: uint8 (..., 3)."""
        return pixels if self.samples is None else pixels[..., self.rgb_channels]

    def _ordered(self, pixels: Any) -> Any:
        if self.channels == "BGR":
            return pixels[..., ::-1]
        if self.samples is None and self.channels not in ("RGB", "gray"):
            return pixels[..., np.array(["RGB".index(color) for color in self.channels])]
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
        """Resize and crop a decoded picture to uint8 (crop, crop, 3), or other `samples`."""
        height, width = self._resized(*pixels.shape[:2])
        top, left = self._corner(*pixels.shape[:2])

        def fitted(image: Image.Image) -> Image.Image:
            resized = image.resize((width, height), Image.Resampling.BILINEAR)
            return resized.crop((left, top, left + self.crop, top + self.crop))

        return by_images(fitted, pixels)

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


def num_channels(order: Any) -> int:
    """How many channels an order names: "RGB", "BGR", "gray", or one letter for each."""
    if order == "gray":
        return 1
    if not re.fullmatch(r"[A-Z.]+", str(order)) or max(map(order.count, "RGB")) > 1:
        raise InputError(
            "channel_order: expected RGB, BGR, gray, or a capital letter or dot for each channel, "
            f"such as BGRN, got {order!r}"
        )
    return len(order)


def by_images(change: Callable[[Image.Image], Image.Image], pixels: Pixels) -> np.ndarray:
    """Change a picture by way of Pillow: RGB at once, other channels each as one in gray.

    >>> by_images(lambda image: image.resize((2, 1)), np.zeros((4, 4, 13), np.uint8)).shape
    (1, 2, 13)
    """
    if pixels.shape[2] == 3:
        return np.asarray(change(Image.fromarray(pixels)))
    planes = np.moveaxis(pixels, 2, 0)
    changed = [np.asarray(change(Image.fromarray(plane.copy()))) for plane in planes]
    return np.stack(changed, axis=2)


def expect_samples(got: int, wanted: int) -> None:
    """Refuse pictures of other samples a pixel than a network takes."""
    if got != wanted:
        raise InputError(f"pictures: expected {wanted} samples a pixel, got {got}")


def read_as(samples: int | None) -> str:
    """How pictures are read, in words."""
    return "RGB" if samples is None else f"{samples} samples as they are stored"


def shared_preprocessing(wanted: Mapping[str, Preprocessing]) -> Preprocessing:
    """The one of the largest input among those of networks, by name, that read and resize alike."""
    if len({(one.resize, one.samples) for one in wanted.values()}) > 1:
        said = ", ".join(
            f"{name} to {one.resize}, {read_as(one.samples)}" for name, one in wanted.items()
        )
        raise InputError(
            f"network: they read or resize pictures differently, {said}; pack for each"
        )
    return max(wanted.values(), key=lambda one: one.crop)


def preprocess(sources: Iterable[Source], preprocessing: Preprocessing) -> np.ndarray:
    """Decode, fit and normalize pictures: float32 (batch, crop, crop, channels)."""
    if isinstance(sources, str | os.PathLike | Image.Image | np.ndarray):
        raise InputError(f"pictures: expected a list, got one {describe(sources)}; put it in [ ]")
    fitted = [preprocessing.fit(decode(source, preprocessing.samples)) for source in sources]
    if not fitted:
        raise InputError("pictures: expected at least one, got none")
    return preprocessing.normalize(np.stack(fitted))


def batches(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Cut an array into consecutive batches of `size`, the last one perhaps smaller."""
    for start in range(0, len(images), size):
        yield images[start : start + size]
