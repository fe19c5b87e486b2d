"""Caffe's models become ours: every generation, every axis, and the order of layers and colors."""

import caffe_files as files
import numpy as np
import pytest
from conftest import oracle
from oracles import complete_caffe
from tolerances import distance, tolerance

import jaxviz
from jaxviz import porting
from jaxviz.porting import read_foreign

WEIGHTS = files.tiny_weights()
OURS = complete_caffe.as_ours(WEIGHTS)
FORMS = [(v1, legacy, packed) for v1 in (0, 1) for legacy in (0, 1) for packed in (0, 1)]


@pytest.fixture
def ported(tmp_path, tiny_networks):
    """Port bytes that are weights of the tiny network."""

    def port(data, **options):
        path = files.write(tmp_path / "net.caffemodel", data)
        return porting.port_caffe(path, **options) if options else read_foreign(path)

    return port


def assert_ours(found, expected=OURS):
    assert found.tensors.keys() == expected.keys()
    for name, value in expected.items():
        assert found.tensors[name].dtype == np.float32
        assert found.tensors[name].flags.c_contiguous
        np.testing.assert_array_equal(found.tensors[name], value, err_msg=name)


@pytest.mark.parametrize("v1, legacy, packed", FORMS)
@pytest.mark.parametrize("pool_first", [False, True])
def test_both_generations_shapes_and_ways_to_write_numbers(v1, legacy, packed, pool_first, ported):
    data = files.caffemodel(WEIGHTS, pool_first=pool_first, v1=v1, legacy=legacy, packed=packed)
    found = ported(data)
    assert found.network == ("caffenet" if pool_first else "caffe_alexnet")
    assert found.metadata == {"format": "Caffe model", "network": found.network}
    assert found.left_over == ()
    assert_ours(found)


@pytest.mark.parametrize(
    "written",
    [{"double": True}, {"raw": "float64"}, {"raw": "float32"}, {"raw": "float16"}],
    ids=str,
)
def test_numbers_of_other_types(written, ported):
    half = {layer: tuple(a.astype(np.float16) for a in both) for layer, both in WEIGHTS.items()}
    assert_ours(ported(files.caffemodel(half, **written)), complete_caffe.as_ours(half))


def test_raw_whole_numbers_are_refused(refusal):
    assert "its numbers are int" in refusal(files.caffemodel(WEIGHTS, raw="int32"))


def test_conv1_reads_red_first_and_fc6_row_by_row(ported):
    weights = dict(WEIGHTS)
    kernel, rows = np.zeros_like(weights["conv1"][0]), np.zeros_like(weights["fc6"][0])
    kernel[:, 0] = 1  # blue, to Caffe
    channels = rows.shape[1] // 36
    rows[:, 1 * 36 + 2 * 6 + 3] = 1  # channel 1, row 2, col 3
    weights["conv1"] = kernel, weights["conv1"][1]
    weights["fc6"] = rows, weights["fc6"][1]
    found = ported(files.caffemodel(weights)).tensors
    assert found["conv1.kernel"].sum(axis=(0, 1, 3)).tolist() == [0, 0, kernel.sum()]
    assert np.flatnonzero(found["fc6.kernel"][:, 0]).tolist() == [(2 * 6 + 3) * channels + 1]


def test_what_norms_and_pools_read_tells_whatever_their_order(ported):
    for pool_first in (False, True):
        data = files.caffemodel(WEIGHTS, pool_first=pool_first)
        parts = [files.field(1, "net")]
        layers = [files.caffe_layer(*layer) for layer in files.plan(pool_first)
                  if layer[1] in ("LRN", "Pooling")]  # fmt: skip
        turned = b"".join(parts + layers[::-1]) + files.caffemodel(WEIGHTS, only_weights=True)
        wanted = "caffenet" if pool_first else "caffe_alexnet"
        assert ported(turned).network == wanted == ported(data).network


def test_their_order_tells_where_they_do_not_say_what_they_read(ported):
    def bare(layer):
        return (layer[0], layer[1], "", "", layer[4])

    for pool_first in (False, True):
        data = files.caffemodel(WEIGHTS, pool_first=pool_first, change=bare)
        assert ported(data).network == ("caffenet" if pool_first else "caffe_alexnet")


@pytest.mark.parametrize("name", ["AlexNet", "CaffeNet"])
def test_the_nets_name_tells_where_there_is_nothing_but_weights(name, ported, refusal):
    data = files.caffemodel(WEIGHTS, only_weights=True, name=name)
    assert ported(data).network == {"AlexNet": "caffe_alexnet"}.get(name, "caffenet")


