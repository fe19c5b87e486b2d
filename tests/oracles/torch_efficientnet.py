"""EfficientNet-Lite0 in torch, NCHW, written from the paper's table and nothing else.

Its parameters have the names that the published checkpoint has.
"""

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

STAGES = (  # expansion, channels, blocks, stride, kernel: table 1 of arXiv:1905.11946
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
PARTS = (
    ("scale", "weight"),
    ("bias", "bias"),
    ("mean", "running_mean"),
    ("variance", "running_var"),
)


class SameConv(nn.Conv2d):
    """As many outputs as TensorFlow's "SAME" gives."""

    def forward(self, x):
        pads = []
        for side in x.shape[:1:-1]:
            size, step = self.kernel_size[0], self.stride[0]
            total = max((-(-side // step) - 1) * step + size - side, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, pads))


def conv(inputs, outputs, size=1, stride=1, groups=1):
    return SameConv(inputs, outputs, size, stride, groups=groups, bias=False)


class Block(nn.Module):
    def __init__(self, inputs, outputs, expansion, size, stride):
        super().__init__()
        inner = inputs * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = conv(inputs, inner), nn.BatchNorm2d(inner, eps=1e-3)
        self._depthwise_conv = conv(inner, inner, size, stride, inner)
        self._bn1 = nn.BatchNorm2d(inner, eps=1e-3)
        self._project_conv, self._bn2 = conv(inner, outputs), nn.BatchNorm2d(outputs, eps=1e-3)
        self.adds = inputs == outputs and stride == 1

    def forward(self, x):
        out, y = {}, x
        if hasattr(self, "_expand_conv"):
            y = out["expand"] = functional.relu6(self._bn0(self._expand_conv(y)))
        y = out["depthwise"] = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = out["project"] = self._bn2(self._project_conv(y))
        if self.adds:
            out["add"] = x + y
        return out


class EfficientNetLite0(nn.Module):
    """The call gives all activations, in the order the data flows."""

    def __init__(self):
        super().__init__()
        self._conv_stem, self._bn0 = conv(3, 32, 3, 2), nn.BatchNorm2d(32, eps=1e-3)
        blocks, inputs = [], 32
        for expansion, outputs, repeats, stride, size in STAGES:
            for i in range(repeats):
                blocks.append(Block(inputs, outputs, expansion, size, 1 if i else stride))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = conv(320, 1280), nn.BatchNorm2d(1280, eps=1e-3)
        self._fc = nn.Linear(1280, 1000)
        self.eval()

    def forward(self, images):
        out = {"conv_stem": functional.relu6(self._bn0(self._conv_stem(images)))}
        x = out["conv_stem"]
        for i, block in enumerate(self._blocks):
            inner = block(x)
            out |= {f"block{i}/{part}": value for part, value in inner.items()}
            x = list(inner.values())[-1]
        out["conv_head"] = functional.relu6(self._bn1(self._conv_head(x)))
        out["pool"] = out["conv_head"].mean(dim=(2, 3))
        out["fc"] = self._fc(out["pool"])
        return out


def filled(file):
    """The network with the numbers of our weights file."""
    tensors = load_file(file)
    network = EfficientNetLite0()

    def take(convolution, norm, name):
        with torch.no_grad():
            convolution.weight.copy_(tensors[f"{name}.kernel"].permute(3, 2, 0, 1))
            for ours, theirs in PARTS:
                getattr(norm, theirs).copy_(tensors[f"{name}.{ours}"])

    take(network._conv_stem, network._bn0, "conv_stem")
    for i, block in enumerate(network._blocks):
        if hasattr(block, "_expand_conv"):
            take(block._expand_conv, block._bn0, f"block{i}.expand")
        take(block._depthwise_conv, block._bn1, f"block{i}.depthwise")
        take(block._project_conv, block._bn2, f"block{i}.project")
    take(network._conv_head, network._bn1, "conv_head")
    with torch.no_grad():
        network._fc.weight.copy_(tensors["fc.kernel"].T)
        network._fc.bias.copy_(tensors["fc.bias"])
    return network
