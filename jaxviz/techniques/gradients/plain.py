"""The gradient of a score by the pixels, and by the layer rules of its ReLUs.

Simonyan et al. 2014, "Deep inside convolutional networks", section 3; Zeiler & Fergus 2014,
"Visualizing and understanding convolutional networks", section 2.1; Springenberg et al. 2015,
"Striving for simplicity", section 3.4; Shrikumar et al. 2016, "Not just a black box".
"""

from typing import Any, NamedTuple

from ... import devices
from ..._asked import gradient_chunk, indices, problem
from ..._typing import Apply, Images, Params, Score
from .pulling import gradients, magnitude


class Attribution(NamedTuple):
    """What each number of an image means for a score.

    `values` (batch, height, width, channel, ...): for each number of the image.
    `heatmap` (batch, height, width, ...): for each pixel; the function says how.
    `baseline` (batch, ...): the score of the image.

    The dots stand for what a score returns besides one number an image.
    """

    values: Any
    heatmap: Any
    baseline: Any


def gradient(
    apply: Apply, params: Params, images: Images, *, score: Score, chunk_size: int | None = None
) -> Attribution:
    """The derivative of the score by each number of the images (Simonyan et al. 2014, section 3.1).

    Args:
        apply: `apply(params, images) -> {layer: activations}`, where no image may depend on the
            others of its batch.
        params: any pytree of arrays.
        images: normalized float images (batch, height, width, channel), all finite.
        score: a function of the outputs, such as `jaxviz.logit(281)`, that returns one number an
            image, (batch,), or many, (batch, ...). It sees some images at a time; for a class for
            each image, give `logit` and the like one for each.
        chunk_size: images at a time; memory grows with it, the answer does not depend on it.

    Returns:
        `values` are in units of the score, per unit of the image. `heatmap` is the largest
        magnitude of a pixel's channels: it has no sign.

    Raises:
        InputError: images hold what is not finite, the score returns something else, or the images
            of a batch depend on one another.

    >>> import numpy as np
    >>> mean = lambda params, images: {"mean": images.mean(axis=(1, 2))}
    >>> found = gradient(mean, None, np.ones((1, 2, 2, 1), np.float32),
    ...                  score=lambda outputs: outputs["mean"][:, 0])
    >>> found.heatmap.tolist()
    [[[0.25, 0.25], [0.25, 0.25]]]
    """
    return _by_rule(apply, params, images, score, chunk_size, None)


def gradient_times_input(
    apply: Apply, params: Params, images: Images, *, score: Score, chunk_size: int | None = None
) -> Attribution:
    """The gradient times the image: what each number adds to a linear score.

    Shrikumar et al. 2016, "Not just a black box". The arguments are those of `gradient`. `values`
    are in units of the score; `heatmap` is their sum over a pixel's channels, with its sign. Where
    the image is zero, it says nothing, so it depends on how images are normalized.

    >>> import numpy as np
    >>> total = lambda params, images: {"total": images.sum(axis=(1, 2))}
    >>> found = gradient_times_input(total, None, np.full((1, 1, 2, 1), 3, np.float32),
    ...                              score=lambda outputs: outputs["total"][:, 0])
    >>> found.heatmap.tolist()
    [[[3.0, 3.0]]]
    """
    found = _by_rule(apply, params, images, score, chunk_size, None)
    images = images.reshape(*images.shape, *[1] * (found.values.ndim - 4))
    values = found.values * images
    return Attribution(values, values.sum(axis=3), found.baseline)


def guided_backpropagation(
    apply: Apply, params: Params, images: Images, *, score: Score, chunk_size: int | None = None
) -> Attribution:
    """The gradient, of which each ReLU passes on what is positive (Springenberg et al. 2015, 3.4).

    It takes any network with ReLUs, which are found in its jaxpr: `max(x, 0)`, `clip(x, 0)`,
    `where(x > 0, x, 0)` and `x * (x > 0)`, in whatever module they are. What is written in another
    way, such as `(x + abs(x)) / 2`, keeps its own derivative. The arguments and the result are
    those of `gradient`; `values` are mostly drawn as a picture. It depends little on the score and
    on the deeper layers (Adebayo et al. 2018), so it shows what is there, not what mattered.

    Raises:
        InputError: as `gradient`, and if what the score depends on has no ReLU.

    >>> import numpy as np
    >>> import jax
    >>> def apply(params, images):
    ...     return {"sum": (jax.nn.relu(images) * params).sum(axis=(1, 2))}
    >>> weights = np.array([[[1.0], [-1.0]]], np.float32)
    >>> found = guided_backpropagation(apply, weights, np.ones((1, 1, 2, 1), np.float32),
    ...                                score=lambda outputs: outputs["sum"][:, 0])
    >>> found.values[0, 0, :, 0].tolist()
    [1.0, 0.0]
    """
    return _by_rule(apply, params, images, score, chunk_size, "guided")


def deconvolution(
    apply: Apply, params: Params, images: Images, *, score: Score, chunk_size: int | None = None
) -> Attribution:
    """Back through the network by a ReLU at each ReLU (Zeiler & Fergus 2014, section 2.1).

    Pooling goes back to where the largest activation was. A score of one unit, or of a feature map,
    gives the pictures of their paper. The arguments, the result and the errors are those of
    `guided_backpropagation`.

    >>> import numpy as np
    >>> import jax
    >>> def apply(params, images):
    ...     return {"sum": (jax.nn.relu(images) * params).sum(axis=(1, 2))}
    >>> weights = np.array([[[1.0], [-1.0]]], np.float32)
    >>> found = deconvolution(apply, weights, -np.ones((1, 1, 2, 1), np.float32),
    ...                       score=lambda outputs: outputs["sum"][:, 0])
    >>> found.values[0, 0, :, 0].tolist()
    [1.0, 0.0]
    """
    return _by_rule(apply, params, images, score, chunk_size, "deconvolution")


def _by_rule(
    apply: Apply,
    params: Params,
    images: Images,
    score: Score,
    chunk_size: int | None,
    rule: str | None,
) -> Attribution:
    asked = problem(apply, params, images, score)
    params, images = devices.gathered((params, images))
    size = gradient_chunk(apply, params, images, chunk_size, len(images))
    own = indices(asked, len(images))
    scores, values = gradients(asked, params, images, own, size, rule)
    values = asked.shaped(values)
    return Attribution(values, magnitude(values), asked.asked(scores))
