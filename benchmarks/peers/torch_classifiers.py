"""Classifiers of the literature in torch, NCHW, as torch users write them; random weights.

Each is a plain module, evaluated with its running averages; ONNX files are made of the same ones.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Activation = Callable[[], Any] | None


def conv(
    inputs: int, outputs: int, size: int = 1, stride: int = 1, *,
    groups: int = 1, activation: Activation = nn.ReLU,
) -> list[Any]:  # fmt: skip
    """A convolution without bias, its batch normalization, and its activation function."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), *([activation()] if activation else [])]


class Residual(nn.Module):
    """The sum of two branches, and an activation function of it."""

    def __init__(self, branch: list[Any], shortcut: list[Any], activation: Activation = None):
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(*branch), nn.Sequential(*shortcut)
        self.after = activation() if activation else nn.Identity()

    def forward(self, x: Any) -> Any:
        """(batch, channel, height, width) to the same, perhaps at a stride."""
        return self.after(self.branch(x) + self.shortcut(x))


def classifier(features: list[Any], channels: int) -> Any:
    """The features, averaged over the map, and 1,000 scores."""
    return nn.Sequential(
        *features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)
    )


def resnet(blocks: tuple[int, ...], expansion: int) -> Any:
    """Residual networks (arXiv:1512.03385), the stride of bottlenecks at their 3 x 3."""
    layers: list[Any] = [*conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, repeats in enumerate(blocks):
        width = 64 * 2**stage
        outputs = width * expansion
        for block in range(repeats):
            stride = 2 if stage and not block else 1
            if expansion == 1:
                first = conv(inputs, width, 3, stride)
                branch = [*first, *conv(width, outputs, 3, activation=None)]
            else:
                first = [*conv(inputs, width), *conv(width, width, 3, stride)]
                branch = [*first, *conv(width, outputs, activation=None)]
            same = stride == 1 and inputs == outputs
            shortcut = [] if same else conv(inputs, outputs, 1, stride, activation=None)
            layers.append(Residual(branch, shortcut, nn.ReLU))
            inputs = outputs
    return classifier(layers, inputs)


def vgg16() -> Any:
    """VGG-16 (arXiv:1409.1556), configuration D."""
    layers: list[Any] = []
    inputs = 3
    for width, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    dense = [nn.Linear(25088, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), *dense, nn.Linear(4096, 1000))


class Grown(nn.Module):
    """What comes in, and behind it the channels that a layer makes of it."""

    def __init__(self, inputs: int, growth: int):
        super().__init__()
        before = [nn.BatchNorm2d(inputs), nn.ReLU(), *conv(inputs, 4 * growth)]
        self.layer = nn.Sequential(*before, nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False))

    def forward(self, x: Any) -> Any:
        """(batch, channel, height, width) to the same with more channels."""
        return torch.cat([x, self.layer(x)], 1)


def densenet121() -> Any:
    """DenseNet-121 (arXiv:1608.06993)."""
    layers: list[Any] = [*conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, repeats in enumerate((6, 12, 24, 16)):
        if stage:
            layers += [nn.BatchNorm2d(inputs), nn.ReLU()]
            layers += [nn.Conv2d(inputs, inputs // 2, 1, bias=False), nn.AvgPool2d(2)]
            inputs //= 2
        for _ in range(repeats):
            layers.append(Grown(inputs, 32))
            inputs += 32
    return classifier([*layers, nn.BatchNorm2d(inputs), nn.ReLU()], inputs)


class SqueezeExcite(nn.Module):
    """Channels scaled by what their averages over the whole map say (arXiv:1709.01507)."""

    def __init__(self, channels: int, inner: int):
        super().__init__()
        layers = [nn.Conv2d(channels, inner, 1), nn.SiLU(), nn.Conv2d(inner, channels, 1)]
        self.scale = nn.Sequential(nn.AdaptiveAvgPool2d(1), *layers, nn.Sigmoid())

    def forward(self, x: Any) -> Any:
        """(batch, channel, height, width) to the same."""
        return x * self.scale(x)


def inverted_bottlenecks(
    stages: tuple[tuple[int, ...], ...], head: int, activation: Callable[[], Any],
    *, squeezes: bool = False,
) -> Any:  # fmt: skip
    """MobileNet-v2 and EfficientNet: stages of (expansion, channels, blocks, stride, kernel)."""
    layers: list[Any] = conv(3, 32, 3, 2, activation=activation)
    inputs = 32
    for expansion, outputs, repeats, first_stride, size in stages:
        for block in range(repeats):
            stride, inner = 1 if block else first_stride, inputs * expansion
            branch = conv(inputs, inner, activation=activation) if expansion > 1 else []
            branch += conv(inner, inner, size, stride, groups=inner, activation=activation)
            branch += [SqueezeExcite(inner, inputs // 4)] if squeezes else []
            branch += conv(inner, outputs, activation=None)
            same = stride == 1 and inputs == outputs
            layers += [Residual(branch, [])] if same else branch
            inputs = outputs
    return classifier([*layers, *conv(inputs, head, activation=activation)], head)


MOBILENET_V2 = (  # table 2 of arXiv:1801.04381
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3), (6, 160, 3, 2, 3), (6, 320, 1, 1, 3),
)  # fmt: skip
EFFICIENTNET = (  # table 1 of arXiv:1905.11946
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
)  # fmt: skip
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "resnet18": lambda: resnet((2, 2, 2, 2), 1),
    "resnet50": lambda: resnet((3, 4, 6, 3), 4),
    "vgg16": vgg16,
    "mobilenet_v2": lambda: inverted_bottlenecks(MOBILENET_V2, 1280, nn.ReLU6),
    "densenet121": densenet121,
    "efficientnet_lite0": lambda: inverted_bottlenecks(EFFICIENTNET, 1280, nn.ReLU6),
    "efficientnet_b0": lambda: inverted_bottlenecks(EFFICIENTNET, 1280, nn.SiLU, squeezes=True),
}


def random_classifier(name: str) -> Any:
    """One of `CLASSIFIERS` in evaluation mode; activations keep their size from layer to layer."""
    torch.manual_seed(0)
    network = CLASSIFIERS[name]().eval()
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            inputs = math.prod(module.weight.shape[1:])
            nn.init.normal_(module.weight, std=math.sqrt(2 / inputs))
    return network
