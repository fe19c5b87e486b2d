"""What the stored samples of a picture mean, where Pillow's mode does not say: depth and sign.

Pillow gives the samples of 12 and 16 bits as they are stored, and the transparent color of a PNG
in the units of the file.
"""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from .._checks import InputError

# Tags of TIFF, one photometric interpretation, and one kind of extra samples.
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLES, PLANAR, PREDICTOR = 258, 262, 277, 284, 317
EXTRA_SAMPLES, SAMPLE_FORMAT = 338, 339
YCBCR, PREMULTIPLIED = 6, 1
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # Pillow's, by samples of 8 bits
FULL_RANGE = 65535


class Depth(NamedTuple):
    """How gray samples of more than 8 bits become light: the value of white and of black."""

    white: int
    black: int = 0


def depth(image: Image.Image, name: str) -> Depth | None:
    """How the deep gray samples of an opened picture are read; None if it has 8 bits already.

    Raises `InputError` where that is not known, or where Pillow would misread the samples.
    """
    if image.format == "TIFF":
        return _tiff_depth(image, name)
    if image.format == "JPEG2000" and len(image.getbands()) > 1 and _jpeg2000_bits(image) > 8:
        raise InputError(
            f"{name}: JPEG 2000 of several channels of more than 8 bits; convert to 8 bits"
        )
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return Depth(FULL_RANGE)
    if image.mode in ("I", "F"):
        raise _unknown(image, name)
    return None


def check_samples(opened: Image.Image, mode: str, samples: int, name: str) -> None:
    """Refuse a picture that has other samples than these, or whose samples Pillow changes.

    `opened` is as Pillow opened it, `mode` as it is decoded, to 8 bits.
    """
    tags = getattr(opened, "tag_v2", {})
    stored = tags.get(SAMPLES) or len(opened.getbands())
    if stored == samples and mode == _MODES.get(samples):
        extra = np.ravel(tags.get(EXTRA_SAMPLES, ()))
        if PREMULTIPLIED not in extra:
            return
        reason = "holds colors multiplied with alpha"
    elif stored == samples:
        reason = f"is read as {mode}"
    else:
        reason = f"has {stored} samples a pixel ({mode}), expected {samples}"
    raise InputError(f"{name}: {reason}; save an array (height, width, {samples}), uint8, as .npy")


def _jpeg2000_bits(image: Image.Image) -> int:
    """The bits of a sample, which the codestream's marker SIZ says; 8 once the file is closed.

    Pillow rounds those of more than 8 bits up, and the lightest wrap around to 0.
    """
    file = getattr(image, "fp", None)
    if file is None:
        return 8
    place = file.tell()
    file.seek(0)
    head = file.read(2**16)
    file.seek(place)
    start = head.find(b"\xff\x4f\xff\x51") + 42  # the marker before it, and SIZ's other fields
    return (head[start] & 0x7F) + 1 if 42 <= start < len(head) else 8


def _unknown(image: Image.Image, name: str) -> InputError:
    return InputError(f"{name}: mode {image.mode} with unknown value range; convert to 8 bits")


def _tiff_depth(image: Image.Image, name: str) -> Depth | None:
    tags = image.tag_v2  # type: ignore[attr-defined]
    reason = _misread(tags, image)
    if reason:
        raise InputError(f"{name}: TIFF of {reason}; convert to 8-bit RGB without compression")
    if not image.mode.startswith("I;16"):
        return None
    white = 2 ** max(tags[BITS_PER_SAMPLE]) - 1
    return Depth(0, white) if tags.get(PHOTOMETRIC) == 0 else Depth(white)


def _misread(tags: Any, image: Image.Image) -> str:
    """What of a TIFF has no known range, or is decoded wrongly by Pillow."""
    bits = max(tags.get(BITS_PER_SAMPLE, (1,)))
    compression, bands = image.info.get("compression"), len(image.getbands())
    planes = tags.get(PLANAR) == 2
    if set(tags.get(SAMPLE_FORMAT, (1,))) != {1} or image.mode in ("I", "F"):
        return "signed, floating-point or 32-bit samples"
    if image.mode == "LAB" or (tags.get(PHOTOMETRIC) == YCBCR and compression == "raw"):
        return "colors that are not RGB"
    if planes and (bands == 2 or (bands > 2 and bits > 8 and compression == "raw")):
        return f"{bits} bits a sample with a plane for each channel"
    if compression == "packbits" and tags.get(PREDICTOR, 1) != 1:
        return "PackBits compression with a predictor"
    return ""


def eight_bits(image: Image.Image, depth: Depth) -> Image.Image:
    """A deep gray picture in 8 bits; a transparent value shows white."""
    values = np.asarray(image).astype(np.float64)
    light = np.rint((values - depth.black) * (255 / (depth.white - depth.black)))
    key = image.info.get("transparency")
    if key is not None:
        light[values == key] = 255
    return Image.fromarray(light.astype(np.uint8))


def scale_transparent_color(image: Image.Image, name: str) -> None:
    """Bring the transparent color of an opened PNG to the units of its decoded samples.

    Raises `InputError` for a color of 16 bits, which 8 decoded bits cannot be compared with.
    """
    tiles = getattr(image, "tile", ())  # none once the pixels are decoded
    if image.format != "PNG" or not tiles or "transparency" not in image.info:
        return
    stored = tiles[0].args
    if stored in ("L;2", "L;4"):
        image.info["transparency"] *= {"L;2": 85, "L;4": 17}[stored]
    elif stored == "RGB;16B":
        raise InputError(f"{name}: PNG with a transparent color of 16 bits; convert to 8 bits")
