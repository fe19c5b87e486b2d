"""Classifiers of the literature in torch, and from the ONNX files of its exporter."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import jaxviz

from .torch_classifiers import random_classifier
from .torch_networks import DEVICE, as_torch, torch


def exported(name: str, image_size: int) -> tuple[jaxviz.Network, Any]:
    """One of `torch_classifiers.CLASSIFIERS`, random: as jaxviz loads it, and torch's module."""
    module = random_classifier(name)
    image = as_torch(np.zeros((1, image_size, image_size, 3), np.float32)).cpu()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        file = Path(folder, f"{name}.onnx")
        torch.onnx.export(module, (image,), file, dynamo=False)
        network = jaxviz.load_onnx(file)
    return network, module.to(DEVICE, memory_format=torch.channels_last)
