"""torch, part by part, for profiles: each function runs a path from its start to some layer."""

from collections.abc import Callable
from typing import Any

import torch

from .torch_networks import DEVICE, as_torch, torch_network


def wait() -> None:
    """Until what was started is done."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def product(rows: int, inner: int, columns: int) -> Callable[[], None]:
    """A product of two matrices."""
    left = torch.ones((rows, inner), device=DEVICE)
    right = torch.ones((inner, columns), device=DEVICE)

    def run() -> None:
        torch.matmul(left, right)
        wait()

    return run


def network_stages(layers: list[Any], kernels: Any, images: Any) -> list[Callable[[], None]]:
    """The first 1, 2, ... layers, on images (batch, height, width, channel)."""
    same = as_torch(images)
    modules = [torch_network(layers[:end], kernels) for end in range(1, len(layers) + 1)]

    def stage(module: Any) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                module(same)
            wait()

        return run

    return [stage(module) for module in modules]


class SweepStages:
    """One batch of a sweep with hooks, uint8 (batch, height, width, 3).

    `model` is a network without hooks; `hooked(images)` runs one with hooks that keep the best.
    """

    def __init__(self, model: Any, hooked: Any, pixels: Any, mean: Any, std: Any):
        self.model, self.hooked, self.pixels = model, hooked, pixels
        self.mean, self.std = mean, std

    def images(self) -> Any:
        batch = torch.from_numpy(self.pixels).to(DEVICE).permute(0, 3, 1, 2)
        return batch.to(torch.float32).sub_(self.mean).div_(self.std)

    def layers(self, end: int, strongest: int = 0) -> Callable[[], None]:
        """The first `end` layers and the maxima of the first `strongest` convolutions' maps."""

        def run() -> None:
            with torch.inference_mode():
                x, maps = self.images(), []
                for module in self.model[:end]:
                    x = module(x)
                    if isinstance(module, torch.nn.Sequential):
                        maps.append(x)
                for one in maps[:strongest]:
                    one.amax((2, 3))
            wait()

        return run

    def merging(self) -> None:
        with torch.inference_mode():
            self.hooked(self.images())
        wait()
