"""EfficientNet-Lite0: the smallest EfficientNet without squeeze-and-excite, and with ReLU6.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
arXiv:1905.11946; the Lite variants are the authors' own, for devices that compute in integers. The
blocks are the inverted residuals of MobileNetV2 (Sandler et al., arXiv:1801.04381) and are numbered
from 0, as in the authors' checkpoints.
"""

from collections import OrderedDict

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

_STAGES = (  # blocks, kernel, stride of the first, expansion, in, out
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
_FEATURES, _CLASSES = 1280, 1000
_EPSILON = 1e-3  # added to each variance


class NormalizedConv(nnx.Module):
    """A convolution without a bias, then batch normalization by the training's averages.

    Padding is TensorFlow's: what is uneven goes to the bottom and to the right.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int = 1, stride: int = 1, *,
        depthwise: bool = False, rngs: nnx.Rngs,
    ) -> None:  # fmt: skip
        initial = nnx.initializers.lecun_normal()
        shape = (size, size, 1 if depthwise else inputs, outputs)
        self.kernel = nnx.Param(initial(rngs.params(), shape, jnp.float32))
        self.scale = nnx.Param(jnp.ones(outputs, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(outputs, jnp.float32))
        self.mean = nnx.Param(jnp.zeros(outputs, jnp.float32))
        self.variance = nnx.Param(jnp.ones(outputs, jnp.float32))
        self.stride = stride
        self.groups = inputs if depthwise else 1

    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolve (batch, height, width, channels) and normalize."""
        strides = (self.stride, self.stride)
        x = lax.conv_general_dilated(
            x, self.kernel[...], strides, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
        )  # fmt: skip
        factor = self.scale[...] * lax.rsqrt(self.variance[...] + _EPSILON)
        shift = self.bias[...] - self.mean[...] * factor
        return x * factor[None, None, None] + shift[None, None, None]


class InvertedResidual(nnx.Module):
    """Expand by a 1x1 convolution, convolve each channel by itself, project to few channels.

    Where the shape stays the same, the input is added.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int, expansion: int, *, rngs: nnx.Rngs
    ) -> None:
        inner = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self.expand = NormalizedConv(inputs, inner, rngs=rngs)
        self.depthwise = NormalizedConv(inner, inner, size, stride, depthwise=True, rngs=rngs)
        self.project = NormalizedConv(inner, outputs, rngs=rngs)
        self.adds = stride == 1 and inputs == outputs

    def __call__(self, x: jax.Array) -> OrderedDict[str, jax.Array]:
        """Evaluate; the last entry is what goes on."""
        outputs: OrderedDict[str, jax.Array] = OrderedDict()
        inner = x
        if self.expands:
            inner = outputs["expand"] = nnx.relu6(self.expand(inner))
        inner = outputs["depthwise"] = nnx.relu6(self.depthwise(inner))
        inner = outputs["project"] = self.project(inner)
        if self.adds:
            outputs["add"] = inner + x
        return outputs


class EfficientNetLite0(nnx.Module):
    """conv_stem, sixteen blocks, conv_head, pool, and fc, whose 1000 numbers are the logits.

    The call takes normalized images, float32 (batch, 224, 224, 3), and returns all activations in
    the order the data flows. Any input of at least one pixel works.
    """

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.conv_stem = NormalizedConv(3, _STAGES[0][4], 3, 2, rngs=rngs)
        self.num_blocks = 0
        for repeats, size, stride, expansion, inputs, outputs in _STAGES:
            for i in range(repeats):
                first = i == 0
                block = InvertedResidual(
                    inputs if first else outputs, outputs, size, stride if first else 1, expansion,
                    rngs=rngs,
                )  # fmt: skip
                setattr(self, f"block{self.num_blocks}", block)
                self.num_blocks += 1
        self.conv_head = NormalizedConv(_STAGES[-1][5], _FEATURES, rngs=rngs)
        self.fc = nnx.Linear(_FEATURES, _CLASSES, rngs=rngs)

    def __call__(self, images: jax.Array) -> OrderedDict[str, jax.Array]:
        """Evaluate every layer."""
        outputs: OrderedDict[str, jax.Array] = OrderedDict()
        x = outputs["conv_stem"] = nnx.relu6(self.conv_stem(images))
        for i in range(self.num_blocks):
            inner = getattr(self, f"block{i}")(x)
            outputs |= {f"block{i}/{part}": value for part, value in inner.items()}
            x = next(reversed(inner.values()))
        x = outputs["conv_head"] = nnx.relu6(self.conv_head(x))
        x = outputs["pool"] = x.mean(axis=(1, 2))
        outputs["fc"] = self.fc(x)
        return outputs
