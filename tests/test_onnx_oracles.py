"""Networks from ONNX files against the operators' own tests, the zoo's outputs and onnxruntime."""

import contextlib
import functools
import io
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnx.backend.test
import pytest
from conftest import oracle
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from tolerances import assert_close

import jaxviz
from jaxviz.networks.onnx.evaluation import OPERATORS, evaluate_node
from jaxviz.networks.onnx.graph import _node, _Tensors
from jaxviz.networks.onnx.values import Value, plain

pytestmark = pytest.mark.oracle

# What is refused by name: training, types that JAX has not or that no network has, and outputs that
# only training reads.
REFUSED = (
    "is in training mode", "a mask of what was dropped", "indices of the largest numbers",
    "is not supported", "has no identity",
)  # fmt: skip
LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"


@functools.cache
def node_cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's own making of its cases
        cases = collect_testcases(None)
    found = {}
    for case in cases:
        nodes = case.model.graph.node
        if len(nodes) == 1 and not nodes[0].domain and nodes[0].op_type in OPERATORS:
            found.setdefault(nodes[0].op_type, []).append(case)
    return found


def array_of(value):
    return numpy_helper.to_array(value) if hasattr(value, "dims") else np.asarray(value)


@pytest.mark.parametrize("kind", sorted(OPERATORS))
def test_the_operators_own_tests(kind):
    """Each case gives what it should, or is refused for one of a few reasons."""
    cases = node_cases().get(kind, [])
    if kind not in ("Constant", "Upsample"):  # an older name, and what is read with the file
        assert cases
    for case in cases:
        (node,) = case.model.graph.node
        opset = next(one.version for one in case.model.opset_import if not one.domain)
        for given, expected in case.data_sets:
            names = [one.name for one in case.model.graph.input]
            arrays = dict(zip(names, map(array_of, given), strict=True))
            if any(array.dtype.kind in "OSU" for array in arrays.values()):
                continue  # texts
            with jax.enable_x64(True):
                operands = []
                for place, name in enumerate(node.input):
                    value = plain(jnp.asarray(arrays[name])) if name else None
                    if value and (place or kind in ("ConstantOfShape", "Range")):
                        value = Value(value.array, value.order, arrays[name])
                    operands.append(value)
                try:
                    read = _node(node, opset, _Tensors(Path()))
                    results = evaluate_node(read, operands)
                except jaxviz.InputError as error:
                    assert any(reason in str(error) for reason in REFUSED), (case.name, error)
                    continue
            for got, wanted in zip(results, map(array_of, expected), strict=False):
                value = np.asarray(got.logical)
                assert value.shape == wanted.shape, case.name
                assert value.dtype == wanted.dtype, case.name
                small = 1e-2 if wanted.dtype == np.float16 else 1e-5
                np.testing.assert_allclose(
                    value.astype(np.float64), wanted.astype(np.float64), 1e-3, small,
                    err_msg=case.name,
                )  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.stem for path in LIGHT.glob("*.onnx")))
def test_the_graphs_of_the_zoo(name, tmp_path):
    """The nine graphs in the package, up to their softmax, against onnxruntime.

    Their weights are all the same, and so are the probabilities: the logits tell more.
    """
    runtime = oracle("onnxruntime")
    model = onnx.load(LIGHT / f"{name}.onnx")
    last = model.graph.node[-1]
    if last.op_type == "Softmax":
        model.graph.output[0].CopyFrom(
            onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None)
        )
        model.graph.node.pop()
    path = tmp_path / f"{name}.onnx"
    onnx.save(model, path)
    network = jaxviz.load_onnx(path)
    images = np.random.default_rng(0).uniform(size=(1, *network.apply.image_shape))
    images = images.astype(np.float32)
    session = runtime.InferenceSession(path)
    (expected,) = session.run(None, {session.get_inputs()[0].name: images.transpose(0, 3, 1, 2)})
    got = list(network.apply(network.params, images).values())[-1]
    assert_close(np.ravel(got), np.ravel(expected))


