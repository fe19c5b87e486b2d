"""One's own network from the shell: files and functions, and the TOML beside them."""

import numpy as np
import onnx
import pytest
from conftest import refusal
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import jaxviz
from jaxviz.cli.describing import DESCRIPTION, describable
from jaxviz.cli.loading import load_network, loading_code
from jaxviz.draw.maps import map_extent
from jaxviz.networks.described import read_description
from jaxviz.networks.opening import open_network
from jaxviz.pictures.preprocessing import Preprocessing

pytestmark = pytest.mark.once

OWN = """
import jax, jax.numpy as jnp
from flax import linen, nnx

SHAPE = (16, 16, 3)

class Net(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.head = nnx.Linear(4, 5, rngs=rngs)
    def __call__(self, x):
        return self.head(nnx.relu(self.stem(x)).mean((1, 2)))

def module():
    return Net(nnx.Rngs(0))

def pair():
    network = jaxviz_network()
    return network.apply, network.params

def function():
    return (lambda params, x: jax.nn.relu(x @ params["head"]["kernel"])), {
        "head": {"kernel": jnp.ones((3, 5))}}

def flax():
    net = linen.Conv(4, (3, 3))
    return net, net.init(jax.random.key(0), jnp.ones((1, *SHAPE)))

def jaxviz_network():
    import jaxviz
    return jaxviz.from_nnx(module(), image_shape=SHAPE)

def nothing():
    return {"nested": {"dict": 1}}

def layers():
    network = jaxviz_network()
    def apply(params, x):
        found = network.apply(params, x)
        maps, logits = found["stem"], found["head"]
        return {"maps": maps, "vector": found["pool1"], "z_logits": logits,
                "a_softmax": jax.nn.softmax(logits)}
    return apply, network.params

def mixing():
    return lambda params, x: {"maps": x - x.mean(0)}, {}

def failing():
    raise KeyError("no weights here")

text = "no function"
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with a network in Python, described, and one in ONNX, which is not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "own.toml").write_text("size = 16\nrange = [0, 1]\nmean = [0.5, 0.4, 0.3]\n")
    values = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "stem.weight"], ["a"], "/stem/Conv"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"], "/pool/GlobalAveragePool"),
        helper.make_node("Flatten", ["c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 32, 32))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4))],
        [numpy_helper.from_array(values, "stem.weight")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), "net.onnx")
    return tmp_path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("name", ["module", "pair", "function", "flax", "jaxviz_network"])
def test_what_a_function_may_return(name, own):
    network = jaxviz.open_network(f"own.py:{name}")
    layers = network.layers((16, 16, 3))
    assert layers[list(layers)[-1]][-1] in (4, 5)
    if name in ("module", "function", "flax"):
        assert network.preprocessing.input_shape == (16, 16, 3)
        assert network.spec.mean_fill == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("own.py:module", {}), ("net.onnx", {"size": 32, "range": (0.0, 1.0)}),
        ("squeezenet", {}), (None, {}),
    ],
)  # fmt: skip
def test_the_lines_that_load_a_network_load_it(text, options, own):
    @describable
    def command():
        place = None if text is None else str(own / text) if "." in text else text
        network = load_network(place, None)
        return network, loading_code(network, place, None)

    described = {f"described_{key}": options.get(key) for key in DESCRIPTION}
    network, code = command(head_file=None, **described)
    assert str(own) not in code
    again = eval(code, {"jaxviz": jaxviz})
    assert (again.name, again.preprocessing) == (network.name, network.preprocessing)


def test_a_module_by_its_name(own, monkeypatch):
    monkeypatch.syspath_prepend(str(own))
    assert list(jaxviz.open_network("own:jaxviz_network").layers()) == ["stem", "pool1", "head"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("own.py:nothing", "returns dict; expected a jaxviz.Network"),
        ("own.py:failing", "KeyError: 'no weights here'"),
        ("own.py:text", "has no function 'text'"),
        ("own.py:missing", "has no function 'missing'"),
        ("other.py:module", "no such file"),
        ("no_such_module:f", "ModuleNotFoundError"),
        ("alexnett", "nearest: alexnet"),
        ("none.onnx", "No such file"),
    ],
)
def test_what_is_no_network_is_one_line(text, message, own):
    assert message in refusal(jaxviz.open_network, text)


def test_a_described_file(own, command, picture):
    (own / "classes.txt").write_text("red\ngreen\nblue\nGrün\n", encoding="utf-8")
    code, out, err = command(
        "network", "describe", "net.onnx", "--range", "0,255", "--mean", "100,110,120",
        "--channel-order", "BGR", "--labels", "classes.txt", "--title", "Small",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "size: 32, from the file" in out
    assert "std: not given, so none" in out
    found = read_description(own / "net.toml")
    assert found.labels[3] == "Grün"
    assert found.preprocessing == Preprocessing(
        37, 32, 1, (100.0, 110.0, 120.0), (1.0, 1.0, 1.0), "BGR"
    )
    code, out, err = command("layers", "net.onnx")
    assert (code, err) == (0, "")
    assert " ".join(out.splitlines()[1].split()) == "stem 30 x 30 x 4 3 x 3 pixels conv"
    code, out, err = command(
        "occlude", picture, "--network", "net.onnx", "--window", 16, "--stride", 16,
        "--score", "logit", "--output", "hot.png",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert any(name in out for name in found.labels)
    code, out, err = command("filters", "--network", "net.onnx", "--output", "filters.png")
    assert (code, err) == (0, "")


def test_what_a_command_is_told_equals_what_the_file_beside_says(own, command, picture):
    def drawn(name, *options):
        arguments = ("activations", picture, "--network", "net.onnx", "--layer", "stem", *options)
        code, _, err = command(*arguments, "--output", f"{name}.png", "--save-arrays")
        assert (code, err) == (0, "")
        return np.load(f"{name}.npz")["stem.maps"]

    given = ("--range", "-1,1", "--mean", "0.1,0.2,0.3", "--resize", "40")
    told = drawn("told", *given)
    assert command("network", "describe", "net.onnx", *given)[0] == 0
    np.testing.assert_array_equal(drawn("read"), told)
    assert not np.array_equal(drawn("other", "--std", "2,2,2"), told)  # goes before the file


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--network", "net.onnx", "--mean", "1,2,3"), "range: expected the values of black"),
        (("--network", "net.onnx", "--range", "0,x"), "expected numbers such as 0.5,0.5,0.5"),
        (("--network", "own.py:module", "--mean", "1,2"), "mean: expected 3 numbers, got"),
        (("--network", "squeezenet", "--size", "32"), "size: squeezenet is known to jaxviz"),
        (("--network", "net.onnx", "--labels", "no.txt"), "No such file"),
    ],
)
def test_what_a_command_is_told_wrongly_is_one_line(options, message, own, command, picture):
    code, _, err = command("activations", picture, *options, "--output", "x.png")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("mean = [1, 2, 3]", "such as 0,1 or 0,255, as mean is given"),
        ("mean = [1, 2, 3]", "size: expected a number of pixels; range: expected"),
        ("size = 16", "range: expected the values of black and white"),
        ("size = 16\nrange = [1, 1]", "black and white are both 1"),
        ("size = 16\nrange = [0, 1]\nresize = 8", "resize: 8 pixels are fewer than the 16"),
        ("size = 16\nrange = [0, 1]\nmean = [1, 2]", "mean: expected 3 numbers"),
        ("size = 16\nrange = [0, 1]\nstd = [0, 1, 1]", "other than 0"),
        ("size = 16\nrange = [0, 1]\nchannel_order = 'rgb'", "channel_order: expected RGB, BGR"),
        ("size = 16\nrange = [0, 1]\nchannel_order = 4", "channel_order: expected RGB, BGR"),
        ("size = true\nrange = [0, 1]", "size: expected a number of pixels"),
        ("labels = 'none.txt'", "No such file"),
        ("sise = 16", "unknown name 'sise'"),
        ("size = ", "Invalid value"),
    ],
)
def test_a_wrong_description_is_one_line(content, message, own):
    (own / "net.toml").write_text(content)
    said = refusal(jaxviz.open_network, "net.onnx")
    assert message in said
    assert said.startswith("net.toml: ")


def test_a_file_that_is_not_described_says_how(own, command, picture):
    code, _, err = command("activations", picture, "--network", "net.onnx")
    assert code == 2
    assert "jaxviz network describe" in err


def test_the_order_of_channels():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    rgb = Preprocessing(4, 4, 255, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    bgr = Preprocessing(4, 4, 255, (0.3, 0.2, 0.1), (3.0, 2.0, 1.0), "BGR")
    assert np.array_equal(bgr.normalize(pixels), rgb.normalize(pixels)[..., ::-1])
    assert np.array_equal(bgr.denormalize(bgr.normalize(pixels)), pixels)
    gray = Preprocessing(4, 4, 1, (0.0,), (1.0,), "gray")
    assert gray.input_shape == (4, 4, 1)
    assert gray.normalize(np.full((4, 4, 3), 7, np.uint8)).ravel() == pytest.approx(7)
    assert np.array_equal(
        gray.denormalize(np.full((4, 4, 1), 7.0)), np.full((4, 4, 3), 7, np.uint8)
    )


@pytest.mark.slow
def test_the_tour_of_a_gray_network_without_classes(own, command, picture):
    (own / "gray.py").write_text(
        "from flax import nnx\n"
        "class Net(nnx.Module):\n"
        "    def __init__(self, rngs):\n"
        "        self.conv1 = nnx.Conv(1, 4, (5, 5), rngs=rngs)\n"
        "    def __call__(self, x):\n"
        "        return nnx.relu(self.conv1(x)).mean((1, 2))\n"
        "def make():\n"
        "    return Net(nnx.Rngs(0))\n"
    )
    code, _, err = command(
        "network", "describe", "gray.py", "--size", 16, "--range", "0,1", "--channel-order", "gray"
    )
    assert (code, err) == (0, "")
    code, out, _ = command("filters", "--network", "gray.py:make", "--output", "filters.png")
    assert code == 0
    assert "5 x 5 x 1" in out
    code, _, _ = command("tour", picture, "--network", "gray.py:make", "--output", "tour")
    assert code == 0
    page = (own / "tour" / "index.html").read_text()
    assert "gray does not show it: middle_layer: gray has none" in page
    assert "filled with gray" in page
    code, out, err = command("features", own, "--network", "gray.py:make", "--output", "made")
    assert (code, "features: 1 x 1024" in out) == (0, True)
    options = ("--network", "gray.py:make", "--window", 8, "--stride", 8, "--output", "gray.png")
    code, _, err = command("occlude", picture, *options, "--save-arrays")
    assert (code, err) == (0, "")
    code, _, err = command("draw", "gray.npz", "--output", "again.png")
    assert (code, err) == (0, "")


def test_a_network_that_says_itself_what_it_is_may_be_described_too(own):
    network = open_network("own.py:jaxviz_network", described={"mean": [0.1, 0.2, 0.3]})
    assert network.preprocessing.input_shape == (16, 16, 3)
    assert network.preprocessing.mean == (0.1, 0.2, 0.3)
    assert network.spec.mean_fill == (0, 0, 0)
    assert list(network.layers()) == ["stem", "pool1", "head"]


@pytest.mark.parametrize("function", ["jaxviz_network", "pair", "function", "module"])
def test_images_that_a_network_does_not_take_are_refused_in_one_line(function, own, command):
    """One in color is said to be gray."""
    options = ("--channel-order", "gray", "--mean", "0.5", "--output", "x.png")
    code, _, err = command("filters", "--network", f"own.py:{function}", *options)
    assert code != 0
    assert err.startswith("jaxviz: ")
    assert "16 x 16 x 1" in err
    assert err.count("\n") == 1


def test_describing_again_keeps_what_is_not_said_and_checks_before_it_writes(own, command):
    def describe(*options):
        return command("network", "describe", "net.onnx", *options)

    assert describe("--range", "0,255", "--title", "My net")[0] == 0
    assert describe("--mean", "1,2,3")[0] == 0
    kept = (own / "net.toml").read_text()
    assert 'title = "My net"' in kept
    assert "mean = [1.0, 2.0, 3.0]" in kept
    for options in (
        ("--range", "0,nan"),
        ("--size", 30),
        ("--labels", "no.txt"),
        ("--std", "0,1,1"),
    ):
        code, _, err = describe(*options)
        assert code != 0
        assert options[0].removeprefix("--") in err
        assert err.count("\n") == 1
        assert (own / "net.toml").read_text() == kept


def test_a_toml_that_is_no_description_is_left_alone(own, command):
    (own / "settings.py").write_text(OWN)
    (own / "settings.toml").write_text("[project]\n")
    code, _, err = command("network", "describe", "settings.py", "--size", 16, "--range", "0,1")
    assert code != 0
    assert "settings.toml" in err
    assert (own / "settings.toml").read_text() == "[project]\n"


GATED = """
import jax, jax.numpy as jnp
from jax import lax

