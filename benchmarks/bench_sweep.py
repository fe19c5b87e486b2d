"""Sweeps end to end, beside what a good PyTorch user writes; neighbors beside two libraries.

    python benchmarks/bench_sweep.py -o benchmarks/results/sweep.json

Contestants take turns in one run, so that a busy machine slows all of them; figures are medians
with the smallest and largest. Images/s count from the first batch to the last, without compiling.
PyTorch keeps values and images only; jaxviz keeps rows and columns too. Needs torch; scikit-learn
and faiss take part in the search if they are installed.
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from PIL import Image

import jaxviz
from jaxviz import sweep
from jaxviz.images import find_pictures, read_picture

PICTURES = Path(__file__).parents[1] / "examples" / "images"
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")
K = 9


def write_photographs(folder, number):
    """JPEGs of the usual 500 x 375 pixels, each cut differently from an example photograph."""
    sources = [Image.open(path).convert("RGB") for path in find_pictures([PICTURES])]
    for index in range(number):
        source = sources[index % len(sources)]
        margin = 2 * (index // len(sources))
        box = (margin, margin, source.width - margin, source.height - margin)
        source.resize((500, 375), box=box).save(folder / f"{index:05d}.jpg", quality=90)


class Clock:
    """Images/s between the first and the last call."""

    def __init__(self):
        self.calls = []

    def __call__(self, done, total):
        self.calls.append((time.perf_counter(), done))

    @property
    def rate(self):
        (start, first), (end, last) = self.calls[0], self.calls[-1]
        return (last - first) / (end - start) if last > first else float("nan")


def sweep_jaxviz(network, pictures, batch_size):
    clock = Clock()
    swept = sweep.top_patches(
        network.apply, network.params, pictures, layers=LAYERS, k=K, batch_size=batch_size,
        prepare=network.spec.preprocessing.normalize, progress=clock,
    )  # fmt: skip
    return clock.rate, swept.found["conv5"].values


def torch_network(params):
    import torch
    from torch import nn

    pools = {"conv1", "conv2", "conv5"}
    steps = {"conv1": (4, 2), "conv2": (1, 2), "conv3": (1, 1), "conv4": (1, 1), "conv5": (1, 1)}
    parts, watched = [], {}
    for name, (stride, padding) in steps.items():
        kernel = torch.tensor(np.asarray(params[name]["kernel"]).transpose(3, 2, 0, 1).copy())
        conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], stride, padding)
        conv.weight.data, conv.bias.data = kernel, torch.tensor(np.asarray(params[name]["bias"]))
        watched[name] = nn.ReLU(inplace=True)
        parts += [conv, watched[name]] + [nn.MaxPool2d(3, 2)] * (name in pools)
    return nn.Sequential(*parts).eval().to(memory_format=torch.channels_last), watched


def sweep_torch(network, source, batch_size):
    """`source` is an array of pictures or a list of paths, read by a DataLoader."""
    import torch

    model, watched = torch_network(network.params)
    best = {name: (torch.empty(0), torch.empty(0, dtype=torch.int64)) for name in LAYERS}
    preprocessing = network.spec.preprocessing
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (preprocessing.mean, preprocessing.std)
    )
    first = 0

    def keep(name):
        def hook(module, inputs, output):
            values = output.amax((2, 3)).T
            indices = torch.arange(first, first + values.shape[1]).expand(values.shape)
            old = best[name]
            if len(old[0]):
                values, indices = torch.cat([old[0], values], 1), torch.cat([old[1], indices], 1)
            top = values.topk(min(K, values.shape[1]), dim=1)
            best[name] = top.values, indices.gather(1, top.indices)

        return hook

    for name, module in watched.items():
        module.register_forward_hook(keep(name))
    if isinstance(source, np.ndarray):
        loader = (
            torch.from_numpy(source[i : i + batch_size]) for i in range(0, len(source), batch_size)
        )
    else:

        class Files(torch.utils.data.Dataset):
            def __len__(self):
                return len(source)

            def __getitem__(self, index):
                return torch.from_numpy(read_picture(source[index], preprocessing).pixels.copy())

        loader = torch.utils.data.DataLoader(Files(), batch_size, num_workers=os.cpu_count())
    clock = Clock()
    with torch.inference_mode():
        for batch in loader:
            images = batch.permute(0, 3, 1, 2).to(torch.float32).sub_(mean).div_(std)
            model(images)
            first += len(batch)
            clock(first, None)
    return clock.rate, best["conv5"][0].numpy()


def summary(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def in_turns(contestants, rounds):
    """Each contestant once a round; {name: figures} and each one's last answer."""
    figures = {name: [] for name in contestants}
    answers = {}
    for _ in range(rounds):
        for name, run in contestants.items():
            figure, answers[name] = run()
            figures[name].append(figure)
    return {name: summary(values) for name, values in figures.items()}, answers


