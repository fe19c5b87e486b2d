"""The page of a channel in a real browser: it draws the arrays, and all it shows has an address."""

import numpy as np
import pytest
from browsing import PICTURES, explorer, wait_for_wall

from jaxviz.explore.wire import unpacked

pytestmark = pytest.mark.once

CHANNEL = "view=channel&layer=conv2&channel=8"
GRADIENTS = "[data-part=gradients] .large-figure"


def pixels(page, selector, side=10**6):
    """What a canvas shows, or its corner of so many pixels, (height, width, 3)."""
    shape, data = page.evaluate(
        """([selector, side]) => {
          const canvas = document.querySelector(selector);
          const [width, height] = [Math.min(canvas.width, side), Math.min(canvas.height, side)];
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          return [[height, width, 4], [...data]];
        }""",
        [selector, side],
    )
    return np.array(data, np.uint8).reshape(shape)[..., :3]


def answer(page, address, name, **parameters):
    """The last part of what a view answers to the page's picture."""
    parameters["picture"] = page.get_attribute("#stage", "data-picture")
    data = page.request.get(f"{address}views/{name}", params=parameters).body()
    while data:
        length = int.from_bytes(data[:4], "little")
        found, data = unpacked(data[4 : 4 + length]), data[4 + length :]
    return found


def scaled(values, middle, reach):
    """Values as bytes; of those that are not 0, one in 200 is beyond what can be drawn."""
    ordered = np.sort(np.abs(values[values != 0]))
    scale = reach / ordered[int(0.995 * (ordered.size - 1))]
    found = np.rint(np.clip(middle + values * scale, 0, 255))
    return found if found.ndim == 3 else np.repeat(found[..., None], 3, axis=2)


def wait_for_gradients(page, **shown):
    page.wait_for_selector(GRADIENTS + "".join(f"[data-{k}='{v}']" for k, v in shown.items()))


def test_gradients_are_drawn_as_they_are_in_every_form(open_page, address):
    page = open_page(f"{CHANNEL}&open=gradients&method=gradient")
    wait_for_gradients(page, form="color")
    arrays = answer(page, address, "gradients", layer="conv2", channel=8, method="gradient").arrays
    for key, form in enumerate(("color", "gray", "norm", "blurred"), start=1):
        page.keyboard.press(str(key))
        wait_for_gradients(page, form=form)
        has_sign = form in ("color", "gray")
        expected = scaled(arrays[form], *((128, 127) if has_sign else (0, 255)))
        np.testing.assert_allclose(pixels(page, f"{GRADIENTS} canvas"), expected, atol=1)
    assert "form=blurred" in page.url


def test_gradients_follow_the_channel_and_the_method_until_they_are_frozen(open_page):
    page = open_page(CHANNEL)
    page.keyboard.press("g")  # opens the part too
    wait_for_gradients(page, channel=8, method="deconvolution")
    page.keyboard.press("ArrowRight")
    wait_for_gradients(page, channel=9, method="deconvolution")
    page.keyboard.press("z")
    page.wait_for_selector("text=Frozen at channel 9 of conv2")
    page.keyboard.press("]")
    page.wait_for_selector("text=pool2, channel 0")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=pool2, channel 1")
    assert page.locator(f"{GRADIENTS}[data-layer=conv2][data-channel='9']").count() == 1
    page.reload()
    page.wait_for_selector("text=Frozen at channel 9 of conv2")
    page.keyboard.press("n")
    page.wait_for_selector("text=Frozen at channel 9 of conv2")
    page.click("text=Let go")
    wait_for_gradients(page, layer="pool2", channel=1)
    assert "frozen" not in page.url


