"""Forward passes by `compiled_forward`, the batch already on the device."""

import jax
import numpy as np
import pytest
from peers.layers import ALEXNET_CONVOLUTIONS, SQUEEZENET, shipped_kernels

import jaxviz

# Networks that come as ONNX files.
EXPORTED = ["resnet18", "resnet50", "mobilenet_v2", "densenet121", "efficientnet_lite0"]


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def bench_forward(name, batch, load, photographs, compare):
    pytest.importorskip("torch")
    from peers.torch_networks import torch_network

    network = load(name)
    images = photographs(name, batch)
    layers = {"alexnet": ALEXNET_CONVOLUTIONS, "squeezenet": SQUEEZENET}[name]
    compare_with_torch(network, torch_network(layers, shipped_kernels(network)), images, compare)


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("name", [*EXPORTED, pytest.param("vgg16", marks=pytest.mark.long)])
def bench_forward_onnx(name, batch, compare):
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from peers.exported import exported

    images = np.random.default_rng(1).normal(size=(batch, 224, 224, 3))
    images = jax.device_put(images.astype(np.float32))
    compare_with_torch(*exported(name, 224), images, compare)


def compare_with_torch(network, model, images, compare):
    import torch
    from peers.torch_networks import DEVICE, as_torch

    last = network.spec.logits or network.spec.feature_layer
    batch, same = len(images), as_torch(np.asarray(images))
    forward = jaxviz.compiled_forward(network.apply, network.params, layers=last)

    def in_torch(model):
        with torch.inference_mode():
            found = model(same)
        if found.ndim == 4:  # to rows, columns, channels
            found = found.permute(0, 2, 3, 1)
        return found.cpu().numpy()

    contestants = {
        "jaxviz": lambda: np.asarray(forward(images)[last]),
        "torch": lambda: in_torch(model),
    }
    if DEVICE == "cpu":
        plain = jax.jit(lambda params, images: network.apply(params, images)[last])
        contestants["jax.jit"] = lambda: np.asarray(plain(network.params, images))
    if DEVICE == "cuda":
        faster = torch.compile(model)
        contestants["torch.compile"] = lambda: in_torch(faster)
    rounds = 30 if batch == 1 else 5
    compare(contestants, number=batch, unit="images", rounds=rounds, layer=last)
