"""Networks from ONNX files: what a file means, and one line for what is hostile or unsupported."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from conftest import ROOT, refusal
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from tolerances import assert_close

import jaxviz
from jaxviz.networks.onnx import evaluation
from jaxviz.networks.onnx.evaluation import OPERATORS
from jaxviz.networks.onnx.loading import fixed_size

RANDOM = np.random.default_rng(0)
FILE = "net.onnx"


def weights(name, *shape):
    values = np.random.default_rng(len(name)).normal(size=shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def model(nodes, initializers=(), *, image=("N", 3, 8, 8), output=None, opset=17):
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        list(initializers),
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def classifier(image=("N", 3, 8, 8)):
    """A block as torch writes it: names of modules, weights named after them, a residual sum."""
    nodes = [
        helper.make_node(
            "Conv", ["x", "stem.weight", "stem.bias"], ["a"], "/stem/Conv", pads=[1] * 4
        ),
        helper.make_node("Relu", ["a"], ["b"], "/relu/Relu"),
        helper.make_node(
            "Conv", ["b", "block.conv.weight"], ["c"], "/block/conv/Conv", pads=[1] * 4, group=4
        ),
        helper.make_node("Add", ["b", "c"], ["d"], "/block/Add"),
        helper.make_node("HardSwish", ["d"], ["e"], "/block/act/HardSwish"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], "/pool/GlobalAveragePool"),
        helper.make_node("Flatten", ["f"], ["g"], "/Flatten"),
        helper.make_node("Gemm", ["g", "fc.weight", "fc.bias"], ["y"], "/fc/Gemm", transB=1),
    ]
    tensors = [
        weights("stem.weight", 4, 3, 3, 3), weights("stem.bias", 4),
        weights("block.conv.weight", 4, 1, 3, 3), weights("fc.weight", 5, 4), weights("fc.bias", 5),
    ]  # fmt: skip
    return model(nodes, tensors, image=image)


@pytest.fixture
def saved(tmp_path):
    def save(made, name=FILE, **options):
        onnx.save(made, tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.mark.parametrize("batch", ["N", 1])
def test_a_classifier(batch, saved):
    made = classifier((batch, 3, 8, 8))
    network = jaxviz.load_onnx(saved(made))
    assert network.layers() == {
        "stem": (8, 8, 4), "block/conv": (8, 8, 4), "block/add": (8, 8, 4), "pool": (4,),
        "fc": (5,),
    }  # fmt: skip
    images = RANDOM.normal(size=(3, 8, 8, 3)).astype(np.float32)
    outputs = network.apply(network.params, images)
    oracle = ReferenceEvaluator(made)
    for image, got in zip(images, outputs["fc"], strict=True):
        (expected,) = oracle.run(None, {"x": image[None].transpose(0, 3, 1, 2)})
        assert_close(got, expected[0])
    kernel = numpy_helper.to_array(made.graph.initializer[0])
    assert_close(network.kernel("stem"), kernel.transpose(2, 3, 1, 0))
    spec = network.spec
    assert (spec.first_layer, spec.logits, spec.feature_layer) == ("stem", "fc", "pool")
    options = {"score": jaxviz.logit(3), "window": 2, "stride": 2, "fill": 0.0}
    scores = [
        jaxviz.occlusion_map(network.apply, network.params, images, method=method, **options).scores
        for method in ("incremental", "full")
    ]
    assert_close(*scores)
    grad = jax.grad(lambda params: network.apply(params, images)["fc"].sum())(network.params)
    assert grad["stem/weight"].shape == (3, 3, 3, 4)


def test_weights_beside_the_file_and_in_constants(saved):
    made = classifier()
    expected = jaxviz.load_onnx(saved(made, "plain.onnx"))
    images = jnp.ones((1, 8, 8, 3), jnp.float32)
    wanted = expected.apply(expected.params, images)["fc"]
    beside = saved(made, save_as_external_data=True, location="net.bin", size_threshold=0)
    assert beside.stat().st_size < 3000
    network = jaxviz.load_onnx(beside)
    assert_close(network.apply(network.params, images)["fc"], wanted)
    constants = classifier()
    tensors = list(constants.graph.initializer)
    del constants.graph.initializer[:]
    for tensor in tensors:
        constants.graph.node.insert(
            0, helper.make_node("Constant", [], [tensor.name], value=tensor)
        )
    network = jaxviz.load_onnx(saved(constants, "constants.onnx"))
    assert_close(network.apply(network.params, images)["fc"], wanted)
    assert len(network.params) == 5


def test_what_is_picked_in_its_order_is_a_reshape(saved):
    """As torch's newer exporter writes `as_strided`: images are still told apart."""
    made = classifier()
    del made.graph.node[6]  # Flatten
    for node in (
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "zero"], ["n"], axis=0),
        helper.make_node("Range", ["zero", "n", "one"], ["images"]),
        helper.make_node("Mul", ["images", "channels"], ["starts"]),
        helper.make_node("Unsqueeze", ["starts", "first"], ["column"]),
        helper.make_node("Add", ["column", "numbers"], ["places"]),
        helper.make_node("Reshape", ["f", "all"], ["row"]),
        helper.make_node("Gather", ["row", "places"], ["g"], axis=0),
    ):
        made.graph.node.insert(len(made.graph.node) - 1, node)
    numbers = {"zero": 0, "one": 1, "channels": 4, "first": [1], "numbers": [0, 1, 2, 3]}
    for name, array in {**numbers, "all": [-1]}.items():
        made.graph.initializer.append(numpy_helper.from_array(np.array(array), name))
    network, plain = jaxviz.load_onnx(saved(made)), jaxviz.load_onnx(saved(classifier()))
    assert network.layers() == plain.layers()
    images = RANDOM.normal(size=(3, 8, 8, 3)).astype(np.float32)
    got = network.apply(network.params, images)["fc"]
    assert_close(got, plain.apply(plain.params, images)["fc"])


