"""A tiny network, and a program that sweeps it over generated pictures, to be run and killed."""

import argparse
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxviz
from jaxviz import sweep
from jaxviz.pictures.preprocessing import Preprocessing

SHAPE = (10, 10, 3)
LAYERS = ("conv", "wide", "dense")
SMALL = Preprocessing(resize=12, crop=10, divisor=255, mean=(0.5,) * 3, std=(1, 1, 1))
NUMBER = 203
SWEEPING = __file__


def params(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"conv": (3, 3, 3, 7), "wide": (3, 3, 84, 80), "dense": (5 * 5 * 7, 11)}
    return {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}


def apply(params, images):
    dims = ("NHWC", "HWIO", "NHWC")
    conv = jax.lax.conv_general_dilated(
        images, params["conv"], (2, 2), "SAME", dimension_numbers=dims
    )
    conv = jax.nn.relu(conv)
    wide = jax.lax.conv_general_dilated(  # of enough channels to take fewer products on a CPU
        jnp.tile(conv, 12), params["wide"], (1, 1), "SAME", dimension_numbers=dims
    )
    return {"conv": conv, "wide": wide, "dense": conv.reshape(len(conv), -1) @ params["dense"]}


def prepare(pixels):
    return pixels.astype(jnp.float32) / 255 - 0.5


def pixels(number, seed=1):
    """Coarse values, and every picture twice in a row, so that ties are common."""
    half = np.random.default_rng(seed).integers(0, 6, size=(-(-number // 2), *SHAPE)) * 51
    return np.repeat(half, 2, axis=0)[:number].astype(np.uint8)


def top(pictures, **options):
    settings = {"prepare": prepare, "layers": LAYERS, "k": 4, "batch_size": 4} | options
    return sweep.top_patches(apply, params(), pictures, **settings)


def vectors(pictures, **options):
    settings = {"prepare": prepare, "layer": "wide", "batch_size": 4} | options
    return sweep.features(apply, params(), pictures, **settings)


def made(**options):
    """Images for the channels of two layers, in several batches each."""
    settings = {"layers": ("conv", "dense"), "key": jax.random.key(3), "image_shape": SHAPE,
                "prepare": prepare, "steps": 6, "batch_size": 2}  # fmt: skip
    return sweep.feature_images(apply, params(), **(settings | options))


def flat(found):
    return {
        f"{layer}.{field}": value
        for layer, images in found.items()
        for field, value in images._asdict().items()
    }


def arrays(swept):
    return flat(swept.found)


class Generated:
    """Pictures of 64 x 64 that are made when they are read, and paths when they are asked for."""

    image_shape = (64, 64, 3)
    read_size = 8

    def __init__(self, number):
        self.paths = range(number)

    def read(self, start, out):
        for index, place in enumerate(out, start):
            place[:] = index % 251
        return {}


def peak(number):
    """Kilobytes of memory at most, over a sweep of so many pictures."""

    def channels(params, images):
        return {"same": images}

    swept = sweep.top_patches(
        channels, (), Generated(number), prepare=prepare, layers="same", k=3, batch_size=50
    )
    assert swept.found["same"].images[0, 0] == 250
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class StopError(Exception):
    pass


def environment(devices=1):
    flags = os.environ.get("XLA_FLAGS", "")
    return os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
        "PYTHONPATH": str(Path(jaxviz.__file__).parents[1]),
    }


def in_another_process(module, call, devices=1, **variables):
    """What a call of a test's module prints, with so many devices and these variables set."""
    made = subprocess.run(
        [sys.executable, "-c", f"import {module}; {module}.{call}"], capture_output=True,
        text=True, check=True, cwd=Path(__file__).parent, env=environment(devices) | variables,
    )  # fmt: skip
    return made.stdout.strip()


def start(*arguments, devices=1, **options):
    command = [sys.executable, "-W", "error", SWEEPING, *map(str, arguments)]
    return subprocess.Popen(command, env=environment(devices), text=True, **options)


def finish(workers):
    """Wait for all to end well; if one does not, end the others, which would wait for it."""
    for worker in workers:
        said = worker.communicate()[1]
        if worker.returncode != 0:
            for other in set(workers) - {worker}:
                other.kill()
                other.communicate()
        assert worker.returncode == 0, said


def run(*arguments, **options):
    finish([start(*arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, **options)])


def two_processes(folder, *arguments, **options):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    who = {"coordinator": address, "num_processes": 2}
    return [
        start(
            "--folder", folder, "--output", folder.parent / f"{i}.npz",
            "--processes", json.dumps({**who, "process_id": i}), *arguments, **options,
        )
        for i in range(2)
    ]  # fmt: skip


def interrupted(*arguments, kills, seed, most=4):
    """Run until done, killed at random moments on the way; say how often that was."""
    rng = random.Random(seed)
    killed = 0
    while killed < kills:
        worker = start(*arguments, stdout=subprocess.PIPE)
        for _ in range(rng.randint(0, most)):
            worker.stdout.readline()
        worker.kill()
        worker.communicate()
        if worker.returncode != -signal.SIGKILL:
            break  # it had come to its end
        killed += 1
    run(*arguments)
    return killed


def names(folder):
    """The files that a run leaves in its folder, but for what is hidden there to lock it."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".lock"))


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert value.tobytes() == np.asarray(found[name]).tobytes(), name


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--kind", default="top", choices=("top", "features", "images", "pack", "restart", "peak")
    )
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--save-every", type=int, default=2)
    parser.add_argument("--processes", default="{}")
    parser.add_argument("--number", type=int)
    parser.add_argument("--pause", type=float, default=0, help="seconds after each group")
    given = parser.parse_args()
    if given.kind == "peak":
        print(peak(given.number))
        return
    part = sweep.join(**json.loads(given.processes))
    if given.kind == "restart":
        sweep.restart(given.folder, part=part)
        return
    pictures = sweep.ArrayPictures(pixels(NUMBER))
    if given.pictures:
        pictures = sweep.folder_pictures(given.pictures, SMALL)

    def progress(done, total):
        print(done, total, flush=True)
        time.sleep(given.pause)

    common = {"folder": given.folder, "progress": progress}
    saving = {"save_every": given.save_every, "part": part, **common}
    if given.kind == "pack":
        sweep.pack(pictures, preprocessing=SMALL, shard_size=4, **common)
    elif given.kind == "images":
        found = made(part=part, **common)
        if given.output:
            np.savez(given.output, **flat(found))
    elif given.kind == "features":
        vectors(pictures, **saving)
    else:
        swept = top(pictures, **saving)
        if given.output:
            np.savez(given.output, **arrays(swept))


if __name__ == "__main__":
    main()
