"""Decode pictures: a file, a PIL image or an array becomes upright 8-bit RGB, rows before columns.

For a network of other channels it becomes as many samples as these, as they are stored.

Where a box is given in a picture's own coordinates it refers to the upright picture, after its EXIF
orientation was applied.
"""

import io
import math
import os
import warnings
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .._checks import InputError
from .._typing import Pixels
from .samples import check_samples, depth, eight_bits, scale_transparent_color

Source: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray

FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM",
    "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM", "XPM",
)  # of Pillow's, those that hold pictures and start no other program  # fmt: skip
ARRAY = ".npy"
MAX_PIXELS = 2**27  # 134 million: what one picture may decode to, 400 MB of RGB


def decode(source: Source | bytes, samples: int | None = None) -> Pixels:
    """Decode one picture to upright uint8 RGB, (height, width, 3).

    `source` is a path, the bytes of a picture file, a PIL image, or a uint8 array (height, width),
    (height, width, 1), 3 or 4, which a path ending in .npy may also hold. EXIF orientation is
    applied; gray, palette, CMYK and 16-bit pictures become RGB; transparent pixels show white; of
    an animation the first frame is taken. Where a number of `samples` is given, (height, width,
    samples) is expected and returned as it is, from an array or from a picture that has as many.

    Raises `InputError` for what is no picture, is truncated or empty, has other samples, or would
    decode to more than `MAX_PIXELS` pixels.

    >>> decode(np.zeros((2, 3), np.uint8)).shape
    (2, 3, 3)
    """
    name = describe(source)
    if isinstance(source, np.ndarray):
        return _decode_array(source, name, samples)
    if not isinstance(source, str | os.PathLike | bytes | Image.Image):
        raise InputError(f"picture: expected a path, a PIL image or uint8 array, got {name}")
    if isinstance(source, str | os.PathLike):
        _check_file(Path(source))
        if Path(source).suffix.lower() == ARRAY:
            return _decode_array(_stored_array(Path(source), samples), name, samples)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # size is checked below; odd metadata is no error
            if isinstance(source, Image.Image):
                return _decode_image(source, name, samples)
            # Of a named file Pillow maps uncompressed pixels, and a turned TIFF comes out garbled.
            with _opened(source) as file, Image.open(file, formats=FORMATS) as image:
                return _decode_image(image, name, samples)
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a picture of a kind that Pillow reads") from None
    except Image.DecompressionBombError:
        raise InputError(f"{name}: has more than {MAX_PIXELS} pixels") from None
    except InputError:
        raise
    except Exception as error:  # decoders raise anything on damaged files
        reason = str(error) or type(error).__name__
        raise InputError(f"{name}: damaged picture ({reason})") from None


def _opened(source: str | os.PathLike[str] | bytes) -> Any:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def is_recognized(path: Path) -> bool:
    """Whether a file begins as a picture does, whatever its name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(path, formats=FORMATS).close()
    except Exception:  # readers raise anything on what they were not made for
        return False
    return True


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
    if isinstance(source, bytes):
        return "picture"
    return getattr(source, "filename", "") or type(source).__name__


def _stored_array(path: Path, samples: int | None) -> np.ndarray:
    """The array of an .npy file, whose header is looked at before the rest is read."""
    headers = {(1, 0): np.lib.format.read_array_header_1_0,
               (2, 0): np.lib.format.read_array_header_2_0}  # fmt: skip
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version not in headers:
                raise ValueError(f"version {version}")
            shape, is_fortran, kind = headers[version](file)
            _check_array(shape, kind, str(path), samples)
            count = math.prod(shape)
            content = file.read(count)
            if len(content) != count:
                raise ValueError(f"{len(content)} bytes of {count}")
    except InputError:
        raise
    except Exception as error:  # NumPy raises anything on damaged files
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{path}: no array that can be read ({reason})") from None
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if is_fortran else "C")


def _check_array(shape: tuple[int, ...], kind: Any, name: str, samples: int | None) -> None:
    """Refuse an array that is no picture; of other samples where a number of these is wanted."""
    if kind != np.uint8:
        raise InputError(f"{name}: expected uint8 values from 0 to 255, got {kind}")
    channels = (shape[2:] or (1,)) if 2 <= len(shape) <= 3 else ()
    if samples is not None and channels != (samples,):
        raise InputError(f"{name}: expected an array (height, width, {samples}), got {shape}")
    if samples is None and channels not in ((1,), (3,), (4,)):
        raise InputError(
            f"{name}: expected (height, width), (height, width, 3) or 4 channels, got {shape}"
        )
    _check_size(shape[0], shape[1], name)


def _decode_array(array: np.ndarray, name: str, samples: int | None) -> Pixels:
    _check_array(array.shape, array.dtype, name, samples)
    height, width, *channels = array.shape
    if samples is not None:
        return np.array(array.reshape(height, width, samples))
    is_gray = channels in ([], [1])
    image = Image.fromarray(array.reshape(height, width) if is_gray else array)
    return _decode_image(image, name, None)


def _check_size(height: int, width: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(f"{name}: {width} x {height} is more than {MAX_PIXELS} pixels")
    if min(width, height) <= 0 or max(width, height) > 100 * min(width, height):
        raise InputError(f"{name}: {width} x {height} is too narrow for a picture")


def _decode_image(image: Image.Image, name: str, samples: int | None) -> Pixels:
    width, height = image.size
    _check_size(height, width, name)
    scale_transparent_color(image, name)
    deep = depth(image, name)
    upright = ImageOps.exif_transpose(image)
    if samples is not None:
        upright.info.pop("transparency", None)  # a value like others
    if deep:
        upright = eight_bits(upright, deep)
    if samples is not None:
        check_samples(image, upright.mode, samples, name)
        return np.asarray(upright).reshape(*upright.size[::-1], samples)
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        upright = Image.alpha_composite(white, rgba)
    return np.asarray(upright.convert("RGB"))
