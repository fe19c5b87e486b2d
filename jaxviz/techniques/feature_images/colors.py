"""What photographs are made of: their colors and their spectrum, as measured on our own.

`weights/measure_photographs.py` measures all numbers here.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Columns are brightness, blue against yellow, and green against magenta: uncorrelated colors of
# photographs, scaled to their spread, the largest to 1. A color here is a logit, so that its
# sigmoid lies between 0 and 1.
COLORS = np.array(
    [[0.569, 0.203, 0.063], [0.565, 0.018, -0.117], [0.598, -0.210, 0.050]], np.float32
)
# The magnitude at a frequency of f cycles a pixel is AMPLITUDE / f**EXPONENT for each of them.
AMPLITUDES = np.array([0.160, 0.172, 0.254], np.float32)
EXPONENTS = np.array([1.220, 1.142, 1.045], np.float32)


def colored(planes: Any) -> Any:
    """Uncorrelated planes (channel, height, width) as an image (height, width, channel), 0 to 1.

    Planes of other than three channels are colors as they are.

    >>> colored(jnp.zeros((3, 1, 1))).tolist()
    [[[0.5, 0.5, 0.5]]]
    """
    if len(planes) != 3:
        logits = jnp.moveaxis(planes, 0, -1)
    else:
        colors = jnp.asarray(COLORS, planes.dtype)
        logits = jnp.einsum("kc,chw->hwk", colors, planes, precision="highest")
    return jax.nn.sigmoid(logits)