def bench_sources(number, batch_size, rounds):
    network = jaxviz.load("alexnet")
    preprocessing = network.spec.preprocessing
    with tempfile.TemporaryDirectory() as temporary:
        folder, packed = Path(temporary) / "jpeg", Path(temporary) / "packed"
        folder.mkdir()
        write_photographs(folder, number)
        pictures = sweep.folder_pictures(folder, preprocessing)
        packs = sweep.pack(pictures, folder=packed, preprocessing=preprocessing)
        array = np.zeros((number, *preprocessing.input_shape), np.uint8)
        packs.read(0, array)
        in_memory = sweep.ArrayPictures(array)

        def decode():
            start = time.perf_counter()
            from jaxviz._ahead import ahead

            for _ in ahead(lambda path: read_picture(path, preprocessing), pictures.paths):
                pass
            return number / (time.perf_counter() - start), None

        rates, answers = in_turns(
            {
                "jpeg, jaxviz": lambda: sweep_jaxviz(network, pictures, batch_size),
                "jpeg, torch": lambda: sweep_torch(network, list(pictures.paths), batch_size),
                "jpeg, decoding alone": decode,
                "packed, jaxviz": lambda: sweep_jaxviz(network, packs, batch_size),
                "array, jaxviz": lambda: sweep_jaxviz(network, in_memory, batch_size),
                "array, torch": lambda: sweep_torch(network, array, batch_size),
            },
            rounds,
        )
    expected = answers.pop("array, jaxviz")
    answers.pop("jpeg, decoding alone")
    for name, values in answers.items():
        np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-3, err_msg=name)
    ratio = {
        source: rates[f"{source}, jaxviz"]["median"] / rates[f"{source}, torch"]["median"]
        for source in ("jpeg", "array")
    }
    return {"images": number, "images/s": rates, "jaxviz over torch": ratio}


def devices_worker(number):
    network = jaxviz.load("alexnet")
    array = np.random.default_rng(0).integers(0, 256, size=(number, 224, 224, 3), dtype=np.uint8)
    start = time.perf_counter()
    _, values = sweep_jaxviz(network, sweep.ArrayPictures(array), 8)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "sha256": hashlib.sha256(values).hexdigest()}))


def bench_devices(number):
    found = {}
    for devices in (1, 2, 4, 8):
        flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        made = subprocess.run(
            [sys.executable, __file__, "--devices-worker", str(number)],
            env=os.environ | flags, check=True, capture_output=True, text=True,
        )  # fmt: skip
        found[devices] = json.loads(made.stdout)
    assert len({one["sha256"] for one in found.values()}) == 1, found
    return {
        "images": number,
        "seconds, with compiling": {d: f["seconds"] for d, f in found.items()},
    }


def bench_neighbors(queries, database, dim, rounds):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((database, dim), np.float32)
    asked = rng.standard_normal((queries, dim), np.float32)

    def timed(search):
        def run():
            start = time.perf_counter()
            indices = np.asarray(search())
            return time.perf_counter() - start, indices

        return run

    contestants = {
        "jaxviz": timed(
            lambda: jaxviz.nearest_neighbors(asked, vectors, k=10, metric="euclidean").indices
        )
    }
    try:
        import faiss

        index = faiss.IndexFlatL2(dim)
        index.add(vectors)
        contestants["faiss"] = timed(lambda: index.search(asked, 10)[1])
    except ImportError:
        pass
    try:
        from sklearn.neighbors import NearestNeighbors

        brute = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(vectors)
        contestants["scikit-learn"] = timed(lambda: brute.kneighbors(asked)[1])
    except ImportError:
        pass
    contestants["jaxviz"]()  # compiles
    seconds, answers = in_turns(contestants, rounds)
    agree = {name: float((answers["jaxviz"] == found).mean()) for name, found in answers.items()}
    ratio = {
        name: one["median"] / seconds["jaxviz"]["median"]
        for name, one in seconds.items()
        if name != "jaxviz"
    }
    return {
        "queries": queries, "database": database, "dim": dim, "seconds": seconds,
        "same neighbors": agree, "times faster than": ratio,
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--database", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--devices-worker", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.devices_worker:
        devices_worker(given.devices_worker)
        return
    result = {
        "machine": {
            "cores": os.cpu_count(), "device": jax.devices()[0].device_kind,
            "jax": jax.__version__, "python": platform.python_version(),
        },
        "sources": bench_sources(given.images, given.batch_size, given.rounds),
        "devices": bench_devices(given.images // 4),
        "neighbors": bench_neighbors(given.queries, given.database, given.dim, given.rounds),
    }  # fmt: skip
    text = json.dumps(result, indent=2)
    print(text)
    if given.output:
        given.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
