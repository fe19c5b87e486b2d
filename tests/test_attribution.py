"""Attribution of pictures: what the analysis holds, its figure, and the commands."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from PIL import Image
from tolerances import assert_close

import jaxviz
from jaxviz import analyses, draw
from jaxviz.networks.opening import open_network

pytestmark = pytest.mark.once

OWN = """
import jax
from flax import nnx

class Net(nnx.Module):
    def __init__(self, activation, rngs):
        self.stem = nnx.Conv(3, 4, (3, 3), 2, rngs=rngs)
        self.body = nnx.Conv(4, 6, (3, 3), rngs=rngs)
        self.head = nnx.Linear(6, 5, rngs=rngs)
        self.activation = activation
    def __call__(self, x):
        x = self.activation(self.stem(x))
        return self.head(self.activation(self.body(x)).mean((1, 2)))

def relu():
    return Net(jax.nn.relu, nnx.Rngs(0))

def gelu():
    return Net(jax.nn.gelu, nnx.Rngs(0))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with two networks of one's own and a picture."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "own.toml").write_text("size = 28\nrange = [0, 1]\nmean = [0.5, 0.4, 0.3]\n")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path


def test_the_analysis_holds_what_the_functions_return(own):
    network = open_network("own.py:relu")
    found = analyses.attribution(network, ["photo.png"], targets=2, layer="stem", seed=3)
    assert found.methods == analyses.METHODS
    assert found.left_out == ()
    run = network.apply, network.params, network.preprocess(["photo.png"])
    score, fill = jaxviz.logit(2), np.zeros(3, np.float32)  # the mean
    wanted = {
        "gradient": jaxviz.gradient(*run, score=score),
        "smooth-gradient": jaxviz.smooth_gradient(*run, score=score, key=jax.random.key(3)),
        "gradient-times-input": jaxviz.gradient_times_input(*run, score=score),
        "integrated-gradients": jaxviz.integrated_gradients(*run, score=score, fill=fill),
        "guided-backpropagation": jaxviz.guided_backpropagation(*run, score=score),
        "deconvolution": jaxviz.deconvolution(*run, score=score),
        "grad-cam": jaxviz.grad_cam(*run, score=score, layer="stem"),
        "guided-grad-cam": jaxviz.guided_grad_cam(*run, score=score, layer="stem"),
        "occlusion": jaxviz.occlusion_map(*run, score=score, fill=fill, window=4, stride=1),
    }
    for place, name in enumerate(found.methods):
        beside = found.baseline if name == "occlusion" else None  # a difference of scores
        assert_close(found.heatmaps[0, place], wanted[name].heatmap[0], beside)
        if name in ("guided-backpropagation", "deconvolution", "guided-grad-cam"):
            assert_close(found.colors[0, place], wanted[name].values[0])
    assert_close(found.baseline, wanted["gradient"].baseline)
    (error,) = found.completeness_errors
    wanted_error = float(wanted["integrated-gradients"].completeness_error[0])
    assert error == pytest.approx(wanted_error, abs=1e-4)
    assert (found.pictures, found.targets, found.layer) == (("photo",), ("class 2",), "stem")


def test_a_method_that_a_network_has_not_is_left_out_or_refused(own):
    network = open_network("own.py:gelu")
    found = analyses.attribution(network, ["photo.png"])
    assert [name for name, _ in found.left_out] == [
        "guided-backpropagation", "deconvolution", "guided-grad-cam",
    ]  # fmt: skip
    assert all("no ReLU" in reason for _, reason in found.left_out)
    message = refusal(analyses.attribution, network, ["photo.png"], methods=["deconvolution"])
    assert "no ReLU" in message
    assert "valid: gradient" in refusal(
        analyses.attribution, network, ["photo.png"], methods=["nonsense"]
    )
    assert "at least one" in refusal(analyses.attribution, network, [])


def test_the_help_names_every_method(command):
    shown = command("attribute", "--help")[1]
    assert all(name in shown for name in analyses.METHODS)


def test_colors_are_red_green_and_blue_whatever_the_network_reads():
    def apply(params, images):
        return {
            "sum": jax.nn.relu(images * jnp.array([1.0, 0, 0])[None, None, None] + 1).sum(
                axis=(1, 2, 3)
            )[:, None]
        }

    network = jaxviz.Network(
        apply, {}, roles={"logits": "sum"},
        preprocessing=jaxviz.Preprocessing(8, 8, 255, (0.0,) * 3, (1.0,) * 3, "BGR"),
    )  # fmt: skip
    picture = np.zeros((8, 8, 3), np.uint8)
    found = analyses.attribution(network, [picture], methods=["deconvolution"], targets=0)
    assert found.colors[0, 0, 0, 0].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "line",
    [
        "compare photo.png photo.png --network own.py:relu --target 1",
        "compare photo.png --network own.py:gelu --score log-probability",
        "attribute photo.png --network own.py:relu --method gradient --method deconvolution",
        "attribute photo.png --network own.py:relu --target stem:1",
    ],
)
def test_the_commands_draw_and_their_arrays_draw_the_same(line, own, command):
    code, out, err = command(*line.split(), "--output", "x.png", "--save-arrays")
    assert (code, err) == (0, "")
    assert ("no deconvolution" in out) == ("gelu" in line)
    assert command("draw", "x.npz", "--output", "again.png")[0] == 0
    assert (own / "x.png").read_bytes() == (own / "again.png").read_bytes()
    (found,), _ = analyses.load_analyses("x.npz")
    figure = draw.figure_of(found)
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert sum(title.startswith("photo: ") for title in titles) == len(found.pictures)
    assert titles.count("Grad-CAM") == found.methods.count("grad-cam") * len(found.pictures)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--method nonsense", "valid: gradient"),
        ("--method grad-cam --layer head", "'head' has no maps"),
        ("--method grad-cam --layer nothing", "unknown"),
        ("--method grad-cam --target stem:0 --layer body", "the score does not depend on 'body'"),
        ("--target nobody", "target"),
        ("--score loss", "valid: log-probability"),
        ("--fill plaid", "fill: unknown"),
    ],
)
def test_mistakes_are_one_line(options, message, own, command):
    line = ("attribute", "photo.png", "--network", "own.py:relu", *options.split())
    code, out, err = command(*line, "--output", "x.png")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (own / "x.png").exists()
