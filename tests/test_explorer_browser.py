"""The explorer in a real browser: it draws the arrays it gets, and every view has an address.

Needs Chromium, as Debian has it; without it these tests skip.
"""

from pathlib import Path

import numpy as np
import pytest
from browsing import EXAMPLES, PICTURES, barriers, wait_for_wall, watched
from PIL import Image

import jaxviz
from jaxviz.explore.wire import unpacked

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]


def first_tile(page):
    """The pixels at the middles of the units of the wall's first tile, (rows * cols, 3)."""
    return np.array(
        page.evaluate("""async () => {
      const canvas = document.querySelector("canvas.wall");
      const tile = Number(canvas.dataset.tile) * canvas.width / parseFloat(canvas.style.width);
      const found = [];
      for (let row = 0; row < 13; row++) for (let col = 0; col < 13; col++) {
        const at = [(col + 0.5) * tile / 13, (row + 0.5) * tile / 13];
        found.push([...canvas.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3));
      }
      return found;
    }""")
    )


def test_the_wall_draws_the_maps(open_page, address):
    page = open_page("view=wall&layer=conv5")
    wait_for_wall(page, "conv5")
    channel = int(page.get_attribute("canvas.wall", "data-order").split()[0])
    picture = page.get_attribute("canvas.wall", "data-picture")
    data = page.request.get(f"{address}views/maps?picture={picture}&layer=conv5").body()
    answer = unpacked(data[4:])
    peaks = answer.arrays["low"] + 255 * answer.arrays["step"]
    assert channel == int(peaks.argmax())
    network = jaxviz.load("alexnet")
    maps = jaxviz.activation_maps(
        network.apply, network.params, network.preprocess(PICTURES[:1]), layers="conv5"
    )["conv5"][0]
    assert channel == int(maps.max(axis=(0, 1)).argmax())
    drawn = first_tile(page).sum(axis=1)
    expected = np.asarray(maps[..., channel]).ravel()
    # The colors get lighter with the activation.
    order = np.argsort(expected, kind="stable")
    assert (np.diff(drawn[order][expected[order] > 0]) >= -6).all()
    assert drawn.argmax() == expected.argmax()


def test_a_channel_has_an_address_and_back_works(open_page):
    page = open_page("view=wall&layer=conv5")
    wait_for_wall(page, "conv5")
    page.click("canvas.wall", position={"x": 20, "y": 20})
    page.wait_for_selector("text=Where it fires in this picture")
    channel = page.get_attribute("canvas.large", "data-channel")
    assert f"channel={channel}" in page.url
    page.wait_for_function(
        "channel => document.querySelector('.rows').dataset.channel === channel", arg=channel
    )
    assert page.locator(".rows figure").count() == 2
    page.reload()
    page.wait_for_selector(f"text=conv5, channel {channel}")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"text=conv5, channel {(int(channel) + 1) % 256}")
    page.go_back()
    page.wait_for_selector(f"text=conv5, channel {channel}")
    page.go_back()
    wait_for_wall(page, "conv5")


def test_keys_change_the_layer_and_the_picture(open_page):
    page = open_page("layer=conv5")
    wait_for_wall(page, "conv5")
    page.keyboard.press("[")
    wait_for_wall(page, "conv4")
    before = page.get_attribute("canvas.wall", "data-picture")
    page.keyboard.press("n")
    page.wait_for_function(
        "before => document.querySelector('canvas.wall').dataset.picture !== before", arg=before
    )
    page.focus("canvas.wall")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Where it fires in this picture")


def test_what_mattered_gets_finer_and_a_box_is_hidden_by_hand(open_page):
    page = open_page("view=hidden&layer=conv5&target=conv5:124&window=56&stride=28")
    page.wait_for_selector("canvas.large[data-finest=true]")
    assert page.get_attribute("canvas.large", "data-stride") == "28"
    assert "conv5:124" in page.inner_text("#panel h2")
    page.wait_for_selector("text=% of whole passes")
    page.focus("canvas.large")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("[data-after]")
    by_key = page.inner_text("[data-after]")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "said => document.querySelector('[data-after]').innerText !== said", arg=by_key
    )
    page.focus("#upload")
    page.wait_for_function("() => document.querySelector('[data-after]').innerText === ''")
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + 80, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200, steps=4)
    page.mouse.up()
    page.wait_for_selector("[data-after]")
    assert "with the box hidden" in page.inner_text("[data-after]")


