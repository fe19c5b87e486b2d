"""Seeded random weights of the AlexNet that Caffe has, in Caffe's layout and order of colors."""

import numpy as np

from .complete_alexnet import scattered

SHAPES = {
    "conv1": (96, 3, 11, 11),
    "conv2": (256, 48, 5, 5),
    "conv3": (384, 256, 3, 3),
    "conv4": (384, 192, 3, 3),
    "conv5": (256, 192, 3, 3),
    "fc6": (4096, 9216),
    "fc7": (4096, 4096),
    "fc8": (1000, 4096),
}


def weights():
    """{layer: (weight, bias)}; their scales keep the activations near those of pictures."""
    made = {}
    for seed, (name, shape) in enumerate(SHAPES.items(), start=21):
        spread = np.float32((6 / np.prod(shape[1:])) ** 0.5)
        weight = scattered(int(np.prod(shape)), seed).reshape(shape)
        weight *= spread
        made[name] = weight, scattered(shape[0], seed + 10)
    return made


def as_ours(made):
    """The same as flat tensors of jaxviz, moved one index at a time rather than by its code."""
    tensors = {}
    for name, (weight, bias) in made.items():
        if weight.ndim == 4:
            kernel = np.einsum("oihw->hwio", weight)
            kernel = kernel[:, :, ::-1] if name == "conv1" else kernel
        elif name == "fc6":
            kernel = np.einsum("ochw->hwco", weight.reshape(len(weight), -1, 6, 6))
            kernel = kernel.reshape(-1, len(weight))
        else:
            kernel = weight.T
        tensors[f"{name}.kernel"] = np.ascontiguousarray(kernel)
        tensors[f"{name}.bias"] = bias
    return tensors
