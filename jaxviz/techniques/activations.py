"""Activation maps and feature vectors: what a network computes on the way to its answer.

Yosinski et al. 2015, "Understanding neural networks through deep visualization", section 2, show
the maps of one image channel by channel; Krizhevsky et al. 2012, section 6, take the last hidden
layer as the features of an image.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float, Int, Shaped

from .._checks import InputError, count, image_batch
from .._contract import layer_names, outputs_of, selected
from .._typing import Apply, Array, Images, Params
from ..cpu.compilation import evaluate


def activation_maps(
    apply: Apply, params: Params, images: Images, *, layers: str | Sequence[str]
) -> dict[str, Any]:
    """Activations of the asked layers: {layer: (batch, height, width, channels)}.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        images: normalized float images (batch, height, width, channel).
        layers: exact names; what only other layers need is not computed. A layer without space
            gives (batch, channels).

    Raises:
        InputError: a layer is not among the outputs; the message lists those that are.

    >>> import numpy as np
    >>> double = lambda params, images: {"doubled": images * params}
    >>> maps = activation_maps(double, 2.0, np.ones((1, 2, 2, 1), np.float32), layers="doubled")
    >>> maps["doubled"].shape
    (1, 2, 2, 1)

    """
    image_batch(images)
    names = layer_names(layers)

    def maps(params: Params, images: Any) -> list[Any]:
        return selected(apply, outputs_of(apply, params, images), names, len(images))

    return dict(zip(names, evaluate(maps, params, images), strict=True))


def features(
    apply: Apply, params: Params, images: Images, *, layer: str
) -> Float[Array, "batch dim"]:
    """One layer's activations as flat vectors, (batch, dim), in (row, col, channel) order.

    >>> import numpy as np
    >>> same = lambda params, images: {"same": images}
    >>> features(same, None, np.ones((2, 3, 3, 4), np.float32), layer="same").shape
    (2, 36)
    """
    values = activation_maps(apply, params, images, layers=layer)[layer]
    return values.reshape(values.shape[0], -1)


def strongest_channels(maps: Shaped[Array, "height width channels"], *, k: int) -> Int[Array, " k"]:
    """The `k` channels with the largest activation anywhere in the map, strongest first.

    Channels that hold NaN come last.

    >>> import numpy as np
    >>> strongest_channels(np.array([[[1.0, 5.0, 3.0]]]), k=2).tolist()
    [1, 2]
    """
    if jnp.ndim(maps) != 3:
        raise InputError(f"maps: expected (height, width, channels), got shape {jnp.shape(maps)}")
    k = count(k, "k", most=maps.shape[-1])
    strongest = jnp.asarray(maps).max(axis=(0, 1))
    if not jnp.issubdtype(strongest.dtype, jnp.floating):
        strongest = strongest.astype(jnp.float32)
    return jnp.argsort(-strongest, stable=True)[:k]
