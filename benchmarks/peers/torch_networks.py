"""The same networks as a good torch user writes them: channels_last, inference mode."""

from typing import Any

import jax
import torch
from torch import nn

from .layers import Conv, Dense, Fire, Mean, Pool

DEVICE = "cuda" if jax.default_backend() == "gpu" else "cpu"
torch.set_float32_matmul_precision("high")  # on a GPU TF32, which is JAX's own choice there


def torch_network(layers: list[Any], params: Any) -> Any:
    """The same network as a torch module in channels_last, NCHW."""
    rest = iter(params)

    class Expand(nn.Module):
        def __init__(self, one: Any, three: Any):
            super().__init__()
            self.one, self.three = one, three

        def forward(self, x: Any) -> Any:
            return torch.cat([self.one(x), self.three(x)], 1)

    class GlobalMean(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.mean((2, 3))

    class FlattenChannelsLast(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.permute(0, 2, 3, 1).flatten(1)

    def conv(stride: int = 1, padding: int = 0) -> Any:
        kernel, bias = next(rest)
        module = nn.Conv2d(kernel.shape[2], kernel.shape[3], kernel.shape[0], stride, padding)
        module.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        module.bias.data = torch.from_numpy(bias.copy())
        return nn.Sequential(module, nn.ReLU())

    modules: list[Any] = []
    flat = False
    for layer in layers:
        match layer:
            case Conv(_, _, stride, padding):
                modules.append(conv(stride, padding))
            case Pool(size, stride, ceil):
                modules.append(nn.MaxPool2d(size, stride, ceil_mode=ceil))
            case Fire():
                modules.append(nn.Sequential(conv(), Expand(conv(), conv(padding=1))))
            case Dense(_, relu):
                kernel, bias = next(rest)
                linear = nn.Linear(*kernel.shape)
                linear.weight.data = torch.from_numpy(kernel.T.copy())
                linear.bias.data = torch.from_numpy(bias)
                modules += [] if flat else [FlattenChannelsLast()]
                modules += [linear, nn.ReLU()] if relu else [linear]
                flat = True
            case Mean():
                modules.append(GlobalMean())
    return nn.Sequential(*modules).eval().to(DEVICE, memory_format=torch.channels_last)


def as_torch(images: Any) -> Any:
    """Images (batch, height, width, channel) as a tensor on the device, in channels_last."""
    tensor = torch.from_numpy(images.copy()).permute(0, 3, 1, 2)
    return tensor.to(DEVICE, memory_format=torch.channels_last)
