"""Gradients agree with captum's, on the shipped networks and on a ResNet."""

import contextlib
import copy
import io
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import oracle
from tolerances import distance

import jaxviz

pytestmark = [pytest.mark.oracle, pytest.mark.once]


@pytest.fixture(scope="module", params=["alexnet", "squeezenet", "resnet"])
def both(request, photographs, weights_files, tmp_path_factory):
    """(our network, its score, images), (their module, number, images, its layers)."""
    torch = oracle("torch")
    oracle("captum")
    from oracles import captum_networks, torch_networks

    name = request.param
    if name != "resnet":
        network = request.getfixturevalue(name)
        module, layers = getattr(captum_networks, name)(weights_files[name])
        paths = [photographs / "cat" / "chelsea.png", photographs / "food" / "coffee.png"]
        theirs = torch.cat([torch_networks.photograph(path, name) for path in paths])
        number = 124 if name == "alexnet" else 285
        score = jaxviz.feature_map("conv5", 124) if name == "alexnet" else jaxviz.logit(285)
    else:
        module, number, score = captum_networks.resnet(), 3, jaxviz.logit(3)
        path = tmp_path_factory.mktemp("resnet") / "resnet.onnx"
        theirs = torch.randn(2, 3, 64, 64)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of torch about its exporters
            torch.onnx.export(
                module, (theirs,), path, verbose=False, dynamo=False, input_names=["x"],
                dynamic_axes={"x": {0: "N"}},
            )  # fmt: skip
        network = jaxviz.load_onnx(path)
        maps = [layer for layer, shape in network.layers().items() if len(shape) == 3]
        layers = {maps[-1]: module[6]}
    images = jnp.asarray(theirs.permute(0, 2, 3, 1).numpy())
    return (network, score, images), (module, number, theirs, layers)


def ours(both, function, **options):
    network, score, images = both[0]
    with jax.default_matmul_precision("highest"):
        return function(network.apply, network.params, images, score=score, **options)


def theirs(both, method, *arguments, **options):
    """What captum gives, with channels last."""
    from captum import attr

    module, number, images, _ = both[1]
    explainer = getattr(attr, method)(module, *arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it sets hooks
        found = explainer.attribute(images.clone().requires_grad_(), target=number, **options)
    return found.detach().permute(0, 2, 3, 1).numpy()


def agree(found, wanted):
    """Relative to all numbers, and to the largest of them."""
    assert distance(found, wanted) < 1e-4
    assert np.abs(np.asarray(found) - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_gradient(both):
    agree(ours(both, jaxviz.gradient).values, theirs(both, "Saliency", abs=False))


def test_gradient_times_input(both):
    agree(ours(both, jaxviz.gradient_times_input).values, theirs(both, "InputXGradient"))


def test_integrated_gradients(both):
    """In double precision, as round-off changes which of two equal pixels a pool passes on."""
    (network, score, images), (module, number, pixels, layers) = both
    images, pixels = images[:1], pixels[:1]
    with jax.enable_x64(True):
        params, images = jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float64), (network.params, images)
        )
        found = jaxviz.integrated_gradients(network.apply, params, images, score=score, fill=0.0)
        doubled = None, (copy.deepcopy(module).double(), number, pixels.double(), layers)
        assert distance(found.values, theirs(doubled, "IntegratedGradients")) < 1e-7
        assert (np.asarray(found.completeness_error) < 0.01).all()


def test_guided_backpropagation(both):
    agree(ours(both, jaxviz.guided_backpropagation).values, theirs(both, "GuidedBackprop"))


def test_deconvolution(both):
    """In 64 bits: which of the units around 0 a pool takes hangs on round-off, and matters here."""
    (network, score, images), (module, number, pictures, _) = both
    module = copy.deepcopy(module).double()
    wanted = theirs((None, (module, number, pictures.double(), None)), "Deconvolution")
    with jax.enable_x64(True):
        params = jax.tree.map(lambda one: jnp.asarray(one, np.float64), network.params)
        exact = np.asarray(images, np.float64)
        with jax.default_matmul_precision("highest"):
            found = jaxviz.deconvolution(network.apply, params, exact, score=score)
    agree(np.asarray(found.values), wanted)


def test_grad_cam(both):
    for layer, module in both[1][3].items():
        found = ours(both, jaxviz.grad_cam, layer=layer).values
        wanted = theirs(both, "LayerGradCam", module, relu_attributions=True)[..., 0]
        assert wanted.any()
        agree(found, wanted)


def test_occlusion(both):
    """Where windows tile the image; captum cuts off the last ones, and ours are moved inside."""
    (network, score, images), (module, number, pixels, layers) = both
    side = images.shape[1] // 8 * 8
    window, stride = side // 4, side // 8
    cut = (network, score, images[:1, :side, :side]), None
    found = ours(cut, jaxviz.occlusion_map, window=window, stride=stride, fill=0.0).heatmap
    given = None, (module, number, pixels[:1, :, :side, :side], layers)
    shapes = {"sliding_window_shapes": (3, window, window), "strides": (3, stride, stride)}
    agree(found, theirs(given, "Occlusion", baselines=0, **shapes)[..., 0])


def test_grad_cam_of_pytorch_grad_cam(both):
    """It stretches the map over the image, from least to largest; ours lies where its fields do."""
    library = pytest.importorskip("pytorch_grad_cam")
    cv2 = pytest.importorskip("cv2")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    module, number, pixels, layers = both[1]
    for layer, at in layers.items():
        found = np.asarray(ours(both, jaxviz.grad_cam, layer=layer).values)
        with library.GradCAM(model=module, target_layers=[at]) as cam:
            wanted = cam(input_tensor=pixels, targets=[ClassifierOutputTarget(number)] * 2)
        for one, other in zip(found, wanted, strict=True):
            assert one.any() == other.any()
            stretched = cv2.resize(one, other.shape[::-1])
            stretched -= stretched.min()
            stretched /= stretched.max() or 1
            np.testing.assert_allclose(stretched, other, atol=1e-3)