def test_a_unit_that_is_clicked_is_the_origin(open_page, address):
    page = open_page("view=wall&layer=conv2")
    wait_for_wall(page, "conv2")
    channel = page.get_attribute("canvas.wall", "data-order").split()[0]
    maps = answer(page, address, "maps", layer="conv2").arrays["bytes"][int(channel)]
    row, col = (int(one) for one in np.unravel_index(maps.argmax(), maps.shape))
    unit = int(page.get_attribute("canvas.wall", "data-tile")) / len(maps)
    page.click("canvas.wall", position={"x": (col + 0.5) * unit, "y": (row + 0.5) * unit})
    page.wait_for_selector("text=Where it fires in this picture")
    page.keyboard.press("u")
    page.wait_for_selector(f"text=Of the unit at row {row}, column {col} of channel {channel}")
    values = answer(
        page, address, "gradients", layer="conv2", channel=channel, origin="unit", row=row, col=col
    ).arrays["color"]
    drawn = pixels(page, f"{GRADIENTS} canvas")
    np.testing.assert_allclose(drawn, scaled(values, 128, 127), atol=1)
    page.keyboard.press("z")
    page.wait_for_selector(f"text=Frozen at the unit at row {row}, column {col}")
    assert f"frozen=conv2%3A{channel}%40{row}%2C{col}" in page.url


def test_a_unit_that_does_not_fire_is_said_to(open_page, address):
    page = open_page("view=channel&layer=conv2&channel=7&open=gradients&origin=unit")
    wait_for_gradients(page, channel=7)
    maps = answer(page, address, "maps", layer="conv2").arrays["bytes"][7]
    row, col = np.argwhere(maps == 0)[0].tolist()
    box = page.locator("canvas.large").first.bounding_box()
    unit = box["width"] / len(maps)
    place = {"x": (col + 0.5) * unit, "y": (row + 0.5) * unit}
    page.locator("canvas.large").first.click(position=place)
    page.wait_for_selector(f"text=row {row}, column {col} of channel 7")
    assert "this unit does not fire here" in page.inner_text("[data-part=gradients]")


def test_an_image_grows_and_is_ended_by_leaving(open_page):
    page = open_page(f"{CHANNEL}&open=made")
    page.wait_for_selector("[data-part=made] [data-done]")  # of 16 steps, or more by now
    assert page.evaluate("() => document.querySelector('progress').value") >= 16
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=The first steps take some seconds")
    assert page.locator("[data-part=made] canvas").count() == 0
    page.wait_for_selector("[data-part=made] canvas[aria-label='An image made for channel 9']")
    page.click("text=Stop")
    assert page.locator("[data-part=made] canvas").count() == 0
    page.wait_for_timeout(300)
    assert "Stopped" in page.inner_text("[data-part=made]")


def test_the_wall_shows_the_images_that_were_made(open_page, address):
    page = open_page("view=channel&layer=conv1&channel=5&open=made")
    page.wait_for_selector("[data-part=made] [data-finished=true]")
    page.goto(f"{address}#view=wall&layer=conv1&show=made")
    page.wait_for_selector("canvas.wall[data-show=made]")
    place = page.get_attribute("canvas.wall", "data-order").split().index("5")
    side, gap = int(page.get_attribute("canvas.wall", "data-tile")), 4
    across = (page.evaluate("() => document.querySelector('canvas.wall').width") + gap) // (
        side + gap
    )
    top, left = (one * (side + gap) for one in divmod(place, across))
    drawn = pixels(page, "canvas.wall")[top : top + side, left : left + side].astype(float)
    (tile,) = answer(page, address, "images", layer="conv1").arrays["pixels"].astype(float)
    assert np.abs(drawn.mean(axis=(0, 1)) - tile.mean(axis=(0, 1))).max() < 3
    page.hover("canvas.wall", position={"x": left + side / 2, "y": top + side / 2})
    page.wait_for_selector("text=channel 5; this image was made for it")


