"""Gradients of eight images, or integrated over fifty points of one, beside captum."""

import warnings

import numpy as np
import pytest
from bench_occlusion import TARGET, Ours

import jaxviz

NUMBER, STEPS = 8, 50
METHODS = ("gradient", "guided_backpropagation", "integrated_gradients")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def bench_gradients(name, method, compare):
    """Of one class of networks with random weights; the integral of one image, the rest of all."""
    case = Ours(name, 16, 16, 224)
    number = 1 if method == "integrated_gradients" else NUMBER
    images = np.random.default_rng(3).normal(size=(number, 224, 224, 3)).astype(np.float32)
    score = jaxviz.logit(TARGET, layer=case.scores)
    options = {"fill": 0.0, "steps": STEPS} if method == "integrated_gradients" else {}
    contestants = {
        "jaxviz": lambda: np.asarray(
            getattr(jaxviz, method)(
                case.evaluate, case.params, images, score=score, **options
            ).values
        ),
        **_captum(case, method, images),
    }  # fmt: skip
    compare(contestants, number=number, unit="images", rounds=5, **options)


def _captum(case, method, images):
    """The same by captum, where it is installed, all points or images at a time."""
    try:
        from captum import attr
    except ImportError:
        return {}
    from peers.torch_networks import as_torch

    inputs = as_torch(images)
    made = {
        "gradient": lambda: attr.Saliency(case.torch_model).attribute(
            inputs, target=TARGET, abs=False
        ),
        "guided_backpropagation": lambda: attr.GuidedBackprop(case.torch_model).attribute(
            inputs, target=TARGET
        ),
        "integrated_gradients": lambda: attr.IntegratedGradients(case.torch_model).attribute(
            inputs, baselines=0, target=TARGET, n_steps=STEPS, method="gausslegendre"
        ),
    }[method]

    def run():
        inputs.requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about hooks and gradients
            return made().detach().permute(0, 2, 3, 1).cpu().numpy()

    return {"captum": run}