FILE = "net.onnx"
FAMILIES = {
    "alexnet": {}, "squeezenet1_1": {}, "vgg11_bn": {}, "resnet18": {}, "resnext50_32x4d": {},
    "densenet121": {}, "googlenet": {"init_weights": False}, "mobilenet_v2": {},
    "mobilenet_v3_small": {}, "mnasnet0_5": {}, "efficientnet_b0": {}, "shufflenet_v2_x0_5": {},
    "regnet_x_400mf": {}, "regnet_y_400mf": {}, "convnext_tiny": {}, "swin_t": {}, "vit_b_16": {},
    "inception_v3": {"init_weights": False},
}  # fmt: skip


@functools.cache
def models():
    """torchvision, without the compiled operators of detectors, which need a matching torch."""
    torch = oracle("torch")
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool"):
        with contextlib.suppress(RuntimeError):
            library.define(f"{name}(Tensor a) -> Tensor")
    oracle("torchvision")
    from torchvision import models

    return models


def exported(network, path, side, *, dynamo, opset):
    """A network with random weights and averages, as one of torch's exporters writes it."""
    torch = oracle("torch")
    oracle("onnxscript")  # of today's exporter
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    images = torch.randn(2 if not dynamo else 1, 3, side, side)
    options = {"dynamo": dynamo, "opset_version": opset}
    if not dynamo:
        options |= {"input_names": ["x"], "dynamic_axes": {"x": {0: "N"}}}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of torch about its exporters
        torch.onnx.export(network.eval(), (images,), path, verbose=False, **options)
    return path


def agrees(path):
    """Load a file; its outputs are those of onnxruntime, image by image."""
    session = oracle("onnxruntime").InferenceSession(path)
    network = jaxviz.load_onnx(path)
    images = np.random.default_rng(0).normal(size=(2, *network.apply.image_shape))
    images = images.astype(np.float32)
    key = session.get_inputs()[0].name
    expected = [session.run(None, {key: one[None].transpose(0, 3, 1, 2)})[0] for one in images]
    outputs = network.apply(network.params, images)
    assert_close(outputs[network.spec.logits], np.concatenate(expected))
    return network


def small_network():
    """Depthwise, squeeze and excite, shuffled channels, a branch, in modules with names."""
    torch = oracle("torch")
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
            self.norm = nn.BatchNorm2d(8)
            self.squeeze, self.excite = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)

        def forward(self, x):
            y = nn.functional.hardswish(self.norm(self.depthwise(x)))
            gate = self.excite(nn.functional.relu(self.squeeze(y.mean((2, 3), keepdim=True))))
            n, c, h, w = y.shape
            shuffled = (y * gate.sigmoid()).view(n, 2, c // 2, h, w).transpose(1, 2)
            return torch.cat([x, shuffled.reshape(n, c, h, w)], 1)

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.bn = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8)
            self.block, self.fc = Block(), nn.Linear(16, 5)
            self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)

        def forward(self, x):
            x = self.block(self.pool(nn.functional.relu(self.bn(self.stem(x)))))
            return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))

    torch.manual_seed(0)
    return Small()


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_a_small_network_of_torch(opset, tmp_path):
    path = exported(small_network(), tmp_path / FILE, 33, dynamo=opset == 20, opset=opset)
    network = agrees(path)
    layers = list(network.layers())
    assert {"stem", "block/depthwise", "block/squeeze", "block/excite", "fc"} <= set(layers)
    images = np.random.default_rng(1).normal(size=(1, 33, 33, 3)).astype(np.float32)
    options = {"score": jaxviz.logit(3), "window": 8, "stride": 8, "fill": 0.0}
    scores = [
        jaxviz.occlusion_map(network.apply, network.params, images, method=method, **options).scores
        for method in ("incremental", "full")
    ]
    assert_close(*scores)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("name", FAMILIES)
def test_what_torch_exports(name, opset, tmp_path):
    """The older exporter up to opset 17, with any number of images; today's with one at 20."""
    oracle("torch").manual_seed(0)
    made = getattr(models(), name)(weights=None, **FAMILIES[name])
    if name == "vit_b_16":
        made.heads.head.weight.data.normal_(0, 0.1)  # torchvision begins with zeros
    side = 299 if name == "inception_v3" else 224
    network = agrees(exported(made, tmp_path / FILE, side, dynamo=opset == 20, opset=opset))
    assert network.spec.first_layer
    assert len(network.layers()) > 10
