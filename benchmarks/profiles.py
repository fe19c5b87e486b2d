"""Where the time of the three hot paths goes, layer by layer, against the least it could take.

    python benchmarks/profiles.py                      # everything, about three minutes
    python benchmarks/profiles.py --rounds 2           # a quick look
    python benchmarks/profiles.py --only occlusion     # a part; the others' figures stay

Writes results/profile-DEVICE.json; `python benchmarks/summary.py` then writes the tables of
PROFILE.md, which says how the times are taken. torch is timed beside where it is installed.
"""

import argparse
import datetime
import functools
import importlib.util
from pathlib import Path

import bench_occlusion
import bench_sweep
import jax
import jax.numpy as jnp
import numpy as np
import turns
from conftest import environment, git_commit
from floors import Stage, Work, forward_work, occlusion_work, own, profile
from peers.layers import ALEXNET_CONVOLUTIONS, SQUEEZENET, jax_network, shipped_kernels
from summary import device_name, kept, rounded, save

import jaxviz
from jaxviz import devices, sweep
from jaxviz.cpu.compilation import compiled
from jaxviz.cpu.rewriting import prepared
from jaxviz.sweep.patches import KeepBest
from jaxviz.techniques import patches

RESULTS = Path(__file__).resolve().parent / "results"
BATCH, BATCHES = 32, 6  # of a forward pass; how many of its own a sweep takes
CONVOLUTIONS = bench_sweep.LAYERS
ALEXNET = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")
FIRES = ("fire2", "fire3", "pool3", "fire4", "fire5", "pool5", "fire6", "fire7", "fire8", "fire9")
NETWORKS = {
    "alexnet": (ALEXNET, ALEXNET_CONVOLUTIONS),
    "squeezenet": (("conv1", "pool1", *FIRES, "conv10", "pool10"), SQUEEZENET),
}
PLACES = {"window": 16, "stride": 8}
HAS_TORCH = importlib.util.find_spec("torch") is not None


def torch_stages(layers, kernels, images):
    if not HAS_TORCH:
        return [None] * len(layers)
    from peers.torch_stages import network_stages

    return network_stages(layers, kernels, images)


def scaled(function, factor):
    """The same, its seconds multiplied."""

    def run():
        seconds, _, answer = turns.timed(function)
        return turns.Timed(seconds * factor, answer)

    return run


def forward(name):
    """One forward pass of a shipped network over images that are on the device."""
    network = jaxviz.load(name)
    side = network.spec.preprocessing.crop
    given = np.random.default_rng(0).normal(size=(BATCH, side, side, 3)).astype(np.float32)
    images = jax.device_put(given)
    names, layers = NETWORKS[name]
    peers = torch_stages(layers, shipped_kernels(network), given)
    stages, before = [], Work(0, 0, images.nbytes)
    for layer, peer in zip(names, peers, strict=True):
        key = f"{layer}/concat" if layer.startswith("fire") else layer

        def end(params, x, key=key):
            return network.apply(params, x)[key]

        after = forward_work(functools.partial(end, network.params), images)
        run = functools.partial(compiled(end), network.params, images)
        stages.append(Stage(layer, run, **own(before, after), torch=peer))
        before = after
    return stages


def as_swept(function, *arguments, known=0):
    """The function as sweeps run it, its parameters and all that is made of them given."""
    prepare, run = prepared(function, *arguments, known=known)
    return functools.partial(run, compiled(prepare)(arguments[known]))


