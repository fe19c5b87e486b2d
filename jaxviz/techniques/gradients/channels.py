"""What a channel of a layer adds to scores."""

from typing import Any

import jax
import jax.numpy as jnp

from ... import devices
from ..._asked import problem
from ..._checks import InputError
from ..._contract import outputs_of, selected
from ..._typing import Apply, Images, Params, Score
from ...backward import inner_vjp
from ..scores.combined import check_index, whole
from .pulling import differentiated


def channel_effects(
    apply: Apply, params: Params, images: Images, *, score: Score, layer: str, channel: Any
) -> Any:
    """The derivative of each number of a score by one channel's mean activation.

    All units of the channel are raised by the same amount; the answer is how fast the score rises.
    Where a linear layer reads the mean of each map, as in many networks the last one does, these
    are its weights.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        images: normalized float images (batch, height, width, channel), all finite.
        score: returns one number an image, or many, such as all logits; it must depend on the
            layer. Its numbers take one pass together.
        layer: any layer, whose last axis are the channels.
        channel: one of them.

    Returns:
        What the score returns, (batch, ...), in its units per unit of activation.

    Raises:
        InputError: as `gradient`, or the score does not depend on the layer.

    >>> import numpy as np
    >>> def apply(params, images):
    ...     maps = 2 * images
    ...     return {"maps": maps, "classes": maps.mean(axis=(1, 2)) @ params}
    >>> weights = np.float32([[1, 2, 3], [4, 5, 6]])
    >>> channel_effects(apply, weights, np.ones((1, 5, 5, 2), np.float32), layer="maps", channel=1,
    ...                 score=lambda outputs: outputs["classes"]).tolist()
    [[4.0, 5.0, 6.0]]
    """
    given = whole(channel, "channel")
    asked = problem(apply, params, images, score)
    params, images = devices.gathered((params, images))

    def of_all(params: Params, images: Any, channel: Any) -> Any:
        def layer_and_scores(images: Any) -> tuple[Any, Any]:
            outputs = outputs_of(apply, params, images)
            (values,) = selected(apply, outputs, [layer], len(images))
            if values.ndim < 2:
                raise InputError(f"layer: {layer!r} has no channels")
            check_index(values, "channel", given, axis=-1)
            return values, asked.score_of(outputs)

        values, scores, pull = inner_vjp(layer_and_scores, images, name=layer)
        raised = jnp.zeros_like(values).at[..., channel].set(1)
        # The pull is linear in the scores' cotangents, so its transpose takes a change of the
        # layer to those of all scores in one pass.
        (effects,) = jax.linear_transpose(pull, scores)(raised)
        return effects

    return asked.asked(differentiated(of_all, params, images, given))
