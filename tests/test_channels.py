"""Networks of other channels than red, green and blue: their pictures, commands and figures."""

import struct

import numpy as np
import pytest
from conftest import refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import jaxviz
from jaxviz import analyses, draw, sweep
from jaxviz.networks.opening import open_network
from jaxviz.pictures.decoding import decode
from jaxviz.pictures.preprocessing import Preprocessing, preprocess

pytestmark = pytest.mark.once

ORDERS = ["N", "BG", "NRG", "BGRN", ".BGR.N", "VHRGBNNNNNNNN"]
NETWORK = """
import jax
from flax import nnx

class Net(nnx.Module):
    def __init__(self, rngs):
        self.conv1 = nnx.Conv(4, 6, (3, 3), 2, rngs=rngs)
        self.conv2 = nnx.Conv(6, 5, (3, 3), 2, rngs=rngs)
        self.head = nnx.Linear(5, 3, rngs=rngs)
    def __call__(self, x):
        x = nnx.relu(self.conv1(x))
        return self.head(nnx.relu(self.conv2(x)).mean((1, 2)))

def make():
    return Net(nnx.Rngs(0))
"""
DESCRIBED = """
size = 32
range = [0, 1]
channel_order = "BGRN"
mean = [0.1, 0.2, 0.3, 0.4]
labels = ["water", "forest", "field"]
"""


def bands(order, resize=20, crop=16):
    """Their preprocessing, of numbers that differ from channel to channel."""
    count = len(order)
    return Preprocessing(
        resize, crop, 255, tuple(np.linspace(0.1, 0.9, count).tolist()),
        tuple(np.linspace(0.5, 2, count).tolist()), order,
    )  # fmt: skip


