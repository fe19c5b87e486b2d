"""What a GPU or a TPU would need at least, counted from the programs that it would run.

    python benchmarks/roofline.py --results benchmarks/results    # needs no such device

Each path is traced as for a device that is no CPU, and lowered for it. Every operation is then
counted, loops as often as they turn: its products, the bytes that it reads and writes, and one
kernel. What works number by number is taken to be part of the kernel before it. A device needs for
each the longest of three times: products at its peak, bytes at its bandwidth, and one launch. The
peaks are those of the makers' data sheets, which no program reaches; a launch is an assumption. So
the sums say what holds a path up, and not how fast it will be.
"""

import argparse
import collections
import math
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from peers.layers import LAYERS, jax_network, random_kernels

import jaxviz
from jaxviz.cpu import policy
from jaxviz.techniques.patches import empty_state, update

LAUNCH = 3e-6  # seconds
MOVING = (  # beside products; what reads or writes numbers elsewhere than where they are
    "gather", "scatter", "dynamic_", "concatenate", "transpose", "sort", "top_k", "reduce", "arg",
    "cum", "select_and", "rev",
)  # fmt: skip


class Device(NamedTuple):
    """Of a data sheet: operations a second in the type that JAX uses, and bytes a second."""

    platform: str
    operations: float
    bandwidth: float


DEVICES = {
    "H100 SXM, TF32": Device("cuda", 494e12, 3.35e12),
    "TPU v5e, bfloat16": Device("tpu", 197e12, 0.819e12),
}


class Counted(NamedTuple):
    """An operation that a path makes: how often, and each time its products and bytes."""

    name: str
    times: int
    operations: float
    num_bytes: float

    def seconds(self, device):
        each = max(self.operations / device.operations, self.num_bytes / device.bandwidth, LAUNCH)
        return self.times * each


def size(variable):
    return math.prod(variable.aval.shape) * variable.aval.dtype.itemsize


def products(equation):
    """Operations of a product, two for each multiply-add; 0 of what is none."""
    (out,), given = equation.outvars, equation.params
    number = math.prod(out.aval.shape)
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = given["dimension_numbers"]
        return 2 * number * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    kernel, numbers = equation.invars[1].aval.shape, given["dimension_numbers"]
    return 2 * number * math.prod(kernel) / kernel[numbers.rhs_spec[0]]


def counted(jaxpr, times=1):
    """The operations of a program that are kernels of their own."""
    for equation in jaxpr.eqns:
        name, given = equation.primitive.name, equation.params
        inner = [one for value in given.values() for one in jax.tree.leaves(
            value, is_leaf=lambda x: hasattr(x, "jaxpr") or hasattr(x, "eqns")
        ) if hasattr(one, "jaxpr") or hasattr(one, "eqns")]  # fmt: skip
        if name.startswith("reduce") or not inner:
            read, written = map(size, equation.invars), sum(map(size, equation.outvars))
            if name in ("dot_general", "conv_general_dilated"):
                yield Counted(name, times, products(equation), sum(read) + written)
            elif name.startswith(("gather", "dynamic_slice")):
                yield Counted(name, times, 0, 2 * written)
            elif name.startswith(MOVING):
                yield Counted(name, times, 0, sum(read) + written)
            continue
        turns = times * (given["length"] if name == "scan" else 1)
        for body in inner[:1] if name == "cond" else inner:
            yield from counted(getattr(body, "jaxpr", body), turns)


def shaped(shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def network():
    """A complete AlexNet with random weights: its function, and its parameters' shapes."""
    layers = LAYERS["alexnet"]
    params = jax.tree.map(lambda x: shaped(x.shape, x.dtype), random_kernels(layers, 224))
    return lambda params, images: {"logits": jax_network(layers, params, images)}, params


def sweep_step(batch):
    """The top patches of conv5 of the shipped AlexNet, in one batch."""
    alexnet = jaxviz.load("alexnet")

    def step(params, pixels, state, indices):
        images = alexnet.preprocessing.normalize(pixels)
        maps = jaxviz.activation_maps(alexnet.apply, params, images, layers="conv5")["conv5"]
        return update(state, maps, indices, largest=True, unique_images=True)

    state = empty_state(256, 9, np.dtype(np.float32))
    pixels, indices = shaped((batch, 224, 224, 3), jnp.uint8), shaped((batch,), jnp.int32)
    return step, (alexnet.params, pixels, state, indices), batch


def occlusion(chunk):
    """One map, window 16 and stride 8, of a complete AlexNet."""
    apply, params = network()

    def occluded(params, images):
        return jaxviz.occlusion_map(
            apply, params, images, score=jaxviz.logit(7), window=16, stride=8, fill=0.0,
            chunk_size=chunk,
        ).scores  # fmt: skip

    return occluded, (params, shaped((1, 224, 224, 3))), 27**2


def neighbors(rows):
    """The ten nearest of 1,000 queries, 4,096 numbers each."""

    def search(queries, database):
        return jaxviz.nearest_neighbors(queries, database, k=10)

    return search, (shaped((1000, 4096)), shaped((rows, 4096))), 1000


PATHS = {
    "sweep, AlexNet's conv5, 256 pictures": (sweep_step, 256, "picture"),
    "occlusion, AlexNet, 64 places at a time": (occlusion, 64, "place"),
    "occlusion, AlexNet, as many as fit": (occlusion, None, "place"),
    "neighbors in 100,000 vectors": (neighbors, 100_000, "query"),
}


def measured():
    """Of each path and device what one unit needs, and what holds it up."""
    found = {}
    for title, (make, size_of_path, unit) in PATHS.items():
        function, arguments, number = make(size_of_path)
        traced = jax.jit(function).trace(*arguments)
        all_of_them = list(counted(traced.jaxpr.jaxpr))
        kernels = sum(one.times for one in all_of_them)
        found[title] = {
            "unit": unit, "number": number, "kernels": kernels,
            "GFLOP a unit": sum(one.times * one.operations for one in all_of_them) / number / 1e9,
            "MB a unit": sum(one.times * one.num_bytes for one in all_of_them) / number / 1e6,
        }  # fmt: skip
        for name, device in DEVICES.items():
            traced.lower(lowering_platforms=(device.platform,))
            by_name = collections.Counter()
            for one in all_of_them:
                by_name[one.name] += one.seconds(device)
            total = sum(by_name.values())
            found[title][name] = {
                "units a second at most": number / total, "us a unit": 1e6 * total / number,
                "share of launches": kernels * LAUNCH / total,
                "longest": {key: one / total for key, one in by_name.most_common(4)},
            }  # fmt: skip
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, help="a folder; else the figures are only printed")
    given = parser.parse_args()
    from conftest import git_commit
    from summary import rounded, save

    policy.on_cpu = lambda: False  # what is traced here shall run elsewhere
    commit, found = git_commit(), rounded(measured())
    for title, one in found.items():
        print(f"{title}: {one}")
    if given.results:
        devices = {name: device._asdict() for name, device in DEVICES.items()}
        about = {"devices": devices, "launch, s": LAUNCH, "jax": jax.__version__}
        save({"about": about, "commit": commit, "measured": found}, given.results / "roofline.json")


if __name__ == "__main__":
    main()
