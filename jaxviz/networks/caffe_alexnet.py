"""The AlexNet of 2012, with 96 filters, two groups and normalization, as Caffe lays it out.

Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional neural networks",
NeurIPS 2012, in one column; Caffe's bvlc_alexnet, and its bvlc_reference_caffenet, which pools
before it normalizes. Layers have the names of Caffe's models.
"""

from collections import OrderedDict

import jax
from flax import nnx

from .layers import convolution_by_group, local_response_norm, max_pool

CONVOLUTIONS = (  # name, in, out, kernel, stride, padding, groups, norm after, pool after
    ("conv1", 3, 96, 11, 4, 0, 1, "norm1", "pool1"),
    ("conv2", 96, 256, 5, 1, 2, 2, "norm2", "pool2"),
    ("conv3", 256, 384, 3, 1, 1, 1, None, None),
    ("conv4", 384, 384, 3, 1, 1, 2, None, None),
    ("conv5", 384, 256, 3, 1, 1, 2, None, "pool5"),
)
DENSE = (("fc6", 9216, 4096), ("fc7", 4096, 4096), ("fc8", 4096, 1000))


class CaffeAlexNet(nnx.Module):
    """conv1 to fc8, the logits.

    pool_first: normalize after pooling, as caffenet does, not before.
    ceil_pools: the pools that keep their last, partly filled window; all of them in Caffe.

    The call takes normalized images, float32 (batch, 227, 227, 3), and returns all activations in
    the order the data flows. Any size that ends in a 6 x 6 map works.
    """

    def __init__(
        self,
        *,
        rngs: nnx.Rngs,
        pool_first: bool = False,
        ceil_pools: tuple[str, ...] = ("pool1", "pool2", "pool5"),
    ) -> None:
        self.pool_first = pool_first
        self.ceil_pools = ceil_pools
        for name, inputs, outputs, kernel, stride, padding, groups, *_ in CONVOLUTIONS:
            layer = nnx.Conv(
                inputs,
                outputs,
                (kernel, kernel),
                stride,
                padding=padding,
                feature_group_count=groups,
                conv_general_dilated=convolution_by_group,
                rngs=rngs,
            )
            setattr(self, name, layer)
        for name, inputs, outputs in DENSE:
            setattr(self, name, nnx.Linear(inputs, outputs, rngs=rngs))

    def __call__(self, images: jax.Array) -> OrderedDict[str, jax.Array]:
        """Evaluate every layer."""
        outputs: OrderedDict[str, jax.Array] = OrderedDict()
        x = images
        for name, *_, norm, pool in CONVOLUTIONS:
            x = outputs[name] = nnx.relu(getattr(self, name)(x))
            for after in (pool, norm) if self.pool_first else (norm, pool):
                if after:
                    x = outputs[after] = self._after(after, x)
        x = x.reshape(x.shape[0], -1)
        for name, *_ in DENSE:
            x = getattr(self, name)(x)
            x = outputs[name] = x if name == "fc8" else nnx.relu(x)
        return outputs

    def _after(self, name: str, x: jax.Array) -> jax.Array:
        if name.startswith("norm"):
            return local_response_norm(x, size=5, alpha=1e-4, k=1)
        return max_pool(x, ceil=name in self.ceil_pools)
