"""What an image is made of while it is improved: its spectrum, its pixels, or its phases."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .colors import AMPLITUDES, EXPONENTS, colored

Shape = tuple[int, int, int]


class Parametrization(NamedTuple):
    """How parameters become an image.

    `start(key, image_shape)` draws the parameters, a pytree of arrays; `image(parameters,
    image_shape)` makes an image (height, width, channel) of them, from 0 to 1. `rate` is the
    learning rate of Adam that suits them.
    """

    start: Callable[[Any, Shape], Any]
    image: Callable[[Any, Shape], Any]
    rate: float


def frequencies(height: int, width: int) -> np.ndarray:
    """How many cycles a pixel each coefficient of a real spectrum has: (height, width // 2 + 1)."""
    rows, cols = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    return np.hypot(rows, cols)


def _draw(key: Any, shape: tuple[int, ...], scale: float) -> Any:
    return scale * jax.random.normal(key, shape, jnp.float32)


def _start_fourier(key: Any, shape: Shape) -> Any:
    height, width, channels = shape
    return _draw(key, (2, channels, height, width // 2 + 1), 0.01)


def _fourier(parameters: Any, shape: Shape) -> Any:
    """Low frequencies weigh more, as in photographs: Mordvintsev et al. 2018, section 2."""
    height, width, _ = shape
    lowest = 1 / max(height, width)
    weights = (1 / np.maximum(frequencies(height, width), lowest)).astype(np.float32)
    spectrum = jax.lax.complex(*(parameters * weights[None, None]))
    planes = jnp.fft.irfft2(spectrum, s=(height, width), norm="ortho")
    return colored(planes / 4)


def _start_pixels(key: Any, shape: Shape) -> Any:
    height, width, channels = shape
    return _draw(key, (channels, height, width), 0.01)


def _pixels(parameters: Any, shape: Shape) -> Any:
    return colored(parameters)


def _start_phases(key: Any, shape: Shape) -> Any:
    height, width, channels = shape
    size = (channels, height, width // 2 + 1)
    return jax.random.uniform(key, size, jnp.float32, minval=-np.pi, maxval=np.pi)


def _phases(parameters: Any, shape: Shape) -> Any:
    """Magnitudes stay those of photographs: Fel et al. 2023, section 3."""
    height, width, channels = shape
    colors = list(range(3)) if channels == 3 else [0] * channels
    at = frequencies(height, width)[None]
    at[0, 0, 0] = np.inf  # no color outweighs the others
    magnitudes = AMPLITUDES[colors, None, None] / at ** EXPONENTS[colors, None, None]
    spectrum = magnitudes.astype(np.float32) * jnp.exp(1j * parameters)
    return colored(jnp.fft.irfft2(spectrum, s=(height, width), norm="ortho"))


PARAMETRIZATIONS: Mapping[str, Parametrization] = {
    "fourier": Parametrization(_start_fourier, _fourier, 0.05),
    "pixels": Parametrization(_start_pixels, _pixels, 0.05),
    "phases": Parametrization(_start_phases, _phases, 0.1),
}