def scene(seed, channels, height=40, width=30):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@pytest.fixture
def satellite(tmp_path, monkeypatch):
    """A folder with a network of four channels, its description, and `scenes`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "net.toml").write_text(DESCRIBED)
    (tmp_path / "scenes").mkdir()
    for number in range(4):
        np.save(tmp_path / "scenes" / f"{number}.npy", scene(number, 4))
    return tmp_path


@pytest.mark.parametrize("order", ORDERS)
def test_channels_are_fitted_and_normalized_each_by_itself(order):
    """As each channel alone would be, in a gray picture."""
    preprocessing, pixels = bands(order), scene(0, len(order))
    images = preprocess([pixels], preprocessing)
    assert images.shape == (1, *preprocessing.input_shape)
    for channel in range(len(order)):
        plane = Image.fromarray(pixels[..., channel])
        alone = Preprocessing(20, 16, 255, (0.0,) * 3, (1.0,) * 3)
        shown = preprocess([plane], alone)[0, ..., 0]
        expected = (shown - preprocessing.mean[channel]) / preprocessing.std[channel]
        np.testing.assert_allclose(images[0, ..., channel], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", ORDERS)
def test_shown_are_red_green_and_blue_or_the_first(order):
    preprocessing = bands(order)
    pixels = preprocessing.fit(scene(1, len(order)))
    places = {"NRG": [0, 1, 2], "BGRN": [2, 1, 0], ".BGR.N": [3, 2, 1], "VHRGBNNNNNNNN": [2, 3, 4]}
    expected = pixels[..., places.get(order, [0, 0, 0])]
    np.testing.assert_array_equal(preprocessing.rgb(pixels), expected)
    again = preprocessing.denormalize(preprocessing.normalize(pixels))
    np.testing.assert_array_equal(again, expected)


@settings(max_examples=6)
@given(order=st.permutations("RGB").map("".join))
def test_colors_in_any_order_are_read_as_colors(order):
    """Of a picture in RGB; the normalized channels are those that the order names."""
    preprocessing, pixels = bands(order), scene(2, 3)
    images = preprocess([pixels], preprocessing)
    assert preprocessing.samples is None
    plain = preprocess([pixels], Preprocessing(20, 16, 255, (0.0,) * 3, (1.0,) * 3))
    for channel, color in enumerate(order):
        expected = plain[..., "RGB".index(color)] - preprocessing.mean[channel]
        expected /= preprocessing.std[channel]
        np.testing.assert_allclose(images[..., channel], expected, rtol=1e-5, atol=1e-6)
    fitted = preprocessing.fit(pixels)
    np.testing.assert_array_equal(preprocessing.denormalize(images[0]), fitted)


@pytest.mark.parametrize(
    ("name", "samples"), [("a.png", 4), ("b.png", 2), ("c.png", 1), ("d.bmp", 3), ("e.tif", 4)]
)
def test_a_picture_of_as_many_samples_is_read_as_it_is_stored(name, samples, tmp_path):
    """Alpha, too: it holds a channel then, and hides nothing."""
    pixels = scene(3, samples)
    Image.fromarray(pixels.squeeze()).save(tmp_path / name)
    np.testing.assert_array_equal(decode(tmp_path / name, samples), pixels)


def test_a_stored_array_is_the_array(tmp_path):
    for shape in ((9, 8), (9, 8, 1), (9, 8, 3), (9, 8, 4)):
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        np.save(tmp_path / "a.npy", pixels)
        np.testing.assert_array_equal(decode(tmp_path / "a.npy"), decode(pixels))
    np.save(tmp_path / "a.npy", np.asfortranarray(scene(0, 13)))
    np.testing.assert_array_equal(decode(tmp_path / "a.npy", 13), scene(0, 13))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((9, 8, 4), np.uint16), "expected uint8 values from 0 to 255, got uint16"),
        (np.zeros((9, 8, 3), np.uint8), "expected an array (height, width, 4), got (9, 8, 3)"),
        (np.zeros((2, 9, 8, 4), np.uint8), "(height, width, 4), got (2, 9, 8, 4)"),
        (np.zeros((9, 901, 4), np.uint8), "901 x 9 is too narrow"),
        (np.zeros(9, np.uint8), "(height, width, 4), got (9,)"),
        (np.array([{}]), "expected uint8 values from 0 to 255, got object"),
    ],
)
def test_an_array_that_does_not_fit_is_one_line(array, message, tmp_path):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    said = refusal(decode, tmp_path / "a.npy", 4)
    assert message in said
    assert said.startswith(str(tmp_path / "a.npy"))


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_array_is_refused_or_read(data, tmp_path_factory):
    """Bytes changed or cut off anywhere: an `InputError`, or pixels of the wanted shape."""
    path = tmp_path_factory.mktemp("damaged") / "a.npy"
    np.save(path, scene(0, 4))
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, 130), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert decode(path, 4).shape[2] == 4
    except jaxviz.InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("order", ["", "rgb", "RRG", "gray scale", "B,G,R"])
def test_an_order_that_names_no_channels_is_refused(order):
    said = refusal(Preprocessing, 16, 16, 255, (0.0,) * 3, (1.0,) * 3, order)
    assert said.startswith("channel_order: expected RGB, BGR, gray, or a capital letter")


def test_numbers_for_other_channels_are_refused():
    said = refusal(Preprocessing, 16, 16, 255, (0.0,) * 3, (1.0,) * 4, "BGRN")
    assert said == "mean: expected 4 numbers for channels 'BGRN', got (0.0, 0.0, 0.0)"
    said = refusal(bands("BGRN").normalize, scene(0, 3))
    assert said == "pictures: expected 4 samples a pixel, got 3"


def tagged(path, pixels, tag, value):
    """A TIFF of these samples in which a tag of one number is another."""
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    place = content.index(struct.pack("<HHI", tag, 3, 1)) + 8
    path.write_bytes(content[:place] + struct.pack("<H", value) + content[place + 2 :])
    return path


def test_samples_that_the_reader_would_change_are_refused(tmp_path):
    """Colors multiplied with alpha are divided by it; samples that it does not know are dropped."""
    extra = 338
    pixels = np.full((8, 8, 4), [100, 50, 20, 128], np.uint8)
    path = tagged(tmp_path / "multiplied.tif", pixels, extra, 1)
    assert "holds colors multiplied with alpha" in refusal(decode, path, 4)
    path = tagged(tmp_path / "unknown.tif", pixels, extra, 0)
    assert "is read as RGB" in refusal(decode, path, 4)
    assert "has 4 samples a pixel (RGB), expected 3" in refusal(decode, path, 3)
    path = tagged(tmp_path / "alpha.tif", pixels, extra, 2)
    np.testing.assert_array_equal(decode(path, 4), pixels)


def test_a_transparent_value_is_a_value_like_others(tmp_path):
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    plain = (deep / 257).round().astype(np.uint8)
    Image.fromarray(deep).save(tmp_path / "deep.png", transparency=1000)
    Image.fromarray(plain).save(tmp_path / "plain.png", transparency=4)
    for name in ("deep.png", "plain.png"):
        assert decode(tmp_path / name, 1).ravel()[:3].tolist() == [0, 4, 8]


def test_an_archive_is_no_array(tmp_path):
    with (tmp_path / "z.npy").open("wb") as file:
        np.savez(file, a=scene(0, 4))
    assert "no array that can be read" in refusal(decode, tmp_path / "z.npy", 4)


@pytest.mark.parametrize("name", ["features", "patches"])
def test_a_sweep_of_pictures_fitted_otherwise_is_another(name, satellite, command):
    line = [name, "scenes", "--network", "net.py:make", "--output", "out"]

    def state():
        return {path: path.read_bytes() for path in (satellite / "out").iterdir()}

    assert command(*line)[0] == 0
    before = state()
    code, _, err = command(*line, "--resize", 60)
    assert code == 2
    assert "another" in err
    assert before == state()


def test_features_of_another_network_are_refused(satellite, command):
    command("features", "scenes", "--network", "net.py:make", "--output", "out")
    code, _, err = command("neighbors", "out")
    assert code == 2
    assert err.strip() == "jaxviz: out: features of net, not of alexnet; see --network"
    assert command("neighbors", "out", "--network", "net.py:make")[0] == 0


def test_pictures_in_memory_of_other_channels_are_not_shown(satellite):
    network = open_network("net.py:make")
    pixels = np.stack([scene(seed, 4, 32, 32) for seed in range(3)])
    features = sweep.features(
        network.apply, network.params, sweep.ArrayPictures(pixels),
        layer="conv2", prepare=network.preprocessing.normalize, batch_size=3,
    )  # fmt: skip
    for samples in (1, 3, 5):
        other = sweep.ArrayPictures(np.zeros((3, 32, 32, samples), np.uint8))
        said = refusal(analyses.nearest_pictures, network, features, other)
        assert said == f"pictures: expected 4 samples a pixel, got {samples}"


def test_packing_for_a_network_of_ones_own(satellite, command):
    code, _, err = command("pack", "scenes", "--network", "net.py:make", "--output", "packed")
    assert (code, err) == (0, "")
    line = ("--network", "net.py:make", "--output")
    assert command("features", "packed", *line, "one")[0] == 0
    assert command("features", "scenes", *line, "two")[0] == 0
    one, two = (satellite / name / "features.npy" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    both = ("--network", "net.py:make", "--network", "alexnet")
    code, _, err = command("pack", "scenes", *both, "--output", "both")
    assert code == 2
    assert "read or resize pictures differently" in err


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"mean_fill": "abc"}, "mean_fill: expected 4 numbers"),
        ({"mean_fill": [0, [1], 0, 0]}, "mean_fill: expected 4 numbers"),
        ({"mean_fill": 0.0}, "mean_fill: expected 4 numbers"),
        ({"deep_layers": 3}, "deep_layers: expected a list of layers"),
        ({"first_layer": 3}, "first_layer: expected a layer's name"),
    ],
)
def test_roles_that_make_no_sense_are_one_line(roles, message):
    network = (lambda params, images: {"a": images}), {}
    said = refusal(jaxviz.Network, *network, preprocessing=bands("BGRN"), roles=roles)
    assert f"roles: {message}" in said


def test_what_a_description_does_not_know_is_refused(satellite):
    said = refusal(open_network, "net.py:make", described={"order": "BGR"})
    assert "unknown name 'order'" in said


def test_a_first_layer_that_reads_groups_of_channels_reads_no_colors():
    params = {"conv1": {"kernel": np.ones((3, 3, 3, 2), np.float32)}}
    network = jaxviz.Network(
        lambda params, images: {"conv1": images}, params, roles={"first_layer": "conv1"},
        preprocessing=bands("BGRNVH"),
    )  # fmt: skip
    assert analyses.filters(network, "conv1", top=2).form == "slices"


def test_a_packed_set_of_other_channels_gives_the_folder_s_pixels(satellite):
    preprocessing = bands("BGRN")
    np.save(satellite / "scenes" / "small.npy", scene(9, 4, 12, 13))  # kept whole
    folder = sweep.folder_pictures(satellite / "scenes", preprocessing)
    sweep.pack(folder, folder=satellite / "packed", preprocessing=preprocessing, shard_size=2)
    packed = sweep.open_pictures(satellite / "packed", preprocessing)
    assert packed.image_shape == folder.image_shape == (16, 16, 4)
    for number in range(len(folder.paths)):
        np.testing.assert_array_equal(packed.picture(number).pixels, folder.picture(number).pixels)
    said = refusal(sweep.open_packed, satellite / "packed", bands("NRG"))
    assert "packed as 4 samples as they are stored, the network takes 3 samples" in said


COMMANDS = (
    "layers net.py:make", "filters --network net.py:make",
    "activations scenes/0.npy --network net.py:make",
    "occlude scenes/0.npy scenes/1.npy --network net.py:make --window 8 --stride 8",
    "occlude scenes/0.npy --network net.py:make --window 8 --stride 8 --fill blur --save-arrays",
    "patches scenes --network net.py:make", "neighbors scenes --network net.py:make",
    "map scenes --network net.py:make", "features scenes --network net.py:make",
    "tour scenes --network net.py:make",
)  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_takes_them(line, satellite, command):
    code, out, err = command(*line.split())
    assert (code, err) == (0, "")
    assert out


def test_a_picture_of_other_samples_is_skipped_with_the_reason(satellite, command):
    Image.new("RGB", (40, 40)).save(satellite / "scenes" / "photo.jpg")
    code, _, err = command("features", "scenes", "--network", "net.py:make")
    assert code == 0
    assert err.strip() == (
        "skipped scenes/photo.jpg: has 3 samples a pixel (RGB), expected 4; save an array (height, "
        "width, 4), uint8, as .npy"
    )


def test_a_color_hides_nothing_in_channels_that_are_no_colors(satellite):
    network = open_network("net.py:make")
    said = refusal(analyses.occlusion, network, ["scenes/0.npy"], window=8, fill="red")
    assert said.startswith("fill: 'red' is a color, and the network takes other channels")
    black = analyses.occlusion(network, ["scenes/0.npy"], window=8, stride=8, fill="black")
    np.testing.assert_allclose(black.fill_values[0], [-0.1, -0.2, -0.3, -0.4], rtol=1e-6)
    assert black.fill_pixels.tolist() == [[0, 0, 0]]


def test_figures_show_red_green_and_blue(satellite):
    network = open_network("net.py:make")
    found = analyses.activations(network, "scenes/0.npy", "conv2")
    fitted = network.preprocessing.fit(np.load("scenes/0.npy"))
    np.testing.assert_array_equal(found.pixels, fitted[..., [2, 1, 0]])


def test_filters_of_other_channels_have_their_letters_above(satellite):
    network = open_network("net.py:make")
    found = analyses.filters(network, "conv1", top=2)
    assert found.channel_names == ("B", "G", "R", "N")
    titles = [axes.get_title() for axes in draw.figure_of(found).axes]
    assert titles.count("N") == 2
    assert analyses.filters(network, "conv2", top=2).channel_names == ()


def test_filters_of_blue_green_and_red_are_drawn_in_their_colors():
    """The kernel that reads red, the last channel, is drawn red."""
    kernel = np.zeros((3, 3, 3, 1), np.float32)
    kernel[:, :, 2] = 1

    def apply(params, images):
        return {"conv1": images @ params["conv1"]["kernel"][0, 0]}

    network = jaxviz.Network(
        apply, {"conv1": {"kernel": kernel}}, roles={"first_layer": "conv1"},
        preprocessing=Preprocessing(8, 8, 255, (0.0,) * 3, (1.0,) * 3, "BGR"),
    )  # fmt: skip
    red, green, blue = analyses.filters(network, "conv1", top=1).weights[0, 0, 0]
    assert red > green == blue


def test_a_tour_without_classes_shows_the_rest(satellite, command):
    """No shipped network can name pictures of four channels; the page says so."""
    told = "    return Net(nnx.Rngs(0))"
    layers = "    net = jaxviz.from_nnx(Net(nnx.Rngs(0)), image_shape=(32, 32, 4), roles={})\n"
    wrapped = (
        "    apply = lambda p, x: {'conv1': net.apply(p, x)['conv1'], 'conv2': net.apply(p, x)"
        "['conv2']}\n"
        "    return jaxviz.Network(apply, net.params, roles={'first_layer': 'conv1', "
        "'deep_layers': ('conv1', 'conv2'), 'feature_layer': 'conv2'})"
    )
    text = NETWORK.replace("import jax", "import jax, jaxviz", 1).replace(told, layers + wrapped)
    (satellite / "net.py").write_text(text)
    code, _, err = command("tour", "scenes", "--network", "net.py:make", "--output", "tour")
    assert (code, err) == (0, "")
    page = (satellite / "tour" / "index.html").read_text()
    assert "it has no classes, and EfficientNet-Lite0 reads RGB" in page
    assert "channels (BGRN), each drawn in gray" in page
    assert "finds most probable" not in page
    assert page.count('class="card"') == 4
