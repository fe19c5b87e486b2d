"""Top patches of photographs on the device; `bench_sweep` has peers."""

import numpy as np
import pytest

import jaxviz
from jaxviz.pictures.preprocessing import batches


@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def bench_top_patches(name, load, photographs, compare):
    network = load(name)
    images, size, k = photographs(name, 128), 32, 9
    layers = network.spec.deep_layers

    def search():
        pieces = batches(images, size)
        found = jaxviz.top_patches(network.apply, network.params, pieces, layers=layers, k=k)
        return np.asarray(found[layers[-1]].values)

    about = {"layers": list(layers), "k": k, "batch_size": size}
    compare({"jaxviz": search}, number=len(images), unit="images", **about)
