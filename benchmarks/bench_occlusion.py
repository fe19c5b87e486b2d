"""Occlusion of one image: incremental, whole passes, captum, and a hand-written torch loop.

All four get the same weights, image and positions. Each peer runs at its best batch size, found
before; then all take turns for some rounds. Ratios are taken within a round, and the median and the
range over the rounds are reported; compilation is timed apart. Writes JSON:

    python benchmarks/bench_occlusion.py results.json --networks alexnet squeezenet --rounds 5
"""

import argparse
import functools
import importlib.metadata
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

import jaxviz

TARGET = 7  # the class whose score is tracked
PEERS = ("full", "captum", "torch")


class Conv(NamedTuple):
    features: int
    size: int
    stride: int = 1
    padding: int = 0


class Pool(NamedTuple):
    size: int
    stride: int
    ceil: bool = False


class Fire(NamedTuple):
    squeeze: int
    expand: int


class Dense(NamedTuple):
    features: int
    relu: bool = True


class Mean(NamedTuple):
    """Average over space, as logits."""


ALEXNET = [
    *(Conv(64, 11, 4, 2), Pool(3, 2), Conv(192, 5, 1, 2), Pool(3, 2)),
    *(Conv(384, 3, 1, 1), Conv(256, 3, 1, 1), Conv(256, 3, 1, 1), Pool(3, 2)),
    *(Dense(4096), Dense(4096), Dense(1000, relu=False)),
]
SQUEEZENET = [
    *(Conv(64, 3, 2), Pool(3, 2, ceil=True), Fire(16, 64), Fire(16, 64), Pool(3, 2, ceil=True)),
    *(Fire(32, 128), Fire(32, 128), Pool(3, 2, ceil=True)),
    *(Fire(48, 192), Fire(48, 192), Fire(64, 256), Fire(64, 256), Conv(1000, 1), Mean()),
]
VGG16 = [
    *(layer for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
      for layer in (*[Conv(width, 3, 1, 1)] * depth, Pool(2, 2))),
    *(Dense(4096), Dense(4096), Dense(1000, relu=False)),
]  # fmt: skip
NETWORKS = {"alexnet": ALEXNET, "squeezenet": SQUEEZENET, "vgg16": VGG16}
# Strides that divide the free way, so that all peers agree on the positions. VGG's whole passes are
# long, so it gets fewer positions.
STRIDES = {"alexnet": 8, "squeezenet": 8, "vgg16": 16}