def test_shapes_are_computed_ahead(saved):
    """Channels shuffled by the arithmetic that torch's older exporter writes."""
    whole = TensorProto.INT64
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Shape", ["a"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "first"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["five"], axis=0),
        helper.make_node("Reshape", ["a", "five"], ["b"]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Concat", ["n1", "back"], ["four"], axis=0),
        helper.make_node("Reshape", ["c", "four"], ["y"]),
    ]
    tensors = [
        weights("w", 6, 3, 1, 1),
        helper.make_tensor("zero", whole, [], [0]),
        helper.make_tensor("first", whole, [1], [0]),
        helper.make_tensor("rest", whole, [4], [2, 3, 8, 8]),
        helper.make_tensor("back", whole, [3], [-1, 8, 8]),
    ]
    made = model(nodes, tensors)
    network = jaxviz.load_onnx(saved(made))
    images = RANDOM.normal(size=(2, 8, 8, 3)).astype(np.float32)
    (expected,) = ReferenceEvaluator(made).run(None, {"x": images.transpose(0, 3, 1, 2)})
    last = list(network.apply(network.params, images).values())[-1]
    assert_close(last, expected.transpose(0, 2, 3, 1))


def changed(change):
    made = classifier()
    change(made)
    return made


def external(location, **more):
    def change(made):
        tensor = made.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=str(value))

    return change


def huge(made):
    made.graph.initializer[0].dims[:] = [2**40, 2**20, 3, 3]


def negative(made):
    made.graph.initializer[0].dims[:] = [-4, -3, 3, 3]


def cyclic(made):
    made.graph.node[0].input[0] = "e"


def a_strange_type(made):
    made.graph.initializer[0].data_type = 8


def an_old_opset(made):
    made.opset_import[0].version = 5


def a_strange_operator(made):
    made.graph.node[1].op_type = "NonMaxSuppression"


def an_operator_of_ones_own(made):
    made.graph.node[1].domain = "com.example"


def two_inputs(made):
    made.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))


def a_subgraph(made):
    made.graph.node[1].attribute.append(helper.make_attribute("body", made.graph))


def a_wrong_shape(made):
    made.graph.initializer[3].CopyFrom(weights("fc.weight", 5, 9))


