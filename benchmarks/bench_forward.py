"""Forward passes of `network.apply` as `load` gives it, batch already on the device."""

import jax
import numpy as np
import pytest
from peers.layers import ALEXNET_CONVOLUTIONS, SQUEEZENET, shipped_kernels


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def bench_forward(name, batch, load, photographs, compare):
    torch = pytest.importorskip("torch")
    from peers.torch_networks import DEVICE, as_torch, torch_network

    network = load(name)
    images = photographs(name, batch)
    last = network.spec.logits or network.spec.feature_layer
    layers = {"alexnet": ALEXNET_CONVOLUTIONS, "squeezenet": SQUEEZENET}[name]
    model = torch_network(layers, shipped_kernels(network))
    same = as_torch(np.asarray(images))

    def in_torch(model):
        with torch.inference_mode():
            found = model(same)
        if found.ndim == 4:  # to rows, columns, channels
            found = found.permute(0, 2, 3, 1)
        return found.cpu().numpy()

    contestants = {
        "jaxviz": lambda: np.asarray(network.apply(network.params, images)[last]),
        "torch": lambda: in_torch(model),
    }
    if DEVICE == "cpu":
        plain = jax.jit(lambda params, images: network.apply(params, images)[last])
        contestants["jaxviz, JAX's own compiler options"] = lambda: np.asarray(
            plain(network.params, images)
        )
    if DEVICE == "cuda":
        faster = torch.compile(model)
        contestants["torch.compile"] = lambda: in_torch(faster)
    rounds = 30 if batch == 1 else 9
    compare(contestants, number=batch, unit="images", rounds=rounds, layer=last)
