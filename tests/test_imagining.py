"""Images made for channels: the analysis, its figures, the command, and beside patches."""

import jax
import numpy as np
import pytest
from sweeping import names

from jaxviz import analyses, draw, sweep
from jaxviz.files import write_manifest
from jaxviz.networks.opening import open_network

pytestmark = pytest.mark.once

OWN = """
import jax
import jax.numpy as jnp

KERNEL = jax.random.normal(jax.random.key(1), (3, 3, 3, 7))
HEAD = jax.random.normal(jax.random.key(2), (7, 4))

def small():
    def apply(params, images):
        dims = ("NHWC", "HWIO", "NHWC")
        maps = jax.nn.relu(
            jax.lax.conv_general_dilated(images, params["k"], (2, 2), "SAME", None, None, dims)
        )
        return {"maps": maps, "head": maps.mean((1, 2)) @ params["h"]}
    return apply, {"k": KERNEL, "h": HEAD}

def without_gradient():
    def apply(params, images):
        maps = jax.lax.while_loop(lambda x: x.sum() < 0, lambda x: x + 1, images)
        return {"maps": maps}
    return apply, {}
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with a small network, of which the classes have names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "own.toml").write_text(
        'size = 20\nrange = [0, 1]\nlabels = "classes.txt"\n'
        'roles = { logits = "head", deep_layers = ["maps"] }\n'
    )
    (tmp_path / "classes.txt").write_text("ant\nbee\ncat\ndog\n")
    return tmp_path


def test_the_analysis_holds_what_the_sweep_makes_and_how_strong_it_is(own):
    network = open_network("own.py:small")
    found = analyses.feature_images(network, layer="maps", channels=[5, 2], steps=9, seed=4)
    made = sweep.feature_images(
        network.apply, network.params, layers="maps", key=jax.random.key(4), steps=9,
        image_shape=(20, 20, 3), prepare=network.preprocessing.normalize, channels=[5, 2],
    )["maps"]  # fmt: skip
    np.testing.assert_array_equal(found.images, made.images)
    maps = network.apply(network.params, network.preprocessing.normalize(found.images))["maps"]
    peaks = np.array([maps[0, ..., 5].max(), maps[1, ..., 2].max()])
    np.testing.assert_allclose(found.peaks, peaks, rtol=1e-4)
    assert found.titles == ("channel 5", "channel 2")
    assert ("images", "2, 9 steps, phases") in found.facts


@pytest.mark.slow
def test_the_figure_comes_in_pages_with_variants_together(own):
    network = open_network("own.py:small")
    found = analyses.feature_images(network, layer="maps", variants=4, steps=2, rows=2)
    assert found.columns == 4
    pages = dict(draw.pages_of(found))
    assert list(pages) == ["-01", "-02", "-03", "-04"]
    assert len(pages["-04"].axes[0].images) == 4
    few = analyses.feature_images(network, layer="maps", channels=[1], steps=2)
    ((ending, figure),) = draw.pages_of(few)
    assert (ending, len(figure.axes[0].images)) == ("", 1)


def test_imagine(own, command):
    code, out, _ = command("imagine", "--network", "own.py:small", "--steps", 3, "--save-arrays")
    assert code == 0, out
    assert names(own / "imagined") == ["jaxviz.json", "maps.npz", "maps.png"]
    (read,) = analyses.load_analyses(own / "imagined" / "maps.npz")[0]
    assert read.channels.tolist() == list(range(7))
    command("draw", "imagined/maps.npz", "-o", "again.png")
    assert (own / "again.png").read_bytes() == (own / "imagined" / "maps.png").read_bytes()


def test_imagine_classes_by_name(own, command):
    code, out, _ = command(
        "imagine", "--network", "own.py:small", "--class", "cat", "--class", 0, "--steps", 3,
        "--save-arrays", "--parametrization", "fourier", "--variants", 2,
    )  # fmt: skip
    assert code == 0, out
    (read,) = analyses.load_analyses(own / "imagined" / "head.npz")[0]
    assert read.titles == ("cat", "cat", "ant", "ant")


def test_imagine_every_channel_is_kept_and_continued(own, command):
    arguments = ("imagine", "--network", "own.py:small", "--all-channels", "--steps", 3)
    assert command(*arguments)[0] == 0
    kept = sweep.load_feature_images(own / "imagined" / "maps")["maps"]
    assert len(kept.images) == 7
    assert command(*arguments)[0] == 0
    code, _, said = command(*arguments[:-1], 4)
    assert code == 2
    assert "another option steps (3, now 4); name another folder" in said
    assert command(*arguments[:-1], 4, "--restart")[0] == 0


def test_another_folder_of_ours_is_left_alone(own, command):
    (own / "made").mkdir()
    write_manifest(own / "made", {"kind": "top patches"})
    code, _, error = command("imagine", "--network", "own.py:small", "-o", "made")
    assert (code, "holds top patches; name another folder" in error) == (2, True)


def test_patches_beside_what_was_made(own, command):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 30, 30, 3), np.uint8)
    (own / "pictures").mkdir()
    for i, one in enumerate(pixels):
        np.save(own / "pictures" / f"{i}.npy", one)
    code, out, _ = command(
        "patches", "pictures", "--network", "own.py:small", "--imagine", "--rows", 2, "--top", 3,
        "--channel", 6, "--channel", 0, "--channel", 3, "--save-arrays",
    )  # fmt: skip
    assert code == 0, out
    (read,) = analyses.load_analyses(own / "patches" / "maps.npz")[0]
    assert read.imagined.shape == (3, 20, 20, 3)
    network = open_network("own.py:small")
    made = analyses.feature_images(network, layer="maps", channels=[6, 0])
    np.testing.assert_array_equal(read.imagined[:2], made.images)
    first, _ = read.pages
    assert len(draw.figure_of(first).axes) == 2 * 5  # a title, the image, three patches


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--channel", 7), "channels: expected 0 to 6"),
        (("--class", "cow"), "target: no class is called 'cow'"),
        (("--class", "cat", "--layer", "maps"), "layer: classes have their own"),
        (("--class", "cat", "--channel", 1), "name one of them"),
        (("--layer", "map"), "layer: unknown name 'map'"),
        (("--parametrization", "wavelets"), "'wavelets' is not one of"),
        (("--steps", 0), "should be greater than or equal to 1"),
    ],
)
def test_mistakes_are_one_line(own, command, arguments, said):
    code, _, error = command("imagine", "--network", "own.py:small", *arguments)
    assert code == 2
    assert said in error
    assert error.count("\n") == 1
    assert not (own / "imagined").exists()


def test_a_network_without_a_gradient_says_so(own, command):
    code, _, error = command("imagine", "--network", "own.py:without_gradient", "--layer", "maps")
    assert code == 2
    assert "score: has no gradient that JAX can take" in error


def test_a_channel_of_alexnet_is_excited_far_beyond_photographs(alexnet):
    found = analyses.feature_images(alexnet, layer="conv5", channels=[0, 124], steps=48)
    assert (found.peaks > 40).all()  # more than any photograph of the examples gives any channel
    assert (found.trace[:, 0] == 0).any()
    assert found.images.std(axis=(1, 2, 3)).min() > 20
