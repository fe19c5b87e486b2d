"""Forward passes to the last layer, batch already on the device, compiled as the techniques are."""

import pytest

from jaxviz._compilation import compiled


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def bench_forward(name, batch, load, photographs, measure):
    network = load(name)
    images = photographs(name, batch)
    last = network.spec.logits or network.spec.feature_layer
    forward = compiled(lambda params, images: network.apply(params, images)[last])
    rounds = 30 if batch == 1 else 7
    measure(forward, network.params, images, number=batch, unit="images", rounds=rounds)
