"""Feature images of channels of AlexNet's conv5: made together, from noise."""

import warnings

import jax
import numpy as np
import pytest
from peers.layers import ALEXNET_CONVOLUTIONS, shipped_kernels

import jaxviz

LAYER, CHANNELS, SIDE, STEPS = "conv5", (0, 72, 104, 124, 133, 200, 11, 37), 224, 128
SETTINGS = {"rotation": 5, "scale": (0.9, 1.1), "shift": 8}


def bench_feature_images(load, compare):
    """Adam at 0.05, of a Fourier parametrization with uncorrelated colors, of both."""
    network = load("alexnet")
    prepare = network.preprocessing.normalize
    reached = {}

    def ours(parametrization):
        made = jaxviz.feature_images(
            network.apply, network.params, score=jaxviz.channel_mean(LAYER), numbers=CHANNELS,
            key=jax.random.key(0), image_shape=(SIDE, SIDE, 3), prepare=prepare, steps=STEPS,
            parametrization=parametrization, chunk_size=len(CHANNELS),
            transformations=jaxviz.Transformations(**SETTINGS),
        )  # fmt: skip
        reached[f"jaxviz, {parametrization}"] = np.asarray(made.scores)

    contestants = {
        "jaxviz": lambda: ours("fourier"),
        "jaxviz, phases": lambda: ours("phases"),
        **_lucent(network, reached),
    }
    about = {"layer": LAYER, "channels": CHANNELS, "steps": STEPS, "side": SIDE}
    figures = compare(contestants, number=len(CHANNELS), unit="images", rounds=3, **about)
    for name, one in figures.items():
        scores = reached["jaxviz, fourier" if name == "jaxviz" else name]
        one["median_score"] = float(np.median(scores))
        one["silent"] = int((scores <= 0).sum())


def _lucent(network, reached):
    """The same by lucent, on the same weights, where it is installed."""
    torch = pytest.importorskip("torch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from lucent.optvis import param, render, transform
    except ImportError:
        return {}
    from peers.torch_networks import torch_network

    model = torch_network(ALEXNET_CONVOLUTIONS[:-1], shipped_kernels(network))
    mean = torch.tensor(network.preprocessing.mean).reshape(1, 3, 1, 1)
    std = torch.tensor(network.preprocessing.std).reshape(1, 3, 1, 1)
    last = str(len(model) - 1)
    angles = [0.5 * step for step in range(-10, 11)]
    transforms = [
        transform.jitter(2 * SETTINGS["shift"]),
        transform.random_scale([0.9 + 0.02 * step for step in range(11)]),
        transform.random_rotate(angles),
        lambda images: (images - mean) / std,
    ]

    def objective(hook):
        values = hook(last)
        return -sum(values[place, channel].mean() for place, channel in enumerate(CHANNELS))

    def make():
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 as lucent draws
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (images,) = render.render_vis(
                model, objective, lambda: param.image(SIDE, batch=len(CHANNELS)),
                transforms=transforms, thresholds=(STEPS,), preprocess=False, progress=False,
                show_image=False,
            )  # fmt: skip
        maps = jaxviz.activation_maps(
            network.apply, network.params,
            network.preprocessing.normalize(255 * np.float32(images)), layers=LAYER,
        )[LAYER]  # fmt: skip
        means = np.asarray(maps.mean(axis=(1, 2)))
        reached["lucent"] = means[np.arange(len(CHANNELS)), list(CHANNELS)]

    return {"lucent": make}
