"""A tiny network, and a program that sweeps it over generated pictures, to be run and killed."""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz import sweep

SHAPE = (12, 10, 3)
LAYERS = ("conv", "dense")


def params(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"conv": (3, 3, 3, 7), "dense": (6 * 5 * 7, 11)}
    return {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}


def apply(params, images):
    dims = ("NHWC", "HWIO", "NHWC")
    conv = jax.lax.conv_general_dilated(
        images, params["conv"], (2, 2), "SAME", dimension_numbers=dims
    )
    conv = jax.nn.relu(conv)
    return {"conv": conv, "dense": conv.reshape(len(conv), -1) @ params["dense"]}


def prepare(pixels):
    return pixels.astype(jnp.float32) / 255 - 0.5


def pixels(number, seed=1):
    """Coarse values, and every picture twice in a row, so that ties are common."""
    half = np.random.default_rng(seed).integers(0, 6, size=(-(-number // 2), *SHAPE)) * 51
    return np.repeat(half, 2, axis=0)[:number].astype(np.uint8)


def top(pictures, **options):
    settings = {"prepare": prepare, "layers": LAYERS, "k": 4, "batch_size": 4} | options
    return sweep.top_patches(apply, params(), pictures, **settings)


def arrays(swept):
    return {
        f"{layer}.{field}": value
        for layer, found in swept.found.items()
        for field, value in found._asdict().items()
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--number", type=int, default=203)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--save-every", type=int, default=2)
    parser.add_argument("--processes", default="null")
    given = parser.parse_args()
    part = sweep.join(**json.loads(given.processes) or {})

    def progress(done, total):
        print(done, total, flush=True)

    swept = top(
        sweep.ArrayPictures(pixels(given.number)),
        folder=given.folder, save_every=given.save_every, part=part, progress=progress,
    )  # fmt: skip
    if given.output:
        np.savez(given.output, **arrays(swept))


if __name__ == "__main__":
    main()
