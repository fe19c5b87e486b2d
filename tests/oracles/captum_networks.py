"""Our shipped networks as torch modules whose every ReLU is one of its own, as captum wants them.

They give scores (batch, numbers): AlexNet the sums of conv5's maps, SqueezeNet its logits.
"""

import torch
from safetensors.torch import load_file
from torch import nn

if __package__:
    from .torch_networks import filled
else:
    from torch_networks import filled


class Fire(nn.Module):
    """Squeeze, then two convolutions side by side."""

    def __init__(self, tensors, name, inputs, squeeze, expand):
        super().__init__()
        self.squeeze = filled(nn.Conv2d(inputs, squeeze, 1), tensors, f"{name}.squeeze1x1")
        self.left = filled(nn.Conv2d(squeeze, expand, 1), tensors, f"{name}.expand1x1")
        self.right = filled(nn.Conv2d(squeeze, expand, 3, padding=1), tensors, f"{name}.expand3x3")
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x):
        """(batch, channels, rows, cols)."""
        x = self.relu1(self.squeeze(x))
        return torch.cat([self.relu2(self.left(x)), self.relu3(self.right(x))], dim=1)


class SumOfMaps(nn.Module):
    """(batch, channels), of maps."""

    def forward(self, x):
        """Sum over rows and columns."""
        return x.sum(dim=(2, 3))


def alexnet(file):
    """The module, and the layers that Grad-CAM is taken at, by our names."""
    tensors = load_file(file)
    layers = [
        filled(nn.Conv2d(3, 64, 11, stride=4, padding=2), tensors, "conv1"), nn.ReLU(),
        nn.MaxPool2d(3, 2),
        filled(nn.Conv2d(64, 192, 5, padding=2), tensors, "conv2"), nn.ReLU(),
        nn.MaxPool2d(3, 2),
        filled(nn.Conv2d(192, 384, 3, padding=1), tensors, "conv3"), nn.ReLU(),
        filled(nn.Conv2d(384, 256, 3, padding=1), tensors, "conv4"), nn.ReLU(),
        filled(nn.Conv2d(256, 256, 3, padding=1), tensors, "conv5"), nn.ReLU(),
    ]  # fmt: skip
    return nn.Sequential(*layers, SumOfMaps()).eval(), {"conv3": layers[7], "pool2": layers[5]}


def squeezenet(file):
    """The module, and the layers that Grad-CAM is taken at, by our names."""
    tensors = load_file(file)

    def pool():
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    layers = [
        filled(nn.Conv2d(3, 64, 3, stride=2), tensors, "conv1"), nn.ReLU(), pool(),
        Fire(tensors, "fire2", 64, 16, 64), Fire(tensors, "fire3", 128, 16, 64), pool(),
        Fire(tensors, "fire4", 128, 32, 128), Fire(tensors, "fire5", 256, 32, 128), pool(),
        Fire(tensors, "fire6", 256, 48, 192), Fire(tensors, "fire7", 384, 48, 192),
        Fire(tensors, "fire8", 384, 64, 256), Fire(tensors, "fire9", 512, 64, 256),
        filled(nn.Conv2d(512, 1000, 1), tensors, "conv10"), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ]  # fmt: skip
    found = {"fire9/concat": layers[12], "conv10": layers[14]}
    return nn.Sequential(*layers).eval(), found


class Residual(nn.Module):
    """Two convolutions beside a way around them."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.around = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        """(batch, channels, rows, cols)."""
        inner = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        return self.relu2(inner + self.around(x))


def resnet():
    """A small ResNet with random weights and average pooling."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Residual(8, 8, 1),
        nn.AvgPool2d(2), Residual(8, 16, 2), Residual(16, 16, 1), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()
