"""1,300,000 pictures: what the host does beside the network, in time and in memory.

    python benchmarks/million.py --results benchmarks/results

The pictures are generated: empty files for what lists them, 8 x 8 pixels in a packed set for what
sweeps over them, by a network that averages. So what is measured is ours alone, in about two
minutes and 0.5 GB of disk. Each part runs in a process of its own; the first batch counts from the
start of that process.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTED = time.perf_counter()
PICTURES = 1_300_000
FOLDERS = 1000
SHARD = 4096
BATCH = 256  # what sweeps take on accelerators
RESUMED = (0.1, 0.5, 0.9)  # where a sweep is interrupted, as shares of the pictures


def memory(name="VmRSS"):
    """Megabytes of this process, now or (VmHWM) at most."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def preprocessing():
    from jaxviz import Preprocessing

    return Preprocessing(resize=8, crop=8, divisor=1, mean=(0, 0, 0), std=(1, 1, 1))


def list_files(folder):
    """Seconds to list empty files, and to tell whether any of them has changed."""
    from jaxviz.sweep import folder_pictures

    for number in range(FOLDERS):
        inside = folder / f"n{number:08d}"
        inside.mkdir(parents=True)
        for image in range(PICTURES // FOLDERS):
            os.close(os.open(inside / f"n{number:08d}_{image}.JPEG", os.O_CREAT | os.O_WRONLY))
    before, began = memory("VmHWM"), time.perf_counter()
    pictures = folder_pictures(folder, preprocessing())
    listed = time.perf_counter() - began
    pictures.identity()
    identified = time.perf_counter() - began - listed
    return {
        "listing files, s": listed, "their identity, s": identified,
        "listing files, MB at most": memory("VmHWM") - before,
    }  # fmt: skip


def write_packed(folder):
    """A packed set as `jaxviz pack` writes it, of random pixels."""
    import numpy as np

    from jaxviz.files import json_bytes, write_manifest
    from jaxviz.pictures.packed import FORMAT, KIND, index_path, shard_path

    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (SHARD, 8, 8, 3), np.uint8)
    for number, first in enumerate(range(0, PICTURES, SHARD)):
        held = range(first, min(first + SHARD, PICTURES))
        shard_path(folder, number).write_bytes(np.roll(pixels, number)[: len(held)].tobytes())
        paths = [f"/data/train/n{i * FOLDERS // PICTURES:08d}/n_{i:08d}.JPEG" for i in held]
        sizes = [(8, 8)] * len(held)
        index = {"paths": paths, "sizes": sizes, "stored": sizes, "skipped": []}
        index_path(folder, number).write_bytes(json_bytes(index))
    write_manifest(folder, {
        "kind": KIND, "format": FORMAT, "number": PICTURES, "resize": 8, "crop": 8,
        "shard_size": SHARD, "pictures": "0" * 64, "complete": True, "skipped": [],
    })  # fmt: skip


def sweep(folder, until):
    """Sweep over the packed set until a share of it is done; begin where it was left."""
    import jax.numpy as jnp

    from jaxviz import sweep

    began = time.perf_counter()
    pictures = sweep.open_packed(folder / "packed", preprocessing())
    opened = time.perf_counter() - began
    seen = []

    def progress(done, total):
        if not seen or done >= seen[-1][1] + total / 10:
            seen.append((time.perf_counter(), done, memory()))
        if done >= until * total:
            seen.append((time.perf_counter(), done, memory()))
            raise KeyboardInterrupt  # as Ctrl-C does

    def average(params, images):
        return {"means": images.reshape(-1, 2, 4, 2, 4, 3).mean((2, 4)) * params}

    with contextlib.suppress(KeyboardInterrupt):
        sweep.top_patches(
            average, jnp.float32(1), pictures, prepare=lambda x: x.astype(jnp.float32),
            layers="means", k=9, batch_size=BATCH, folder=folder / "swept", progress=progress,
        )  # fmt: skip
    (first, number, low), *_, (last, all_of_them, high) = seen
    return {
        "opening, s": opened, "first batch, s": first - STARTED,
        "a picture, us": 1e6 * (last - first) / max(1, all_of_them - number),
        "memory after the first batch, MB": low, "memory at the end, MB": high,
    }  # fmt: skip


def child(part, *arguments):
    """What a part gives in a process of its own."""
    command = [sys.executable, __file__, "--child", part, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(folder):
    """All parts."""
    found = child("list", folder / "files")
    write_packed(folder / "packed")
    for share in RESUMED:
        child("sweep", folder, share)  # from where it was interrupted before
        again = child("sweep", folder, 0)
        found[f"resuming at {share:.0%}, s to the first batch"] = again["first batch, s"]
    for path in (folder / "swept").iterdir():
        path.unlink()
    return found | child("sweep", folder, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, help="a folder; else the figures are only printed")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        part, folder, *rest = given.child
        called = list_files(Path(folder)) if part == "list" else sweep(Path(folder), float(*rest))
        print(json.dumps(called))
        return
    from conftest import environment, git_commit
    from summary import device_name, rounded, save

    about, commit = environment(), git_commit()
    with tempfile.TemporaryDirectory() as folder:
        found = rounded(measured(Path(folder)))
    for name, figure in found.items():
        print(f"{name}: {figure:g}")
    if given.results:
        results = {"environment": about, "commit": commit, "measured": found}
        save(results, given.results / f"million-{device_name(about)}.json")


if __name__ == "__main__":
    main()