def test_a_picture_is_opened_and_a_broken_one_is_a_message(open_page, tmp_path):
    page = open_page()
    before = page.get_attribute("#stage", "data-picture")
    page.set_input_files("#file", EXAMPLES / "food" / "coffee.png")
    page.wait_for_function(
        "before => document.querySelector('#stage').dataset.picture !== before", arg=before
    )
    assert page.locator("#shelf button").count() == 3


def test_the_wall_is_alive_with_the_camera(open_page):
    page = open_page("layer=conv5", permissions=["camera"])
    page.click("#camera")
    page.wait_for_function("() => document.querySelector('#video').dataset.rate > 0")
    assert page.get_attribute("canvas.wall", "data-picture") == "camera"
    page.click("#camera")
    page.wait_for_function(
        "() => document.querySelector('canvas.wall').dataset.picture !== 'camera'"
    )


def test_filters_are_those_of_the_network(open_page):
    page = open_page("view=filters&layer=conv1")
    page.wait_for_selector(".rows[data-layer=conv1]")
    assert page.locator(".rows figure").count() == 64
    pixels = page.evaluate("""() => {
      const canvas = document.querySelector(".rows canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return [...data].filter((_, i) => i % 4 < 3);
    }""")
    network = jaxviz.load("alexnet")
    expected = np.rint(255 * np.asarray(jaxviz.filter_tiles(network.kernel("conv1"))[0]))
    np.testing.assert_allclose(pixels, expected.ravel(), atol=1)
    page.click("text=conv2")
    page.wait_for_selector(".rows[data-layer=conv2]")
    sizes = page.evaluate(
        "() => [...document.querySelectorAll('.rows canvas')].map((c) => c.width)"
    )
    assert set(sizes) == {8 * 6 - 1}  # 64 slices of 5 x 5, with a line between


def test_neighbors_lead_from_picture_to_picture(open_page):
    page = open_page("view=neighbors&layer=pool5")
    page.wait_for_selector(".rows[data-layer=pool5]")
    before = page.get_attribute("#stage", "data-picture")
    page.click(".rows button.tile >> nth=0")
    page.wait_for_function(
        "before => document.querySelector('#stage').dataset.picture !== before", arg=before
    )


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ("view=wall&layer=conv5", "maps"),
        ("view=filters&layer=conv1", "tiles"),
        ("view=hidden&layer=conv5&target=conv5:124&window=112&stride=112&fill=blur", "heatmap"),
        ("view=hidden&layer=conv5&window=112&stride=112&score=logit", "heatmap"),
        ("view=channel&layer=conv5&channel=3", "one"),
        ("view=channel&layer=conv5&channel=3&open=gradients&method=deconvolution", "answers"),
        ("view=channel&layer=conv5&channel=3&open=gradients&origin=unit&row=2&col=4", "answers"),
        ("view=channel&layer=conv5&channel=3&open=spread.color.toString&method=nonsense", "gray"),
        ("view=hidden&layer=conv5&target=0285&window=112&stride=112", "heatmap"),
    ],
)
def test_the_lines_of_a_view_run_and_give_its_numbers(open_page, address, state, name):
    page = open_page(state)
    page.click("text=As code")
    text = page.inner_text("#keep pre")
    assert "picture.jpg" in text or name == "tiles"
    found = {}
    for name_in_code, picture in zip(("picture.jpg", "other.jpg"), PICTURES, strict=False):
        text = text.replace(name_in_code, str(picture))
    exec(text, found)
    if name == "maps":
        wait_for_wall(page, "conv5")
        picture = page.get_attribute("canvas.wall", "data-picture")
        data = page.request.get(f"{address}views/maps?picture={picture}&layer=conv5").body()
        answer = unpacked(data[4:]).arrays
        values = answer["low"] + answer["step"] * np.moveaxis(answer["bytes"], 0, 2)
        np.testing.assert_allclose(found["maps"][0], values, atol=float(answer["step"].max()))
    elif name == "heatmap":
        page.wait_for_selector("canvas.large[data-finest=true]")
        most = float(page.get_attribute("canvas.large", "data-most"))
        assert np.abs(found["heatmap"]).max() == pytest.approx(most, rel=1e-3)
    elif name == "answers":
        with page.expect_download() as download:
            page.click("text=Save its arrays as npz")
        values = np.load(download.value.path())["color"]
        np.testing.assert_allclose(found["answers"], values, atol=1e-5 * np.abs(values).max())
    elif name == "gray":
        assert found["gray"].values.shape == (2, 256)
    else:
        assert found[name].shape == {"tiles": (64, 11, 11, 3), "one": (13, 13)}[name]


