"""Random transformations: what an image must keep, wherever and however large it is seen."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._checks import InputError, is_finite

_OUTSIDE = 0.5  # gray
_SIDES = 28  # a side is so many times as long as the usual shift


class Transformations(NamedTuple):
    """How the images are moved before each step, all alike; each draws evenly within its bounds.

    `shift`: by so many pixels at most, by default a 28th of the shorter side. `rotation`: by so
    many degrees at most. `scale`: by a factor between these two. `noise`: the standard deviation of
    what is added to each pixel. What comes from outside of an image is gray.
    """

    shift: float | None = None
    rotation: float = 5.0
    scale: tuple[float, float] = (0.9, 1.1)
    noise: float = 0.0

    def check(self) -> None:
        """Refuse what cannot be done."""
        amounts = {"shift": self.shift or 0, "rotation": self.rotation, "noise": self.noise}
        for name, value in amounts.items():
            if not is_finite(value) or value < 0:
                raise InputError(f"transformations: {name} is {value!r}, expected 0 or more")
        factors = self.scale if isinstance(self.scale, tuple | list) else ()
        if len(factors) != 2 or not all(map(is_finite, factors)) or min(factors) <= 0:
            raise InputError(
                f"transformations: scale is {self.scale!r}, expected two positive factors"
            )


NONE = Transformations(shift=0, rotation=0, scale=(1, 1))


def transformed(images: Any, how: Transformations, key: Any) -> Any:
    """Images (batch, height, width, channel) moved in the way that the key says.

    >>> transformed(jnp.ones((1, 2, 2, 1)), NONE, jax.random.key(0)).ravel().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    moving, noise = jax.random.split(key)
    if how[:3] != NONE[:3]:
        images = _moved(images, how, moving)
    if how.noise:
        images += how.noise * jax.random.normal(noise, (1, *images.shape[1:]), images.dtype)
    return images


def _moved(images: Any, how: Transformations, key: Any) -> Any:
    down, right, angle, factor = jax.random.uniform(key, (4,), images.dtype)
    low, high = how.scale
    factor = low + (high - low) * factor
    angle = jnp.deg2rad(how.rotation * (2 * angle - 1))
    sine, cosine = jnp.sin(angle) / factor, jnp.cos(angle) / factor
    height, width = images.shape[1:3]
    shift = min(height, width) / _SIDES if how.shift is None else how.shift
    rows = (jnp.arange(height, dtype=images.dtype) - (height - 1) / 2)[:, None]
    cols = (jnp.arange(width, dtype=images.dtype) - (width - 1) / 2)[None]
    return sampled(
        images,
        cosine * rows - sine * cols + shift * (2 * down - 1) + (height - 1) / 2,
        sine * rows + cosine * cols + shift * (2 * right - 1) + (width - 1) / 2,
    )


def sampled(images: Any, rows: Any, cols: Any) -> Any:
    """The images at these places (height, width), between pixels in proportion."""
    batch, height, width, channels = images.shape
    # One pixel is all images at a place: that is what reads fastest.
    pixels = jnp.moveaxis(images, 0, 2).reshape(height, width, batch * channels)
    pixels = jnp.pad(pixels, ((1, 1), (1, 1), (0, 0)), constant_values=_OUTSIDE)
    pixels = pixels.reshape((height + 2) * (width + 2), -1)

    def neighbors(places: Any, length: int) -> tuple[Any, Any]:
        """The pixel before each place, in what is padded, and how far the place is beyond it."""
        places = jnp.clip(places + 1, 0, length + 1)
        first = jnp.minimum(jnp.floor(places), length).astype(jnp.int32)
        return first, (places - first)[..., None]

    row, down = neighbors(rows, height)
    col, right = neighbors(cols, width)

    def at(row: Any) -> Any:
        place = row * (width + 2) + col
        return pixels[place] * (1 - right) + pixels[place + 1] * right

    sampled = at(row) * (1 - down) + at(row + 1) * down
    return jnp.moveaxis(sampled.reshape(height, width, batch, channels), 2, 0)
