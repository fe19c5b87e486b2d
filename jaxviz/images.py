"""Pictures in, normalized arrays out: decode, resize, crop, normalize.

Every picture becomes upright 8-bit RGB, rows before columns. Where a box is given in a picture's
own coordinates it refers to the upright picture, after its EXIF orientation was applied.
"""

import dataclasses
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ._checks import InputError
from ._typing import Fitted, Pixels

Source: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray

MAX_PIXELS = 2**27  # 134 million: what one picture may decode to, 400 MB of RGB


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
        return (scaled - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)

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


def decode(source: Source) -> Pixels:
    """Decode one picture to upright uint8 RGB, (height, width, 3).

    `source` is a path, a PIL image, or a uint8 array (height, width), (height, width, 1), 3 or 4.
    EXIF orientation is applied; gray, palette, CMYK and 16-bit pictures become RGB; transparent
    pixels show white; of an animation the first frame is taken.

    Raises `InputError` for what is no picture, is truncated or empty, or would decode to more than
    `MAX_PIXELS` pixels.

    >>> decode(np.zeros((2, 3), np.uint8)).shape
    (2, 3, 3)
    """
    name = describe(source)
    if isinstance(source, np.ndarray):
        return _decode_array(source, name)
    if not isinstance(source, str | os.PathLike | Image.Image):
        raise InputError(f"picture: expected a path, a PIL image or uint8 array, got {name}")
    if not isinstance(source, Image.Image):
        _check_file(Path(source))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # size is checked below; odd metadata is no error
            if isinstance(source, Image.Image):
                return _decode_image(source, name)
            with Image.open(source) as image:
                return _decode_image(image, name)
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a picture in a format that Pillow reads") from None
    except Image.DecompressionBombError:
        raise InputError(f"{name}: has more than {MAX_PIXELS} pixels") from None
    except InputError:
        raise
    except Exception as error:  # decoders raise anything on damaged files
        reason = str(error) or type(error).__name__
        raise InputError(f"{name}: damaged picture ({reason})") from None


def _check_file(path: Path) -> None:
    if not path.is_file():
        other = "no ordinary file" if path.exists() else "no such file"
        raise InputError(f"{path}: {'is a folder' if path.is_dir() else other}")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")


def describe(source: Any) -> str:
    """Name a picture in messages and captions."""
    if isinstance(source, str | os.PathLike):
        return str(source)
    if isinstance(source, np.ndarray):
        return f"array of shape {source.shape} and dtype {source.dtype}"
    return getattr(source, "filename", "") or type(source).__name__


def _decode_array(array: np.ndarray, name: str) -> Pixels:
    if array.dtype != np.uint8:
        raise InputError(f"{name}: expected uint8 values from 0 to 255")
    gray = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if array.size == 0 or not (gray or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise InputError(f"{name}: expected (height, width), (height, width, 3) or 4 channels")
    return _decode_image(Image.fromarray(array.reshape(array.shape[:2]) if gray else array), name)


def _decode_image(image: Image.Image, name: str) -> Pixels:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(f"{name}: {width} x {height} is more than {MAX_PIXELS} pixels")
    if width * height == 0 or max(width, height) > 100 * min(width, height):
        raise InputError(f"{name}: {width} x {height} is too narrow for a picture")
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I", "F") and not _holds_16_bits(upright):
        raise InputError(f"{name}: mode {upright.mode} with unknown value range; convert to 8 bits")
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        values = np.asarray(upright).astype(np.float64)
        upright = Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        upright = Image.alpha_composite(white, rgba)
    return np.asarray(upright.convert("RGB"))


def _holds_16_bits(image: Image.Image) -> bool:
    low, high = image.getextrema()
    return image.mode == "I" and low >= 0 and 255 < high <= 65535  # type: ignore[operator]


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
