"""Whether a network looks at each image by itself, as everything that works in chunks needs.

The batch is followed through the tape, which says where images are mixed. Where the tape has an
operation that cannot be followed, or random numbers, two images are evaluated together and apart.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._checks import InputError, image_type, is_key
from ._remembered import Remembered
from ._typing import Apply, Outputs, Params, Score
from .jaxpr.axes import follow
from .jaxpr.axis import MixedImagesError, image_axes
from .jaxpr.recording import record
from .jaxpr.tape import Step

_RANDOM = ("random_bits", "random_wrap", "random_unwrap", "threefry2x32", "rng_bit_generator")
# Of the largest number: far from round-off, and from the smallest mixing that matters.
_CLOSE = 0.01

_known = Remembered()


def independent(
    apply: Apply, params: Params, image_shape: Sequence[int], dtype: Any = None
) -> None:
    """Refuse an `apply` whose images depend on one another, or whose values differ between calls.

    image_shape: (height, width, channel). dtype: of the images, by default that of the params. The
    answer is remembered for each `apply`, shape and type. What does not take two images at a time
    is not asked, and random numbers are taken where `params` holds their key.

    >>> independent(lambda params, images: {"mean": images.mean(axis=(1, 2))}, None, (4, 4, 3))
    """
    images = jax.ShapeDtypeStruct((2, *image_shape), dtype or image_type(params))
    key = (images.shape, str(images.dtype))
    _known.of(apply, key, lambda: _ask(apply, params, images))


def _ask(apply: Apply, params: Params, images: Any) -> None:
    try:
        tape = record(apply, jax.tree.map(shape_and_type, params), images).tape
    except (TypeError, ValueError):
        return
    followed = follow(tape, {tape.inputs[-1]: image_axes(images.shape)})
    random = next((step for step in tape.steps if step.name in _RANDOM), None)
    doubtful = followed.unknown or random
    leaves = jax.tree.leaves(params)
    is_asked = any(map(is_key, leaves))  # who brings a key wants what is random
    is_traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    if doubtful and not is_asked and not is_traced:
        _compare(apply, params, images, doubtful)


def independent_scores(score: Score, outputs: Outputs, batch: int) -> None:
    """Refuse a score of an image that depends on the others of its batch.

    outputs: those of so many images, or what has their shapes and types.

    >>> outputs = {"mean": np.ones((3, 5), np.float32)}
    >>> independent_scores(lambda outputs: outputs["mean"][:, 0], outputs, 3)
    """

    def of_two(leaf: Any) -> Any:
        if getattr(leaf, "shape", ())[:1] != (batch,):
            return leaf
        return jax.ShapeDtypeStruct((2, *leaf.shape[1:]), leaf.dtype)

    try:
        tape = record(score, jax.tree.map(of_two, outputs)).tape
    except (TypeError, ValueError):  # it takes other numbers of images
        return
    shapes = {slot: tape.aval(slot).shape for slot in tape.inputs}
    of_images = {slot: one for slot, one in shapes.items() if one[:1] == (2,) and len(one) <= 4}
    try:
        follow(tape, {slot: image_axes(shape) for slot, shape in of_images.items()})
    except MixedImagesError:
        raise InputError("score: depends on the other images of the batch") from None


def shape_and_type(leaf: Any) -> Any:
    """Of an array its shape and type; of anything else itself."""
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        return leaf
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _compare(apply: Apply, params: Params, images: Any, step: Step) -> None:
    """Evaluate two images together and apart, and twice."""
    noise = np.random.default_rng(0).normal(size=images.shape)
    pair = jnp.asarray(noise, images.dtype)
    together, again = apply(params, pair), apply(params, pair)
    apart = [apply(params, image) for image in (pair[:1], pair[1:])]
    paths = jax.tree_util.tree_leaves_with_path(together)
    for (path, both), repeated, *alone in zip(
        paths, jax.tree.leaves(again), *map(jax.tree.leaves, apart), strict=True
    ):
        layer = jax.tree_util.keystr(path, simple=True, separator="/") or "its output"
        if not _agree(both, repeated):
            raise InputError(
                f"apply: {layer} differs from call to call ({step.place}); turn dropout and other "
                "randomness off"
            )
        if not _agree(both, np.concatenate([np.asarray(one) for one in alone])):
            raise InputError(
                f"apply: images of a batch depend on one another: {layer} of an image changes "
                f"with a second image beside it ({step.place}); evaluate the network with "
                "running averages and without dropout (evaluation mode)"
            )


def _agree(one: Any, other: Any) -> bool:
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.shape != other.shape:
        return False
    finite = np.isfinite(one) & np.isfinite(other)
    size = np.abs(one[finite]).max(initial=0)
    return bool((np.abs(one[finite] - other[finite]) <= _CLOSE * size).all())