def test_odd_addresses_show_what_is_usual(open_page):
    page = open_page("view=toString&layer=conv5")
    wait_for_wall(page, "conv5")
    page = open_page("view=channel&layer=conv5&channel=3.7")
    page.wait_for_selector("h2:has-text('conv5, channel 0')")
    page = open_page("view=map&layer=conv5&method=deconvolution")  # a method of gradients
    page.wait_for_selector("canvas.map[data-layer=conv5]")


def test_what_is_refused_leaves_no_map_that_looks_like_its_answer(browser, address):
    wrong = []
    page = watched(browser, address, [], wrong, width=1280, height=900)
    page.goto(f"{address}#view=hidden&layer=conv5&target=conv5:124&window=112&stride=112")
    page.wait_for_selector("canvas.large[data-finest=true]")
    page.fill("input[type=number] >> nth=1", "200")
    page.keyboard.press("Tab")
    page.wait_for_selector("canvas.large.stale")
    assert "stride: expected 1 to 112" in page.inner_text("#note")
    page.context.close()
    assert len(wrong) == 1
    assert "status of 400" in wrong[0]


def test_any_class_may_be_asked_about(open_page):
    page = open_page("view=hidden&layer=conv5&window=112&stride=112")
    page.fill("input[placeholder='the best class']", "tabby")
    page.keyboard.press("Tab")
    page.wait_for_selector("h2:has-text('What mattered for tabby')")


def test_a_view_is_saved_as_a_picture(open_page, tmp_path):
    page = open_page("view=wall&layer=conv3")
    wait_for_wall(page, "conv3")
    with page.expect_download() as download:
        page.click("text=Save as PNG")
    assert download.value.suggested_filename == "alexnet-conv3-wall.png"
    download.value.save_as(tmp_path / "wall.png")
    with Image.open(tmp_path / "wall.png") as image:
        assert min(image.size) > 300


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_nothing_is_wider_than_the_window(open_page, width):
    page = open_page("layer=conv5", width=width)
    wait_for_wall(page, "conv5")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_dark_and_light(open_page):
    for scheme, least, most in (("light", 250, 255), ("dark", 0, 60)):
        page = open_page(color_scheme=scheme)
        color = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        values = [int(one) for one in color[4:-1].split(",")]
        assert least <= min(values) <= max(values) <= most


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("state", "there"),
    [
        ("layer=conv5", "canvas.wall[data-layer=conv5]"),
        ("layer=conv5&view=channel&channel=124", ".rows[data-channel='124'] canvas"),
        ("view=hidden&target=conv5:124&window=112&stride=56", "canvas.large[data-finest=true]"),
        ("view=neighbors&layer=pool5", ".rows[data-layer=pool5]"),
        ("view=map&layer=pool5", "canvas.map[data-layer=pool5]"),
        ("view=filters&layer=conv1", ".rows[data-layer=conv1]"),
    ],
)
def test_nothing_keeps_people_out(open_page, state, there, scheme):
    page = open_page(state, color_scheme=scheme)
    page.wait_for_selector(there)
    assert barriers(page) == []


def test_the_map_leads_from_picture_to_picture(open_page, address):
    page = open_page("view=map&layer=pool5")
    page.wait_for_selector("canvas.map[data-layer=pool5]")
    before = page.get_attribute("#stage", "data-picture")
    page.focus("canvas.map")
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    box = page.locator("canvas.map").bounding_box()
    for x in (0.04, 0.96):  # two pictures lie at the two ends of the first component
        page.mouse.click(box["x"] + x * box["width"], box["y"] + box["height"] / 2)
        page.wait_for_timeout(300)
    page.go_back()
    page.wait_for_function(
        "before => document.querySelector('#stage').dataset.picture === before", arg=before
    )


def test_the_arrays_of_a_view_are_saved(open_page, tmp_path):
    page = open_page("layer=conv5")
    wait_for_wall(page, "conv5")
    with page.expect_download() as started:
        page.click("text=Save its arrays as npz")
    started.value.save_as(tmp_path / "maps.npz")
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as file:
        assert file["maps"].shape == (256, 13, 13)


def test_the_address_turns_the_camera_on(open_page):
    page = open_page("layer=conv1&camera=on", permissions=["camera"])
    page.wait_for_function("() => document.querySelector('#video').dataset.rate > 0")
    page.keyboard.press(" ")
    page.wait_for_selector("text=the camera is paused")
    page.keyboard.press(" ")
    page.click("#camera")
    page.wait_for_function("() => !location.hash.includes('camera')")
