"""ONNX models become ours: the graph is followed, and what computes anything else is refused."""

import caffe_files as files
import numpy as np
import pytest
from conftest import oracle
from oracles import complete_caffe
from test_porting_caffe import assert_ours
from tolerances import distance, tolerance

import jaxviz
from jaxviz import porting
from jaxviz.networks import catalog

WEIGHTS = files.tiny_weights()


@pytest.mark.parametrize("opset", [3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
@pytest.mark.parametrize("raw, packed", [(True, True), (False, True), (False, False)])
def test_every_opset_and_way_to_write_numbers(opset, raw, packed, ported):
    found = ported(files.onnx_model(WEIGHTS, opset=opset, raw=raw, packed=packed))
    assert found.network == "caffe_alexnet"
    assert found.metadata == {
        "network": "caffe_alexnet",
        "format": "ONNX",
        "opset": str(opset),
        "geometry": "224",
    }
    assert found.left_over == ()
    assert_ours(found, complete_caffe.as_ours(WEIGHTS))


def test_the_other_order_and_the_other_size_are_known_too(ported):
    found = ported(files.onnx_model(WEIGHTS, pool_first=True))
    assert (found.network, found.metadata["geometry"]) == ("caffenet", "224")
    found = ported(files.onnx_model(WEIGHTS, side=227))
    assert found.network == "caffe_alexnet"
    assert "geometry" not in found.metadata


def test_tensors_that_no_node_reads_are_left_over(ported):
    extra = files.onnx_tensor("momentum", np.ones(3, np.float32))
    found = ported(files.onnx_model(WEIGHTS, tensors=[extra]))
    assert found.left_over == ("momentum",)


def altered(place, **attributes):
    """Change attributes of the node that writes `place`."""

    def change(node):
        kind, inputs, output, old = node
        return (kind, inputs, output, old | attributes) if output == place else node

    return change


def replaced(place, kind):
    return lambda node: (kind, *node[1:]) if node[2] == place else node


@pytest.mark.parametrize(
    "change, said",
    [
        (altered("r0", strides=[2, 2]), "conv1 has strides"),
        (altered("r0", pads=[2, 2, 2, 2]), "conv1 has pads"),
        (altered("r0", auto_pad="SAME_UPPER"), "conv1 has auto_pad SAME_UPPER"),
        (altered("r4", group=1), "conv2 has group"),
        (altered("r4", dilations=[2, 2]), "conv2 has dilations"),
        (altered("r0", kernel_shape=[3, 3]), "conv1 has kernel_shape"),
        (altered("r0", other=1), "conv1 has other"),
        (altered("r2", size=3), "norm1 has size"),
        (altered("r2", alpha=5e-4), "norm1 has alpha"),
        (altered("r2", beta=0.5), "norm1 has beta"),
        (altered("r2", bias=2.0), "norm1 has bias"),
        (altered("r3", pads=[0, 0, 1, 1]), "pool1 has pads"),
        (altered("r14", pads=[0, 0, 0, 0]), "pool5 has pads"),
        (altered("r3", ceil_mode=1), "pool1 has ceil_mode"),
        (altered("r15", transB=0), "fc6 has transB"),
        (altered("r15", alpha=2.0), "fc6 has alpha"),
        (replaced("r2", "BatchNormalization"), "has BatchNormalization, expected LRN of norm1"),
        (replaced("r3", "AveragePool"), "has AveragePool, expected MaxPool of pool1"),
        (replaced("r1", "Sigmoid"), "has Sigmoid, expected Relu of conv1"),
        (replaced("prob_1", "Sigmoid"), "after fc8 comes Sigmoid"),
        (lambda node: None if node[2] == "r9" else node, "does not come where it should"),
        (lambda node: None if node[0] == "Gemm" else node, "does not come where it should"),
    ],
)
def test_a_graph_that_computes_something_else_is_refused(change, said, refusal):
    message = refusal(files.onnx_model(WEIGHTS, change=change))
    assert "its graph differs" in message
    assert said in message


def test_pictures_of_another_size_are_refused(refusal):
    assert "pictures of shape (1, 3, 300, 300)" in refusal(files.onnx_model(WEIGHTS, side=300))


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda w: w.pop("fc7"), "fc7 reads 'fc7_w_0', which the file does not hold"),
        (lambda w: w.update(conv3=w["conv2"]), "conv3_w_0 has shape (3, 4, 1, 1), expected"),
        (lambda w: w.update(fc8=(w["fc8"][0].astype(np.int64), w["fc8"][1])), "is int64"),
    ],
)
def test_each_tensor_must_be_there_with_its_shape_and_type(change, said, refusal):
    weights = dict(WEIGHTS)
    change(weights)
    assert said in refusal(files.onnx_model(weights))