def nothing(made):
    del made.graph.node[:]


HOSTILE = {
    "a path upward": (external("../secret"), "outside of the model's folder"),
    "an absolute path": (external("/etc/passwd"), "outside of the model's folder"),
    "no such file": (external("nothing.bin"), "No such file"),
    "beyond the end": (external("few.bin", offset=3, length=432), "bytes 3 to 435"),
    "a negative offset": (external("few.bin", offset=-3, length=432), "bytes -3"),
    "no number": (external("few.bin", offset="x"), "invalid literal"),
    "a link out": (external("link.bin"), "outside of the model's folder"),
    "a folder": (external("folder"), "outside of the model's folder"),
    "huge dims": (huge, "expected 41505174165846491136"),
    "negative dims": (negative, "shape (-4"),
    "a cycle": (cyclic, "before anything gives it"),
    "strings": (a_strange_type, "type 8"),
    "opset 5": (an_old_opset, "version 5"),
    "an unknown operator": (a_strange_operator, "operator NonMaxSuppression (node '/relu/Relu')"),
    "an operator of one's own": (an_operator_of_ones_own, "'com.example'"),
    "two inputs": (two_inputs, "expected one input"),
    "a subgraph": (a_subgraph, "is a graph"),
    "a wrong shape": (a_wrong_shape, "Gemm (/fc/Gemm): does not take"),
    "no nodes": (nothing, "0 nodes"),
}


def asking_for_much(kind, shape):
    """A node whose result is far larger than the file."""

    def change(made):
        sizes = numpy_helper.from_array(np.array(shape, np.int64), "sizes")
        made.graph.initializer.append(sizes)
        operands = {"ConstantOfShape": ["sizes"], "Tile": ["x", "sizes"], "Expand": ["x", "sizes"],
                    "Pad": ["x", "sizes"]}  # fmt: skip
        made.graph.node.insert(0, helper.make_node(kind, operands[kind], ["much"]))
        made.graph.node[1].input[0] = "much"

    return change


def ahead(*nodes, **numbers):
    """Nodes on no images, each of which gives what the classes' scores are added to."""

    def change(made):
        made.graph.node[-1].output[0] = "scores"
        for name, array in {"zero": 0, **numbers}.items():
            made.graph.initializer.append(numpy_helper.from_array(np.array(array), name))
        total, last = "scores", made.graph.output[0].name
        for number, (kind, operands) in enumerate(nodes):
            made.graph.node.append(helper.make_node(kind, operands, [f"made{number}"]))
            most = helper.make_node("ReduceMax", [f"made{number}"], [f"most{number}"], keepdims=0)
            made.graph.node.append(most)
            made.graph.node.append(
                helper.make_node("Cast", [f"most{number}"], [f"f{number}"], to=1)
            )
            result = last if number == len(nodes) - 1 else f"sum{number}"
            made.graph.node.append(helper.make_node("Add", [total, f"f{number}"], [result]))
            total = result

    return change


def table_of(kind):
    """A column and a row, each small, that give a table."""
    column, row = ("Expand", ["one", "n"]), ("Expand", ["one", "m"])
    table = (kind, ["made0", "made1"])
    return ahead(column, row, table, one=[[1]], n=[2**14, 1], m=[1, 2**14])


def huge_images(made):
    for axis in (2, 3):
        made.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 2**40


def huge_pads(made):
    made.graph.node[0].attribute[0].ints[:] = [2**40] * 4


