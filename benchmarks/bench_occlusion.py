"""Occlusion of one image: incremental, whole passes, captum, and a hand-written torch loop.

All get the same random weights, image and positions. The peers take turns at the batch size that
was fastest for each in a run before. Networks of the literature are written in torch and come to
jaxviz as ONNX files.
"""

import copy
import functools
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import turns
from million import memory
from peers.layers import LAYERS, jax_network, random_kernels

import jaxviz
from jaxviz.cpu import policy

TARGET = 7  # the class whose score is tracked
REPEATS = 16  # fills
IMAGES = 8
TITLES = {"full": "jaxviz, method=full", "torch_compile": "torch.compile"}
# Strides that divide the free way, so that all peers agree on the positions. VGG's whole passes are
# long, so it gets fewer positions.
STRIDES = {"alexnet": 8, "squeezenet": 8, "vgg16": 16}
# Window and stride of networks that come as ONNX files.
EXPORTED = {
    "resnet18": 16, "resnet50": 16, "vgg16": 32, "mobilenet_v2": 16, "densenet121": 16,
    "efficientnet_lite0": 16, "efficientnet_b0": 16,
}  # fmt: skip


class Case:
    """An image and a grid; each method returns the occluded scores, (positions,).

    Whoever inherits it has `evaluate`, one object so that compiled programs are found again, its
    `params`, the layer of the `scores`, and the same as `torch_model`.
    """

    evaluate: Callable[..., Any]
    params: Any
    scores: str
    torch_model: Any

    def __init__(self, window, stride, image_size):
        self.window, self.stride = window, stride
        image = np.random.default_rng(1).normal(size=(image_size, image_size, 3))
        self.image = image.astype(np.float32)
        starts = np.arange(0, image_size - window + 1, stride)
        self.tops, self.lefts = np.repeat(starts, len(starts)), np.tile(starts, len(starts))

    def occlusion(self, method, batch, **options):
        score = jaxviz.logit(TARGET, layer=self.scores)
        result = jaxviz.occlusion_map(
            self.evaluate, self.params, self.image[None], score=score, window=self.window,
            stride=self.stride, fill=0.0, method=method, chunk_size=batch, **options,
        )  # fmt: skip
        return np.asarray(result.scores[0]).ravel()

    def incremental(self):
        return self.occlusion("incremental", None)

    def rounded(self):
        return self.occlusion("incremental", None, precision="bfloat16")

    def full(self, batch):
        return self.occlusion("full", batch)

    @functools.cached_property
    def compiled_torch_model(self):
        import torch

        return torch.compile(self.torch_model)

    def torch(self, batch):
        return self.torch_loop(self.torch_model, batch)

    def torch_compile(self, batch):
        return self.torch_loop(self.compiled_torch_model, batch)

    @functools.cached_property
    def rounded_torch_model(self):
        import torch

        model = copy.deepcopy(self.torch_model).to(torch.bfloat16)
        return lambda images: model(images.to(torch.bfloat16)).float()

    def torch_drops(self, model, batch):
        """What the loop measures, by the model's own score of the whole image."""
        import torch
        from peers.torch_networks import as_torch

        with torch.inference_mode():
            score = model(as_torch(self.image[None]))[0, TARGET].item()
        return score - self.torch_loop(model, batch)

    def torch_loop(self, model, batch):
        """What a good user writes: batches of copies, the last one filled up."""
        import torch
        from peers.torch_networks import as_torch

        image = as_torch(self.image[None])
        order = np.arange(-(-len(self.tops) // batch) * batch) % len(self.tops)
        scores = []
        with torch.inference_mode():
            for some in order.reshape(-1, batch):
                images = image.repeat(batch, 1, 1, 1).contiguous(memory_format=torch.channels_last)
                for one, top, left in zip(images, self.tops[some], self.lefts[some], strict=True):
                    one[:, top : top + self.window, left : left + self.window] = 0
                scores.append(model(images)[:, TARGET])
            return torch.cat(scores)[: len(self.tops)].cpu().numpy()

    def captum(self, batch):
        """Captum returns a map, so the scores are kept on the way; its windows go down first."""
        import torch
        from captum.attr import Occlusion
        from peers.torch_networks import as_torch

        scores = []

        def forward(images):
            logits = self.torch_model(images.contiguous(memory_format=torch.channels_last))
            scores.append(logits[:, TARGET])
            return logits

        with torch.inference_mode():
            Occlusion(forward).attribute(
                as_torch(self.image[None]),
                sliding_window_shapes=(3, self.window, self.window),
                strides=(3, self.stride, self.stride),
                baselines=0,
                target=TARGET,
                perturbations_per_eval=batch,
            )
        rows = int(np.sqrt(len(self.tops)))
        found = torch.cat(scores).cpu().numpy()[-len(self.tops) :]
        return found.reshape(rows, rows).T.ravel()


class Ours(Case):
    """A network of `peers.layers`, in JAX and in torch."""

    scores = "logits"

    def __init__(self, name, window, stride, image_size):
        super().__init__(window, stride, image_size)
        self.layers = LAYERS[name]
        self.arrays = random_kernels(self.layers, image_size)
        self.params = jax.device_put(self.arrays)
        self.evaluate = self.apply

    def apply(self, params, images):
        return {"logits": jax_network(self.layers, params, images)}

    @functools.cached_property
    def torch_model(self):
        from peers.torch_networks import torch_network

        return torch_network(self.layers, self.arrays)


class Exported(Case):
    """A network of `peers.torch_classifiers`, in torch and from the ONNX file of its exporter."""

    def __init__(self, name, window, stride, image_size):
        from peers.exported import exported

        super().__init__(window, stride, image_size)
        network, self.torch_model = exported(name, image_size)
        self.evaluate, self.params = network.apply, network.params
        self.scores = network.spec.logits


def peers():
    """The methods beside which ours runs, as far as they are installed."""
    names = ["full"]
    for package, methods in (("torch", ["torch", "torch_compile"]), ("captum", ["captum"])):
        if importlib.util.find_spec(package):
            names += methods
    # On CPUs torch.compile needs a C++ compiler, and takes minutes.
    return [name for name in names if name != "torch_compile" or jax.default_backend() == "gpu"]


@pytest.mark.parametrize(
    "name", ["alexnet", "squeezenet", pytest.param("vgg16", marks=pytest.mark.long)]
)
def bench_occlusion(name, compare):
    compare_methods(Ours(name, 16, STRIDES[name], 224), peers(), compare, rounds=5)


@pytest.mark.parametrize("name", EXPORTED)
def bench_occlusion_onnx(name, compare):
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    beside = [peer for peer in peers() if peer != "captum"]
    case = Exported(name, EXPORTED[name], EXPORTED[name], 224)
    compare_methods(case, beside, compare, rounds=3)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def bench_occlusion_bfloat16(name, compare):
    """Products of bfloat16; `error` is how far drops are from float32's, a share of their range."""
    if not policy.bfloat16_pays(terms=1 << 10, numbers=1 << 20):
        pytest.skip("this processor does not multiply bfloat16 faster")
    case, best = Ours(name, 16, STRIDES[name], 224), {}
    score = np.asarray(case.evaluate(case.params, case.image[None])["logits"])[0, TARGET]
    contestants = {
        "jaxviz, bfloat16": lambda: score - case.rounded(),
        "jaxviz": lambda: score - case.incremental(),
    }
    if "torch" in peers():
        models = {"torch": case.torch_model, "torch, bfloat16": case.rounded_torch_model}
        for title, model in models.items():
            best[title] = turns.fastest_batch(functools.partial(case.torch_loop, model))
            contestants[title] = functools.partial(case.torch_drops, model, best[title])
    about = {"window": case.window, "stride": case.stride, "best_batch": best}
    figures = compare(contestants, number=len(case.tops), unit="variants", rounds=5, **about)
    exact = contestants["jaxviz"]()
    for title, run in contestants.items():
        found = run()
        figures[title]["error"] = float(np.abs(found - exact).max() / np.ptp(exact))
        figures[title]["correlation"] = float(np.corrcoef(found, exact)[0, 1])


def compare_methods(case, beside, compare, rounds):
    contestants, best = {"jaxviz": case.incremental}, {}
    for peer in beside:
        best[peer] = turns.fastest_batch(getattr(case, peer))
        contestants[TITLES.get(peer, peer)] = functools.partial(getattr(case, peer), best[peer])
    positions = len(case.tops)
    about = {"window": case.window, "stride": case.stride, "best_batch": best}
    compare(contestants, number=positions, unit="variants", rounds=rounds, **about)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def bench_occlusion_several_images(name, compare):
    """The maps of eight images by one call, beside a call for each."""
    case = Ours(name, 16, STRIDES[name], 224)
    images = np.random.default_rng(4).normal(size=(IMAGES, *case.image.shape)).astype(np.float32)

    def scores(images):
        result = jaxviz.occlusion_map(
            case.evaluate, case.params, images, score=jaxviz.logit(TARGET, layer=case.scores),
            window=case.window, stride=case.stride, fill=0.0,
        )  # fmt: skip
        return np.asarray(result.scores)

    contestants = {
        "jaxviz": lambda: scores(images),
        "jaxviz, image by image": lambda: np.concatenate([scores(one[None]) for one in images]),
    }
    compare(contestants, number=IMAGES * len(case.tops), unit="variants", rounds=3)


def bench_occlusion_repeats(compare):
    """A map with its error from 16 fills, beside one map, and beside 16 by whole passes."""
    case = Ours("squeezenet", 16, 16, 224)
    fills = np.random.default_rng(2).normal(size=(REPEATS, 1, *case.image.shape))
    fills = fills.astype(np.float32)
    score = jaxviz.logit(TARGET, layer=case.scores)
    run = case.evaluate, case.params, case.image[None]
    options = {"score": score, "window": case.window, "stride": case.stride}

    def statistics():
        found = jaxviz.occlusion_statistics(*run, fills=fills, key=jax.random.key(0), **options)
        return np.asarray(found.drop)

    def one_by_one(method, number):
        drops = []
        for fill in fills[:number]:
            found = jaxviz.occlusion_map(*run, fill=fill[0], method=method, **options)
            drops.append(np.asarray(found.baseline[:, None, None] - found.scores))
        return np.mean(drops, axis=0) if number == REPEATS else None

    contestants = {
        "jaxviz": statistics,
        "jaxviz, method=full": lambda: one_by_one("full", REPEATS),
        "jaxviz, one fill": lambda: one_by_one("incremental", 1),
        "jaxviz, one fill, method=full": lambda: one_by_one("full", 1),
    }
    about = {"window": case.window, "stride": case.stride, "fills": REPEATS}
    compare(contestants, number=REPEATS, unit="maps", rounds=3, **about)


def bench_occlusion_memory(compare):
    """Peak resident memory of a process that does nothing but one map, with many positions."""
    measured = []

    def run():
        command = [sys.executable, __file__, "alexnet", "4", "224"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        measured.append(json.loads(done.stdout.splitlines()[-1]))

    figures = compare({"jaxviz": run}, number=1, unit="processes", rounds=1)
    figures["jaxviz"] |= measured[-1]


def _memory_child(name, stride, image_size):
    case = Ours(name, 16, stride, image_size)
    before = memory("VmHWM")
    case.incremental()
    report = {"positions": len(case.tops), "before_mb": before, "peak_mb": memory("VmHWM")}
    print(json.dumps(report))


if __name__ == "__main__":
    _memory_child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
