"""SqueezeNet v1.1: AlexNet's accuracy with 1.2 million parameters.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
size", arXiv:1602.07360; version 1.1 is the authors' later, cheaper layout. Layers have the names
of the authors' Caffe model.
"""

from collections import OrderedDict

import jax
from flax import nnx

from .layers import max_pool

_FIRES = (  # name, in, squeeze, expand (each of two), pool after
    ("fire2", 64, 16, 64, None),
    ("fire3", 128, 16, 64, "pool3"),
    ("fire4", 128, 32, 128, None),
    ("fire5", 256, 32, 128, "pool5"),
    ("fire6", 256, 48, 192, None),
    ("fire7", 384, 48, 192, None),
    ("fire8", 384, 64, 256, None),
    ("fire9", 512, 64, 256, None),
)


class Fire(nnx.Module):
    """A 1x1 convolution that squeezes, then 1x1 and 3x3 ones side by side that expand."""

    def __init__(self, inputs: int, squeeze: int, expand: int, *, rngs: nnx.Rngs) -> None:
        self.squeeze1x1 = nnx.Conv(inputs, squeeze, (1, 1), rngs=rngs)
        self.expand1x1 = nnx.Conv(squeeze, expand, (1, 1), rngs=rngs)
        self.expand3x3 = nnx.Conv(squeeze, expand, (3, 3), padding=1, rngs=rngs)

    def __call__(self, x: jax.Array) -> OrderedDict[str, jax.Array]:
        """Evaluate; the entry `concat` is what goes on."""
        squeezed = nnx.relu(self.squeeze1x1(x))
        expanded = [nnx.relu(layer(squeezed)) for layer in (self.expand1x1, self.expand3x3)]
        names = ("squeeze1x1", "expand1x1", "expand3x3", "concat")
        values = (squeezed, *expanded, jax.numpy.concatenate(expanded, axis=-1))
        return OrderedDict(zip(names, values, strict=True))


class SqueezeNet(nnx.Module):
    """conv1, eight fire modules, conv10 and pool10, whose 1000 numbers are the logits.

    The call takes normalized images, float32 (batch, 227, 227, 3), and returns all activations in
    the order the data flows.
    """

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(3, 64, (3, 3), 2, padding="VALID", rngs=rngs)
        for name, inputs, squeeze, expand, _ in _FIRES:
            setattr(self, name, Fire(inputs, squeeze, expand, rngs=rngs))
        self.conv10 = nnx.Conv(512, 1000, (1, 1), rngs=rngs)

    def __call__(self, images: jax.Array) -> OrderedDict[str, jax.Array]:
        """Evaluate every layer."""
        outputs: OrderedDict[str, jax.Array] = OrderedDict()
        x = outputs["conv1"] = nnx.relu(self.conv1(images))
        x = outputs["pool1"] = max_pool(x, ceil=True)
        for name, *_, pool in _FIRES:
            inner = getattr(self, name)(x)
            outputs |= {f"{name}/{part}": value for part, value in inner.items()}
            x = inner["concat"]
            if pool:
                x = outputs[pool] = max_pool(x, ceil=True)
        x = outputs["conv10"] = nnx.relu(self.conv10(x))
        outputs["pool10"] = x.mean(axis=(1, 2))
        return outputs