def test_what_excites_less_and_color_are_said_in_numbers(open_page, address):
    page = open_page(f"{CHANNEL}&open=spread.color")
    page.wait_for_selector("[data-part=spread] .tenths[data-channel='8']")
    told = answer(page, address, "spread", layer="conv2", channel=8)
    rows = page.locator(".tenths > li")
    counts = rows.evaluate_all("rows => rows.map((one) => Number(one.dataset.count))")
    assert counts == told.arrays["counts"].tolist()[::-1]
    assert page.locator(".tenths figure").count() == len(told.header["units"])
    first = page.locator(".tenths figure canvas").first
    size = [first.evaluate("one => one.height"), first.evaluate("one => one.width")]
    assert size == list(told.arrays["pixels"].shape[1:3])
    page.wait_for_selector("[data-part=color] .rows[data-channel='8']")
    ratio = answer(page, address, "color", layer="conv2", channel=8).header["ratio"]
    said = page.inner_text("[data-part=color]")
    assert f"its maxima are together {100 * ratio:.0f} % of those in color" in said


def test_a_network_without_classes_shows_none(open_page):
    page = open_page(f"{CHANNEL}&open=effects")
    page.wait_for_selector("[data-part=gradients]")
    assert page.locator("[data-part=effects]").count() == 0


def test_classes_are_those_that_the_channel_raises_and_lowers(browser):
    with explorer(PICTURES[0], "--network", "squeezenet") as own:
        page = browser.new_page()
        page.goto(f"{own}#view=channel&layer=fire9/concat&channel=77&open=effects")
        page.wait_for_selector(".bars[data-channel='77']", timeout=120_000)
        told = answer(page, own, "effects", layer="fire9/concat", channel=77).header
        rows = page.locator("[data-part=effects] li").evaluate_all(
            "rows => rows.map((row) => [Number(row.dataset.index), row.textContent])"
        )
        page.close()
    expected = [*told["raised"], *told["lowered"]]
    assert [index for index, _ in rows] == [one["index"] for one in expected]
    for (_, text), one in zip(rows, expected, strict=True):
        assert text.startswith(one["name"])
        value = float(text.removeprefix(one["name"]))
        assert value == pytest.approx(one["value"], rel=0.01)


def test_the_wall_shows_the_best_patches_in_the_same_order(open_page, address):
    page = open_page("view=wall&layer=conv5")
    wait_for_wall(page, "conv5")
    order = page.get_attribute("canvas.wall", "data-order")
    page.select_option("select:has(option[value=patches])", "patches")
    page.wait_for_selector("canvas.wall[data-show=patches]")
    assert page.get_attribute("canvas.wall", "data-order") == order
    assert "show=patches" in page.url
    channel = int(order.split()[0])
    tile = answer(page, address, "tiles", layer="conv5").arrays["pixels"][channel].astype(float)
    side = int(page.get_attribute("canvas.wall", "data-tile"))
    drawn = pixels(page, "canvas.wall", side).astype(float)
    assert np.abs(drawn.mean(axis=(0, 1)) - tile.mean(axis=(0, 1))).max() < 3
    middle = (slice(side // 4, 3 * side // 4),) * 2, (slice(16, 48),) * 2
    assert np.abs(drawn[middle[0]].mean(axis=(0, 1)) - tile[middle[1]].mean(axis=(0, 1))).max() < 4
    page.focus("canvas.wall")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"text=conv5, channel {channel}")


def test_keys_are_listed(open_page):
    page = open_page(CHANNEL)
    page.keyboard.press("?")
    assert "freeze the origin" in page.inner_text("dialog[open]")
    page.keyboard.press("ArrowRight")  # not behind the list
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert "channel=8" in page.url


@pytest.mark.parametrize("width", [360, 1400])
def test_no_part_is_wider_than_the_window(open_page, width):
    page = open_page(f"{CHANNEL}&open=gradients.spread.color&frozen=conv2:3", width=width)
    page.wait_for_selector("[data-part=spread] .tenths[data-channel]")
    wait_for_gradients(page, channel=3)
    page.wait_for_selector("[data-part=color] .rows[data-channel='8']")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
