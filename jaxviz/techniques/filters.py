"""Filters as pictures: what a convolution's weights look like.

A first-layer filter has as many channels as the image, so it is itself a picture of what it
responds to: the inner product is largest for a patch that looks like it (Krizhevsky et al. 2012,
fig. 3). Filters of later layers read channels, not colors. Each input channel is a gray picture,
which says little, because it does not show what the channel stands for.

All functions are pure and work under `jit`.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from .._checks import InputError, choice
from .._typing import Array

SCALINGS = ("symmetric", "shared", "range")


def filter_tiles(
    kernel: Float[Array, "height width 3 filters"], *, scaling: str = "symmetric"
) -> Float[Array, "filters height width 3"]:
    """First-layer filters as RGB pictures with values from 0 to 1.

    Args:
        kernel: weights (height, width, 3, filters).
        scaling: "symmetric" maps a zero weight to middle gray and each filter's largest absolute
            weight to 0 or 1, so that color and sign are kept; "shared" does so with one scale for
            all filters, so that they can be compared; "range" stretches each filter from its
            smallest weight (0) to its largest (1), so that gray has no fixed meaning.

    Raises:
        InputError: the kernel does not read three channels.

    >>> import numpy as np
    >>> filter_tiles(np.zeros((11, 11, 3, 64), np.float32)).shape
    (64, 11, 11, 3)

    """
    _check_kernel(kernel)
    if kernel.shape[2] != 3:
        raise InputError(
            f"filter_tiles: kernel of shape {kernel.shape} reads {kernel.shape[2]} channels, "
            "not 3 colors; use filter_slices"
        )
    return _scaled(jnp.moveaxis(jnp.asarray(kernel), 3, 0), (1, 2, 3), scaling)


def filter_slices(
    kernel: Float[Array, "height width channels filters"], *, scaling: str = "symmetric"
) -> Float[Array, "filters channels height width"]:
    """Any layer's filters, each input channel as a gray picture with values from 0 to 1.

    `scaling` is that of `filter_tiles`; all channels of a filter share one scale, so a faint tile
    is a channel that the filter hardly uses.

    >>> import numpy as np
    >>> filter_slices(np.zeros((5, 5, 64, 192), np.float32)).shape
    (192, 64, 5, 5)
    """
    _check_kernel(kernel)
    return _scaled(jnp.transpose(jnp.asarray(kernel), (3, 2, 0, 1)), (1, 2, 3), scaling)


def _check_kernel(kernel: Any) -> None:
    if jnp.ndim(kernel) != 4:
        raise InputError(
            f"kernel: expected (height, width, channels, filters), got shape {jnp.shape(kernel)}"
        )


def _scaled(filters: Any, axes: tuple[int, ...], scaling: str) -> Any:
    choice(scaling, "scaling", SCALINGS)
    if scaling == "range":
        low = filters.min(axis=axes, keepdims=True)
        high = filters.max(axis=axes, keepdims=True)
        flat = high == low
        stretched = jnp.where(flat, 0.5, (filters - low) / jnp.where(flat, 1, high - low))
        return jnp.clip(stretched, 0, 1)  # compiled together, these steps may round past an end
    over = None if scaling == "shared" else axes
    largest = jnp.abs(filters).max(axis=over, keepdims=True)
    return jnp.clip(0.5 + 0.5 * filters / jnp.where(largest == 0, 1, largest), 0, 1)
