"""The techniques that do real work: occlusion, top patches, nearest neighbors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxviz
from jaxviz.images import batches
from jaxviz.occlusion import window_starts

WINDOW, STRIDE = 16, 8
TARGETS = {
    "alexnet": ("pool5", jaxviz.feature_map("pool5", 124)),
    "squeezenet": ("log probability", jaxviz.log_probability(88)),
}


@pytest.mark.parametrize("name", list(TARGETS))
def bench_occlusion_full(name, load, photographs, measure, benchmark):
    network = load(name)
    images = photographs(name, 1)
    target, score = TARGETS[name]
    number = len(window_starts(images.shape[1], WINDOW, STRIDE)) ** 2

    def occlude():
        return jaxviz.occlusion_map(
            network.apply,
            network.params,
            images,
            score=score,
            window=WINDOW,
            stride=STRIDE,
            fill=np.array(network.spec.mean_fill, np.float32),
            method="full",
        )

    measure(occlude, number=number, unit="variants", rounds=3)
    benchmark.extra_info |= {
        "variants": number,
        "window": WINDOW,
        "stride": STRIDE,
        "score": target,
    }


@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def bench_top_patches(name, load, photographs, measure, benchmark):
    network = load(name)
    images, size, k = photographs(name, 128), 32, 9
    layers = network.spec.deep_layers

    def search():
        pieces = batches(images, size)
        return jaxviz.top_patches(network.apply, network.params, pieces, layers=layers, k=k)

    measure(search, number=len(images), unit="images", rounds=3)
    benchmark.extra_info |= {"layers": list(layers), "k": k, "batch_size": size}


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def bench_nearest_neighbors(metric, measure, benchmark):
    rows, dim, queries, k = 20_000, 4096, 100, 10
    random = np.random.default_rng(0)
    database = jax.block_until_ready(
        jnp.asarray(random.standard_normal((rows, dim), dtype=np.float32))
    )

    def search():
        return jaxviz.nearest_neighbors(database[:queries], database, k=k, metric=metric)

    measure(search, number=queries, unit="queries", rounds=5)
    benchmark.extra_info |= {"database": rows, "dim": dim, "queries": queries, "k": k}