def sweeping():
    """One batch of a sweep over an array in memory; the last row is what else the sweep does."""
    network = jaxviz.load("alexnet")
    apply, params = network.apply, network.params
    normalize = network.spec.preprocessing.normalize
    size = devices.batch_size(None)
    shape = (BATCHES * size, *network.spec.preprocessing.input_shape)
    pixels = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
    batch, indices = pixels[:size], np.arange(size, dtype=np.int32)
    images = jax.ShapeDtypeStruct(batch.shape, jnp.float32)
    peer, parts = torch_sweep(network, pixels, size) if HAS_TORCH else (None, None)
    stages = []

    def add(layer, function, *arguments, torch, operations=None, num_bytes=None, known=0):
        run = compiled(as_swept(function, *arguments, known=known))
        run = functools.partial(run, *arguments)
        stages.append(Stage(layer, run, operations, num_bytes, torch))

    before, maps = Work(0, 0, 4 * batch.size), {}
    add(
        "normalize", lambda _, pixels: normalize(pixels), params, batch,
        torch=parts and parts.layers(0), operations=0, num_bytes=batch.nbytes + before.result,
    )  # fmt: skip
    for number, layer in enumerate(ALEXNET[:-1], 1):

        def end(params, pixels, layer=layer):
            return apply(params, normalize(pixels))[layer]

        swept = as_swept(lambda p, x, layer=layer: apply(p, x)[layer], params, images)
        after = forward_work(functools.partial(swept, params), images)
        add(layer, end, params, batch, torch=parts and parts.layers(number), **own(before, after))
        before, maps[layer] = after, after.result
    for number, layer in enumerate(CONVOLUTIONS, 1):

        def strongest(params, pixels, indices, number=number):
            outputs = apply(params, normalize(pixels))
            some = [
                patches._best(outputs[name], indices, k=None, rank_by="maximum")
                for name in CONVOLUTIONS[:number]
            ]
            return some, outputs["conv5"] if number < len(CONVOLUTIONS) else None

        add(
            f"strongest of {layer}", strongest, params, batch, indices,
            torch=parts and parts.layers(7, strongest=number), operations=0, num_bytes=maps[layer],
        )  # fmt: skip
    kept = jax.eval_shape(apply, params, images)
    states = [patches.empty_state(kept[name].shape[-1], bench_sweep.K) for name in CONVOLUTIONS]
    keep = KeepBest(bench_sweep.K, largest=True, unique_images=True)

    def update(states, params, pixels, indices):
        outputs = apply(params, normalize(pixels))
        return keep(states, [outputs[name] for name in CONVOLUTIONS], indices)[0]

    add("merge", update, states, params, batch, indices, torch=parts and parts.merging, known=1)

    def whole():
        return bench_sweep.sweep_jaxviz(network, sweep.ArrayPictures(pixels))

    theirs = peer and scaled(lambda: peer(pixels, size), 1 / BATCHES)
    return [*stages, Stage("read, wait, report", scaled(whole, 1 / BATCHES), torch=theirs)]


def torch_sweep(network, pixels, size):
    from peers.torch_networks import torch_network
    from peers.torch_stages import SweepStages

    peer = bench_sweep.Torch(network)
    peer(pixels, size)  # so that there is something to merge with
    plain = torch_network(ALEXNET_CONVOLUTIONS, shipped_kernels(network))
    return peer, SweepStages(plain, peer.model[:7], pixels[:size], peer.mean, peer.std)


def occlusion():
    """One map of a complete AlexNet; torch makes whole passes of a batch, scaled to as many."""
    case = bench_occlusion.Ours("alexnet", **PLACES, image_size=224)
    names = (*ALEXNET, "fc6", "fc7", "fc8")
    batch = np.repeat(case.image[None], BATCH, axis=0)
    peers = torch_stages(case.layers, case.arrays, batch)
    peers = [None, *(peer and scaled(peer, len(case.tops) / BATCH) for peer in peers)]
    stages, before = [], None
    for end, (layer, peer) in enumerate(zip(("windows", *names), peers, strict=True)):

        def apply(params, images, end=end):
            return {"layer": jax_network(case.layers[:end], params, images)}

        def score(outputs, last=layer == names[-1]):
            value = outputs["layer"]
            axes = tuple(range(1, value.ndim))
            return value[:, bench_occlusion.TARGET] if last else value.sum(axes)

        run = functools.partial(
            jaxviz.occlusion_map, apply, case.params, case.image[None], score=score, fill=0.0,
            **PLACES,
        )  # fmt: skip
        after = occlusion_work(apply, case.params, case.image.shape, **PLACES)
        counted = own(before, after) if before else {}
        stages.append(Stage(layer, run, **counted, torch=peer))
        before = after
    return stages


PATHS = {
    "forward-alexnet": functools.partial(forward, "alexnet"),
    "forward-squeezenet": functools.partial(forward, "squeezenet"),
    "sweep": sweeping,
    "occlusion": occlusion,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PATHS, default=[*PATHS])
    options = parser.parse_args()
    about = environment()
    path = RESULTS / f"profile-{device_name(about)}.json"
    found = {"environment": about, "paths": kept(path, about, "paths")}
    commit = git_commit()  # before a file of results makes the working tree differ from it
    for name in options.only:
        print(name, flush=True)
        measured = profile(PATHS[name](), options.rounds)
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        found["paths"][name] = {"commit": commit, "date": date, **rounded(measured)}
        save(found, path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
