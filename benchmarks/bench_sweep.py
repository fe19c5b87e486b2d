"""Sweeps end to end, beside what a good PyTorch user writes, and over several devices.

Time runs over the second half of the batches, so neither compiling nor starting workers counts, nor
what was read ahead while they started.
PyTorch keeps values and images only; jaxviz keeps rows and columns too. jaxviz takes the batch size
that it chooses itself, PyTorch the one that is fastest for it.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import turns
from peers.layers import ALEXNET_CONVOLUTIONS, shipped_kernels
from PIL import Image
from turns import Timed

import jaxviz
from jaxviz import sweep
from jaxviz._prefetch import prefetch
from jaxviz.pictures.folders import find_pictures, read_picture

PICTURES = Path(__file__).parents[1] / "examples" / "images"
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")
K, NUMBER = 9, 768


def write_photographs(folder, number):
    """JPEGs of the usual 500 x 375 pixels, each cut differently from an example photograph."""
    sources = [Image.open(path).convert("RGB") for path in find_pictures([PICTURES])]
    for index in range(number):
        source = sources[index % len(sources)]
        margin = 2 * (index // len(sources))
        box = (margin, margin, source.width - margin, source.height - margin)
        source.resize((500, 375), box=box).save(folder / f"{index:05d}.jpg", quality=90)


class Clock:
    """Seconds for all images, from the rate over the second half of the calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, done, total):
        self.calls.append((time.perf_counter(), done))

    def timed(self, answer):
        (start, first), (end, last) = self.calls[(len(self.calls) - 1) // 2], self.calls[-1]
        return Timed((end - start) * last / (last - first), answer)


def sweep_jaxviz(network, pictures, batch_size=None, layers=LAYERS):
    clock = Clock()
    swept = sweep.top_patches(
        network.apply, network.params, pictures, layers=layers, k=K, batch_size=batch_size,
        prepare=network.spec.preprocessing.normalize, progress=clock,
    )  # fmt: skip
    return clock.timed(swept.found[layers[-1]].values)


class Torch:
    """Hooks, amax and topk; `source` is an array of pictures or a list of paths."""

    def __init__(self, network):
        import torch
        from peers.torch_networks import DEVICE, torch_network

        self.device = DEVICE
        self.preprocessing = network.spec.preprocessing
        self.model = torch_network(ALEXNET_CONVOLUTIONS, shipped_kernels(network))
        scale = (self.preprocessing.mean, self.preprocessing.std)
        self.mean, self.std = (
            torch.tensor(one, device=DEVICE).view(1, 3, 1, 1) * 255 for one in scale
        )
        convolutions = [one for one in self.model if isinstance(one, torch.nn.Sequential)]
        for name, module in zip(LAYERS, convolutions, strict=True):
            module.register_forward_hook(self.keep(name))

    def keep(self, name):
        import torch

        def hook(module, inputs, output):
            values = output.amax((2, 3)).T
            indices = torch.arange(self.first, self.first + values.shape[1], device=self.device)
            indices = indices.expand(values.shape)
            if name in self.best:
                old = self.best[name]
                values, indices = torch.cat([old[0], values], 1), torch.cat([old[1], indices], 1)
            top = values.topk(min(K, values.shape[1]), dim=1)
            self.best[name] = top.values, indices.gather(1, top.indices)

        return hook

    def __call__(self, source, batch):
        import torch

        self.first, self.best, clock = 0, {}, Clock()
        with torch.inference_mode():
            for pixels in self.batches(source, batch):
                images = pixels.to(self.device).permute(0, 3, 1, 2)
                self.model(images.to(torch.float32).sub_(self.mean).div_(self.std))
                self.first += len(pixels)
                clock(self.first, None)
        return clock.timed(self.best["conv5"][0].cpu().numpy())

    def batches(self, source, size):
        import torch

        if isinstance(source, np.ndarray):
            return (torch.from_numpy(source[i : i + size]) for i in range(0, len(source), size))
        preprocessing = self.preprocessing

        class Files(torch.utils.data.Dataset):
            def __len__(self):
                return len(source)

            def __getitem__(self, index):
                return torch.from_numpy(read_picture(source[index], preprocessing).pixels.copy())

        return torch.utils.data.DataLoader(Files(), size, num_workers=os.cpu_count())


@pytest.fixture(scope="module")
def sources(load, tmp_path_factory):
    """The same pictures as JPEGs, packed, and as an array."""
    preprocessing = load("alexnet").spec.preprocessing
    root = tmp_path_factory.mktemp("pictures")
    folder = root / "jpeg"
    folder.mkdir()
    write_photographs(folder, NUMBER)
    pictures = sweep.folder_pictures(folder, preprocessing)
    packed = sweep.pack(pictures, folder=root / "packed", preprocessing=preprocessing)
    array = np.zeros((NUMBER, *preprocessing.input_shape), np.uint8)
    packed.read(0, array)
    return {"jpeg": pictures, "packed": packed, "array": array}


@pytest.mark.parametrize("source", ["jpeg", "packed", "array"])
def bench_sweep(source, sources, load, compare):
    network, given = load("alexnet"), sources[source]
    ours = sweep.ArrayPictures(given) if source == "array" else given
    contestants = {"jaxviz": lambda: sweep_jaxviz(network, ours)}
    about = {"layers": list(LAYERS), "k": K}
    if source != "packed" and importlib.util.find_spec("torch"):
        peer = Torch(network)
        theirs = given if source == "array" else list(given.paths)
        best = turns.fastest_batch(lambda batch: peer(theirs, batch))
        contestants["torch"] = lambda: peer(theirs, best)
        about["best_batch"] = {"torch": best}
    if source == "jpeg":

        def decode():
            preprocessing = network.spec.preprocessing
            for _ in prefetch(lambda path: read_picture(path, preprocessing), given.paths):
                pass

        contestants["decoding alone"] = decode
    compare(contestants, number=NUMBER, unit="images", rounds=3, **about)


def bench_sweep_cores_to_spare(sources, compare):
    """XLA keeps to one thread, so the other cores decode: what a sweep loses by that."""
    folder = sources["jpeg"].paths[0].parent
    alone = {"NPROC": "1", "JAX_PLATFORMS": "cpu"}  # what XLA takes for the number of cores
    contestants = {
        "jaxviz": lambda: in_process("jpeg", folder, environment=alone)[0],
        "jaxviz, from an array": lambda: in_process("array", folder, environment=alone)[0],
    }
    compare(contestants, number=NUMBER, unit="images", rounds=7, layers=list(LAYERS), k=K)


def bench_sweep_devices(compare):
    """One processor as 1 to 8 devices: nothing to gain, so what many devices cost shows."""
    number, found = 192, {}

    def worker(devices):
        def run():
            timed, found[devices] = on_devices(devices, number)
            return timed

        return run

    contestants = {"jaxviz": worker(1)}
    contestants |= {f"jaxviz, {devices} devices": worker(devices) for devices in (2, 4, 8)}
    compare(contestants, number=number, unit="images", rounds=2, batch_size=4)
    assert len(set(found.values())) == 1, found


def on_devices(devices, number):
    """One sweep of random pictures, four at a time, over so many devices of one processor."""
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    return in_process("random", number, 4, environment=flags | {"JAX_PLATFORMS": "cpu"})


def in_process(*arguments, environment):
    """One sweep in a process with such an environment: its time, and a digest of its answer."""
    made = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        env=os.environ | environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds, digest = made.stdout.split()
    return Timed(float(seconds), None), digest


def _worker(source, given, batch_size=None):
    """Sweep `given` random pictures, or a folder's JPEGs, or those decoded into an array before."""
    network = jaxviz.load("alexnet")
    preprocessing = network.spec.preprocessing
    if source == "random":
        shape = (int(given), *preprocessing.input_shape)
        array = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
        pictures = sweep.ArrayPictures(array)
    else:
        pictures = sweep.folder_pictures(given, preprocessing)
    if source == "array":
        read = prefetch(lambda path: read_picture(path, preprocessing).pixels, pictures.paths)
        pictures = sweep.ArrayPictures(np.stack([*read]))
    timed = sweep_jaxviz(network, pictures, batch_size and int(batch_size))
    print(timed.seconds, hashlib.sha256(timed.answer).hexdigest())


if __name__ == "__main__":
    _worker(*sys.argv[1:])
