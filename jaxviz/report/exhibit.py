"""An exhibit: a figure, the numbers behind it, and what to say of it."""

import platform
from typing import Any, NamedTuple, SupportsFloat

import jax
import numpy as np
from matplotlib.figure import Figure

from .. import __version__
from ..networks.network import Network


class Exhibit(NamedTuple):
    """One figure with its raw numbers.

    `facts` are short (what, value) pairs to read beside the figure; `arrays` the raw numbers, by
    name; `alt` says in a sentence what the figure shows, for those who cannot see it.
    """

    figure: Figure
    arrays: dict[str, Any]
    facts: list[tuple[str, str]]
    alt: str


class Picture(NamedTuple):
    """A picture as the network gets it: its name and its fitted uint8 pixels."""

    name: str
    pixels: np.ndarray


def provenance(network: Network, options: dict[str, Any]) -> dict[str, Any]:
    """Everything a stranger needs to make the same numbers again."""
    return {
        **network.provenance,
        "options": options,
        "jaxviz": __version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
    }


def shown(network: Network, pixels: np.ndarray) -> Any:
    """Normalize fitted uint8 pictures, (batch, height, width, 3), on the device."""
    return network.preprocessing.normalize(jax.numpy.asarray(pixels))


def short(name: str, length: int = 16) -> str:
    """A name cut to fit on a line under a small picture."""
    name = " ".join(name.split())
    return name if len(name) <= length else name[: length - 1] + "…"


def number(value: SupportsFloat) -> str:
    """A number as captions show it: three digits that matter."""
    return f"{float(value):.3g}"