def kernels(layers: list[Any], image_size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random kernels (HWIO, or (in, out)) and biases in the order of use."""
    generator = np.random.default_rng(0)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    channels, extent, flat = 3, image_size, False

    def add(size: int | None, into: int, out: int) -> None:
        shape = (into, out) if size is None else (size, size, into, out)
        deviation = np.sqrt(2 / np.prod(shape[:-1]))
        kernel = generator.normal(size=shape, scale=deviation).astype(np.float32)
        found.append((kernel, generator.normal(size=out, scale=0.05).astype(np.float32)))

    for layer in layers:
        match layer:
            case Conv(features, size, stride, padding):
                add(size, channels, features)
                channels, extent = features, (extent + 2 * padding - size) // stride + 1
            case Pool(size, stride, ceil):
                extent = (extent - size + (stride - 1) * ceil) // stride + 1
            case Fire(squeeze, expand):
                add(1, channels, squeeze)
                add(1, squeeze, expand)
                add(3, squeeze, expand)
                channels = 2 * expand
            case Dense(features):
                add(None, channels if flat else channels * extent**2, features)
                channels, flat = features, True
    return found


def jax_network(layers: list[Any], params: Any, images: Array) -> Array:
    """Logits (batch, classes) of images (batch, H, W, 3)."""
    rest = iter(params)

    def conv(x: Array, stride: int = 1, padding: int = 0) -> Array:
        kernel, bias = next(rest)
        y = lax.conv_general_dilated(
            x, kernel, [stride] * 2, [[padding] * 2] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jax.nn.relu(y + bias)

    x = images
    for layer in layers:
        match layer:
            case Conv(_, _, stride, padding):
                x = conv(x, stride, padding)
            case Pool(size, stride, ceil):
                extra = -(x.shape[1] - size) % stride if ceil else 0
                x = lax.reduce_window(
                    x,
                    -jnp.inf,
                    lax.max,
                    (1, size, size, 1),
                    (1, stride, stride, 1),
                    [(0, 0), (0, extra), (0, extra), (0, 0)],
                )
            case Fire():
                x = conv(x)
                x = jnp.concatenate([conv(x), conv(x, padding=1)], axis=-1)
            case Dense(_, relu):
                kernel, bias = next(rest)
                x = x.reshape(len(x), -1) @ kernel + bias
                x = jax.nn.relu(x) if relu else x
            case Mean():
                x = x.mean((1, 2))
    return x


def torch_network(layers: list[Any], params: Any, image_size: int) -> Any:
    """The same network as a torch module in channels_last, NCHW."""
    import torch
    from torch import nn

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
        module.bias.data = torch.from_numpy(bias)
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
    return nn.Sequential(*modules).eval().to(memory_format=torch.channels_last)


class Case:
    """One network, image and grid; each method returns the occluded scores (positions,)."""

    def __init__(self, name: str, window: int, stride: int, image_size: int):
        self.name, self.window, self.stride = name, window, stride
        self.arrays = kernels(NETWORKS[name], image_size)
        self.params = jax.device_put(self.arrays)
        image = np.random.default_rng(1).normal(size=(image_size, image_size, 3))
        self.image = image.astype(np.float32)
        self.image_size = image_size
        self.evaluate = self.apply  # one object, so that compiled programs are found again
        starts = np.arange(0, image_size - window + 1, stride)
        self.tops, self.lefts = np.repeat(starts, len(starts)), np.tile(starts, len(starts))

    def apply(self, params: Any, images: Array) -> dict[str, Array]:
        return {"logits": jax_network(NETWORKS[self.name], params, images)}

    def occlusion(self, method: str, batch: int | None) -> np.ndarray:
        result = jaxviz.occlusion_map(
            self.evaluate,
            self.params,
            self.image[None],
            score=jaxviz.logit(TARGET),
            window=self.window,
            stride=self.stride,
            fill=0.0,
            method=method,
            chunk_size=batch,
        )
        return np.asarray(result.scores[0]).ravel()

    def incremental(self) -> np.ndarray:
        return self.occlusion("incremental", None)

    def full(self, batch: int) -> np.ndarray:
        return self.occlusion("full", batch)

    @functools.cached_property
    def torch_model(self) -> Any:
        return torch_network(NETWORKS[self.name], self.arrays, self.image_size)

    def torch(self, batch: int) -> np.ndarray:
        import torch

        image = torch.from_numpy(self.image.transpose(2, 0, 1)[None].copy())
        scores = []
        with torch.inference_mode():
            for first in range(0, len(self.tops), batch):
                corners = list(zip(self.tops[first:], self.lefts[first:], strict=True))[:batch]
                images = image.repeat(len(corners), 1, 1, 1)
                for one, (top, left) in zip(images, corners, strict=True):
                    one[:, top : top + self.window, left : left + self.window] = 0
                images = images.contiguous(memory_format=torch.channels_last)
                scores.append(self.torch_model(images)[:, TARGET].numpy())
        return np.concatenate(scores)

    def captum(self, batch: int) -> np.ndarray:
        """Captum returns a map, so the scores are kept on the way; its windows go down first."""
        import torch
        from captum.attr import Occlusion

        scores = []

        def forward(images: Any) -> Any:
            logits = self.torch_model(images.contiguous(memory_format=torch.channels_last))
            scores.append(logits[:, TARGET].numpy())
            return logits

        with torch.inference_mode():
            Occlusion(forward).attribute(
                torch.from_numpy(self.image.transpose(2, 0, 1)[None].copy()),
                sliding_window_shapes=(3, self.window, self.window),
                strides=(3, self.stride, self.stride),
                baselines=0,
                target=TARGET,
                perturbations_per_eval=batch,
            )
        rows = int(np.sqrt(len(self.tops)))
        return np.concatenate(scores)[-len(self.tops) :].reshape(rows, rows).T.ravel()


def seconds(fun: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = fun()
    return time.perf_counter() - start, result


def measured(case: Case, rounds: int, batches: list[int], peers: Sequence[str]) -> dict[str, Any]:
    report: dict[str, Any] = {"positions": len(case.tops), "window": case.window}
    report["first_call_seconds"] = {
        "incremental": seconds(case.incremental)[0],
        "full": seconds(lambda: case.full(batches[-1]))[0],
    }
    methods: dict[str, Callable[[], np.ndarray]] = {"incremental": case.incremental}
    best: dict[str, int] = {}
    for peer in peers:
        method = getattr(case, peer)
        try:
            times = {}
            for batch in batches:
                if peer == "full":
                    method(batch)
                times[batch] = seconds(functools.partial(method, batch))[0]
        except ImportError as error:
            print(f"{peer}: skipped ({error})")
            continue
        best[peer] = min(times, key=lambda batch: times[batch])
        methods[peer] = functools.partial(method, best[peer])
    report["best_batch"] = best
    times_of: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds):
        results = {}
        for name, method in methods.items():
            elapsed, results[name] = seconds(method)
            times_of[name].append(elapsed)
    own = times_of["incremental"]
    for name, times in times_of.items():
        ratios = [time / mine for time, mine in zip(times, own, strict=True)]
        difference = np.abs(results[name] - results["incremental"]).max()
        report[name] = {
            "seconds": times,
            "ratio_median": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
            "largest_difference": float(difference),
            "largest_score": float(np.abs(results["incremental"]).max()),
        }
        print(
            f"{case.name:<11}{name:<12}{statistics.median(times):8.3f} s   incremental is "
            f"{statistics.median(ratios):5.2f} times as fast ({min(ratios):.2f} to "
            f"{max(ratios):.2f}), largest difference {difference:.1e}",
            flush=True,
        )
    print(f"{case.name:<11}first calls {report['first_call_seconds']}, batches {best}", flush=True)
    return report


def peak_memory(name: str, stride: int, image_size: int) -> dict[str, Any]:
    """Peak resident memory, in MB, of a process that does nothing else."""
    command = [sys.executable, __file__, "--memory", name, str(stride), str(image_size)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    report = json.loads(lines[-1])
    print(f"{name}, {report['positions']} positions: peak memory {report['peak_mb']:.0f} MB, "
          f"of which {report['before_mb']:.0f} MB before", flush=True)  # fmt: skip
    return dict(report)


def _memory_child(name: str, stride: int, image_size: int) -> None:
    case = Case(name, 16, stride, image_size)

    def resident() -> float:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    before = resident()
    case.incremental()
    report = {"positions": len(case.tops), "before_mb": before, "peak_mb": resident()}
    print(json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--stride", type=int, help="default: depends on the network")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64])
    arguments = parser.parse_args()
    report: dict[str, Any] = {
        "device": jax.devices()[0].device_kind,
        "machine": platform.processor() or platform.machine(),
        "versions": {},
    }
    for package in ("jax", "torch", "captum"):
        try:
            report["versions"][package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            report["versions"][package] = None
    for name in arguments.networks:
        stride = arguments.stride or STRIDES[name]
        case = Case(name, arguments.window, stride, arguments.image_size)
        report[name] = measured(case, arguments.rounds, arguments.batches, arguments.peers)
    report["memory"] = peak_memory(arguments.networks[0], 4, arguments.image_size)
    partial = arguments.output.with_suffix(".partial")
    partial.write_text(json.dumps(report, indent=1))
    partial.replace(arguments.output)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        _memory_child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