def gated(scale=1.0):
    k = jax.random.split(jax.random.key(0), 2)
    kernels = (("a", (3, 3, 3, 4)), ("b", (3, 3, 4, 5)))
    params = {name: jax.random.normal(key, shape) for key, (name, shape) in zip(k, kernels)}
    def convolve(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=numbers)
    def function(params, x):
        x = jax.nn.relu(convolve(x, params["a"]))
        x = x * jax.nn.sigmoid(x.mean((1, 2), keepdims=True))
        return jax.nn.relu(convolve(x, params["b"])).mean((1, 2)) * scale
    return function, params

def broken():
    return gated(jnp.nan)
"""


def test_maps_behind_a_gate_lie_on_the_whole_picture(own, command, picture):
    """Each unit sees everything; the map is drawn where its units are, and not on a point."""
    (own / "gate.py").write_text(GATED)
    options = ("--network", "gate.py:gated", "--size", 32, "--range", "0,1", "--save-arrays")
    line = ("activations", picture, *options, "--layer", "conv2", "--output", "maps.png")
    code, _, err = command(*line)
    assert (code, err) == (0, "")
    (found,), _ = jaxviz.analyses.load_analyses(own / "maps.npz")
    assert found.field.stride == (0, 0)
    assert map_extent(found.field, found.maps.shape[:2]) == (-0.5, 31.5, 31.5, -0.5)


def test_scores_that_are_no_numbers_are_one_line(own, command, picture):
    (own / "gate.py").write_text(GATED)
    options = ("--network", "gate.py:broken", "--size", 32, "--range", "0,1", "--output", "x.png")
    for line in (("occlude", picture), ("activations", picture, "--layer", "multiply2")):
        code, _, err = command(*line, *options)
        assert code != 0
        assert len(err.splitlines()) == 1
    assert not (own / "x.png").exists()


def test_a_function_in_a_file_is_described_with_its_file(own, command):
    code, out, err = command("network", "describe", "own.py:module", "--size", 16, "--range", "0,1")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "own.toml"
    assert command("layers", "own.py:module")[0] == 0


def test_the_roles_of_layers_that_a_function_gives_by_name(own, command, picture):
    """They are read from the tape, where the order of a dict's names says nothing."""
    network = open_network("own.py:layers")
    assert list(network.layers()) == ["maps", "vector", "z_logits", "a_softmax"]
    spec = network.spec
    assert (spec.first_layer, spec.deep_layers) == ("maps", ("maps",))
    assert (spec.feature_layer, spec.logits) == ("vector", "z_logits")
    options = ("--network", "own.py:layers", "--target", "class 2", "--window", 8, "--stride", 8)
    assert command("occlude", picture, *options, "--output", "x.png")[0] == 0
    assert "depend" in refusal(open_network, "own.py:mixing")


def test_what_the_toml_says_of_roles_goes_before_what_the_tape_shows(own):
    with (own / "own.toml").open("a") as file:
        file.write('roles = { feature_layer = "maps" }\n')
    assert open_network("own.py:layers").spec.feature_layer == "maps"
