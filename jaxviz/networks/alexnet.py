"""AlexNet as torchvision lays it out: one column, no normalization layers, no groups.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997.
"""

from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .layers import max_pool

_CONVOLUTIONS = (  # name, in, out, kernel, stride, padding, pool after
    ("conv1", 3, 64, 11, 4, 2, "pool1"),
    ("conv2", 64, 192, 5, 1, 2, "pool2"),
    ("conv3", 192, 384, 3, 1, 1, None),
    ("conv4", 384, 256, 3, 1, 1, None),
    ("conv5", 256, 256, 3, 1, 1, "pool5"),
)
_DENSE = (("fc6", 9216, 4096), ("fc7", 4096, 4096), ("fc8", 4096, 1000))


class AlexNet(nnx.Module):
    """conv1 to pool5 and, unless `convolutions_only`, fc6, fc7 and fc8 (the logits).

    The call takes normalized images, float32 (batch, 224, 224, 3), and returns all activations in
    the order the data flows. Any input of at least 63 pixels a side works.
    """

    def __init__(self, *, rngs: nnx.Rngs, convolutions_only: bool = False) -> None:
        for name, inputs, outputs, kernel, stride, padding, _ in _CONVOLUTIONS:
            layer = nnx.Conv(inputs, outputs, (kernel, kernel), stride, padding=padding, rngs=rngs)
            setattr(self, name, layer)
        self.convolutions_only = convolutions_only
        if not convolutions_only:
            for name, inputs, outputs in _DENSE:
                setattr(self, name, nnx.Linear(inputs, outputs, rngs=rngs))

    def __call__(self, images: jax.Array) -> OrderedDict[str, jax.Array]:
        """Evaluate every layer."""
        outputs: OrderedDict[str, jax.Array] = OrderedDict()
        x = images
        for name, *_, pool in _CONVOLUTIONS:
            x = outputs[name] = nnx.relu(getattr(self, name)(x))
            if pool:
                x = outputs[pool] = max_pool(x)
        if self.convolutions_only:
            return outputs
        x = adaptive_average_pool(x, 6)
        x = x.reshape(x.shape[0], -1)
        for name, *_ in _DENSE:
            x = getattr(self, name)(x)
            x = outputs[name] = x if name == "fc8" else nnx.relu(x)
        return outputs


def adaptive_average_pool(x: jax.Array, size: int) -> jax.Array:
    """Average (batch, height, width, channels) over a size x size grid of near-equal cells.

    Cell i of n pixels spans floor(i * n / size) to ceil((i + 1) * n / size); at n = size it is
    the identity.
    """
    for axis in (1, 2):
        pixels = x.shape[axis]
        if pixels == size:
            continue
        weights = np.zeros((size, pixels), np.float32)
        for cell in range(size):
            start, stop = cell * pixels // size, -(-(cell + 1) * pixels // size)
            weights[cell, start:stop] = 1 / (stop - start)
        x = jnp.moveaxis(jnp.tensordot(weights, x, axes=(1, axis)), 0, axis)
    return x