@pytest.mark.parametrize("number, value", [(13, b"\x0a\x01a"), (14, 1)])
def test_numbers_in_another_file_are_refused(number, value, refusal):
    weights = {name: both for name, both in WEIGHTS.items() if name != "fc8"}
    weight, bias = WEIGHTS["fc8"]
    tensor = files.onnx_tensor("fc8_w_0", weight) + files.field(number, value)
    tensors = [tensor, files.onnx_tensor("fc8_b_0", bias)]
    assert "lies in another file" in refusal(files.onnx_model(weights, tensors=tensors))


@pytest.mark.oracle
def test_the_graph_that_comes_with_onnx_is_read(tmp_path):
    onnx = oracle("onnx")
    from pathlib import Path

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    found = porting.port_onnx(folder / "light_bvlc_alexnet.onnx")
    assert found.network == "caffe_alexnet"
    assert found.metadata["geometry"] == "224"
    assert found.metadata["opset"] == "9"
    shapes = catalog.parameter_shapes("caffe_alexnet")[0]
    assert {name: value.shape for name, value in found.tensors.items()} == {
        name: tuple(value.shape) for name, value in shapes.items()
    }
    assert all(np.ptp(value) == 0 for value in found.tensors.values())


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A model of real size, with every activation among its outputs, and our network of it."""
    folder = tmp_path_factory.mktemp("onnx")
    weights = complete_caffe.weights()
    plain = files.write(folder / "model.onnx", files.onnx_model(weights, opset=9))
    output = folder / "ours.safetensors"
    name = porting.port_weights(plain, output).network
    network = jaxviz.load(name, weights=output)
    output.unlink()
    yield weights, network
    plain.unlink()


@pytest.mark.oracle
@pytest.mark.parametrize(
    "opset", [7, 9, 12, *(pytest.param(opset, marks=pytest.mark.slow) for opset in (3, 6, 8))]
)
def test_every_layer_agrees_with_onnxruntime(opset, full, tmp_path, photographs):
    onnx = oracle("onnx")
    runtime = oracle("onnxruntime")
    weights, network = full
    images = np.asarray(network.preprocess([photographs / "cat" / "chelsea.png"]))
    blob = np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2))
    kinds = ("Relu", "LRN", "MaxPool", "Gemm")
    outputs = {node[2]: node[0] for node in files.onnx_plan(opset=opset) if node[0] in kinds}
    model = onnx.load_from_string(files.onnx_model(weights, opset=opset))
    del model.graph.output[:]
    for name in outputs:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, None))
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(model.SerializeToString(), options)
    except Exception as error:  # of a class that is not public
        if opset < 7 and "NOT_IMPLEMENTED" in str(error):
            pytest.skip(f"onnxruntime {runtime.__version__} has no operations of opset {opset}")
        raise
    found = dict(zip(outputs, session.run(list(outputs), {"data_0": blob}), strict=True))
    by_kind = {"Relu": [], "LRN": [], "MaxPool": [], "Gemm": []}
    for name, value in found.items():
        by_kind[outputs[name]].append(value)
    rectified = iter(by_kind["Relu"])
    theirs = {f"conv{i}": next(rectified) for i in range(1, 6)}
    theirs |= {"fc6": next(rectified), "fc7": next(rectified), "fc8": by_kind["Gemm"][-1]}
    theirs |= dict(zip(("norm1", "norm2"), by_kind["LRN"], strict=True))
    theirs |= dict(zip(("pool1", "pool2", "pool5"), by_kind["MaxPool"], strict=True))
    ours = jaxviz.activation_maps(
        network.apply, network.params, images, layers=list(network.layers())
    )
    assert ours.keys() == theirs.keys()
    for layer, value in theirs.items():
        value = value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
        assert np.std(value) > 0.1, layer
        assert distance(ours[layer], value) <= tolerance().rtol, layer