def test_what_cannot_be_told_is_asked_for(ported, refusal):
    data = files.caffemodel(WEIGHTS, only_weights=True)
    assert "say which with network=" in refusal(data)
    assert ported(data, network="caffenet").network == "caffenet"
    assert "valid: caffe_alexnet, caffenet" in refusal(data, network="alexnet")
    told = files.caffemodel(WEIGHTS)
    assert "are those of caffe_alexnet, not of caffenet" in refusal(told, network="caffenet")


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda w: w.pop("fc7"), "fc7 has 0 tensors, expected 2"),
        (lambda w: w.update(fc7=w["fc7"][:1]), "fc7 has 1 tensors, expected 2"),
        (lambda w: w.update(conv3=w["conv2"]), "conv3.kernel has shape (3, 4, 1, 1), expected"),
        (lambda w: w.update(fc8=(w["fc8"][0].T, w["fc8"][1])), "fc8.kernel has shape (4, 5)"),
    ],
)
def test_each_tensor_must_be_there_with_its_shape(change, said, refusal):
    weights = dict(WEIGHTS)
    change(weights)
    assert said in refusal(files.caffemodel(weights))


def test_what_has_no_place_is_left_over(ported):
    more = files.field(7, files.blob(np.ones((2, 2), np.float32)))
    extra = files.caffe_layer("scale7", "Scale", "fc7", "fc7", [], blobs=more)
    found = ported(files.caffemodel(WEIGHTS) + extra)
    assert found.left_over == ("scale7",)
    assert_ours(found)


@pytest.mark.parametrize(
    "layer, number, value, said",
    [
        ("conv1", 6, 2, "conv1 has stride 2, expected 4"),
        ("conv2", 5, 1, "conv2 has group 1, expected 2"),
        ("conv2", 3, 0, "conv2 has pad 0, expected 2"),
        ("conv3", 11, 5, "conv3 has kernel_size 5, expected 3"),
        ("conv3", 18, 2, "conv3 has dilation 2, expected 1"),
        ("norm1", 1, 3, "norm1 has local_size 3, expected 5"),
        ("norm2", 2, 5e-4, "norm2 has alpha 0.0005, expected 0.0001"),
        ("norm1", 5, 2.0, "norm1 has k 2, expected 1"),
        ("pool5", 1, 1, "pool5 has pool 1, expected 0"),
        ("pool1", 3, 3, "pool1 has stride 3, expected 2"),
    ],
)
@pytest.mark.parametrize("v1", [False, True])
def test_a_net_that_computes_something_else_is_refused(layer, number, value, said, v1, refusal):
    def change(one):
        if one[0] != layer:
            return one
        kept = [(field, old) for field, old in one[4] if field != number]
        return (*one[:4], [*kept, (number, value)])

    assert said in refusal(files.caffemodel(WEIGHTS, v1=v1, change=change))


def test_a_net_that_normalizes_on_either_side_is_refused(refusal):
    first, second = list(files.plan(False)), list(files.plan(True))
    mixed = {layer[0]: layer for layer in first} | {
        layer[0]: layer for layer in second if layer[0] in ("norm2", "pool2")
    }
    data = files.caffemodel(WEIGHTS, change=lambda layer: mixed[layer[0]])
    assert "as no known network does" in refusal(data)


def preprocessed(network, photograph, side):
    """One photograph as our network takes it, and the same as a blob in Caffe's order."""
    images = np.asarray(network.preprocess([photograph]))[:, :side, :side]
    return images, np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2))


@pytest.fixture(scope="module")
def full_weights():
    return complete_caffe.weights()


def outputs_of_opencv(cv2, data, pool_first, blob):
    net = cv2.dnn.readNetFromCaffe(
        np.frombuffer(files.prototxt(pool_first, blob.shape[2]).encode(), np.uint8),
        np.frombuffer(data, np.uint8),
    )
    net.enableFusion(False)
    net.setInput(blob)
    names = [layer[0] for layer in files.plan(pool_first)]
    return dict(zip(names, net.forward(names), strict=True))


@pytest.mark.oracle
@pytest.mark.parametrize(
    "pool_first, v1, side, raw",
    [(0, 1, 227, None), (1, 0, 227, None), (0, 0, 224, None), (0, 0, 227, "float16")],
)
def test_every_layer_agrees_with_opencv(
    pool_first, v1, side, raw, full_weights, tmp_path, photographs
):
    """At 224 pixels the pools round up, to maps of 27 and 13 where others have 26 and 12."""
    cv2 = oracle("cv2")
    data = files.caffemodel(full_weights, pool_first=pool_first, v1=v1, legacy=v1, raw=raw)
    path = files.write(tmp_path / "net.caffemodel", data)
    output = tmp_path / "ours.safetensors"
    name = porting.port_weights(path, output).network
    path.unlink()
    network = jaxviz.load(name, weights=output)
    output.unlink()
    images, blob = preprocessed(network, photographs / "cat" / "chelsea.png", side)
    theirs = outputs_of_opencv(cv2, data, pool_first, blob)
    layers = list(network.layers())
    ours = jaxviz.activation_maps(network.apply, network.params, images, layers=layers)
    for layer in layers:
        rectified = layer.replace("conv", "relu").replace("fc", "relu")
        value = theirs.get(rectified, theirs[layer])
        value = value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
        assert np.std(value) > 0.1, layer
        assert distance(ours[layer], value) <= tolerance().rtol, layer