HOSTILE |= {
    "a huge constant": (asking_for_much("ConstantOfShape", [2**30, 2**30]), "ConstantOfShape"),
    "many repeats": (asking_for_much("Tile", [2**20, 2**20, 1, 1]), "Tile"),
    "a wide expansion": (asking_for_much("Expand", [2**30, 3, 8, 8]), "Expand"),
    "a wide margin": (asking_for_much("Pad", [0, 0, 2**40, 0, 0, 0, 0, 0]), "Pad"),
    "a large constant": (ahead(("ConstantOfShape", ["n"]), n=[2**28]), "ConstantOfShape (made0)"),
    "a long range": (ahead(("Range", ["zero", "n", "one"]), n=2**28, one=1), "Range (made0)"),
    "a table of sums": (table_of("Add"), "Add (made2): makes an array of shape [16384, 16384]"),
    "a table of products": (
        table_of("MatMul"),
        "MatMul (made2): makes an array of shape [16384, 16384]",
    ),
    "many joined": (
        ahead(("Expand", ["one", "n"]), ("Concat", ["made0"] * 999), one=[1], n=[2**18]),
        "Concat",
    ),
    "picked again and again": (
        ahead(
            ("Expand", ["one", "n"]),
            ("Gather", ["made0", "places"]),
            one=[[1]],
            n=[1, 2**14],
            places=[0] * 2**14,
        ),
        "Gather",
    ),
    "huge images": (huge_images, "too large"),
    "huge pads": (huge_pads, "makes an array of shape"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_one_line(name, saved, tmp_path, cheap):
    change, message = HOSTILE[name]
    path = saved(changed(change))
    (tmp_path / "few.bin").write_bytes(b"few")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.bin").symlink_to("/etc/passwd")
    before = sorted(tmp_path.rglob("*"))
    with cheap(memory=700 * 2**20, seconds=20):
        said = refusal(jaxviz.load_onnx, path)
    assert message in said
    assert str(path) in said
    assert sorted(tmp_path.rglob("*")) == before


def test_what_nodes_compute_ahead_is_bounded_in_all(saved, monkeypatch):
    change = ahead(*[("ConstantOfShape", ["n"])] * 9, n=[2**10])
    jaxviz.load_onnx(saved(changed(change)))
    monkeypatch.setattr(evaluation, "_MOST_AHEAD_IN_ALL", 2**13)
    said = refusal(jaxviz.load_onnx, saved(changed(change)))
    assert "with those before it computes more than" in said


def test_damaged_files_are_refused_or_read(saved):
    """Truncations and single changed bytes: one line, or a network; never anything else."""
    path = saved(classifier())
    whole = path.read_bytes()
    cases = [whole[:end] for end in range(0, len(whole), 97)]
    for place in RANDOM.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(RANDOM.integers(8))
        cases.append(bytes(damaged))
    refused = 0
    for case in cases:
        path.write_bytes(case)
        try:
            jaxviz.load_onnx(path)
        except jaxviz.InputError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > len(cases) // 4


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (("N", 3, "H", "W"), {}, "leaves the height of its images open"),
        (("N", 3, 8, 8), {"image_shape": (9, 9, 3)}, "its images have 8 height, not 9"),
        ((4, 3, 8, 8), {}, "takes 4 images at a time"),
        (("N", 3, 8), {}, "expected images of 4 axes"),
    ],
)
def test_sizes(image, options, message, saved):
    assert message in refusal(jaxviz.load_onnx, saved(classifier(image)), **options)


def test_open_sizes_take_those_that_are_given(saved):
    path = saved(classifier(("N", 3, "H", "W")))
    assert jaxviz.load_onnx(path, image_shape=(6, 10, 3)).layers()["stem"] == (6, 10, 4)


@pytest.mark.parametrize(
    ("axes", "size"),
    [
        ((1, 6, 32, 32), 32), ((1, 32, 32, 6), 32), (("N", 3, 8, 8), 8), (("N", 8, 8, 3), 8),
        ((1, 12, 8, 8), 8), ((1, 3, 8, 16), None), (("N", 3, "H", "W"), None),
    ],
)  # fmt: skip
def test_the_size_that_a_file_fixes(axes, size, saved):
    """Whatever the number of channels, and before or behind them."""
    node = helper.make_node("Relu", ["x"], ["y"])
    assert fixed_size(saved(model([node], image=axes))) == size


def test_no_file(tmp_path):
    assert "No such file" in refusal(jaxviz.load_onnx, tmp_path / "none.onnx")


def test_the_operators_that_are_listed_are_those_that_there_are():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    listed = text.partition("Its operators: ")[2].partition(".")[0].split(", ")
    assert listed == sorted(OPERATORS)
