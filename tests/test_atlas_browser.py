"""The atlas in a real browser, from the disk: every page is there, and every image is whole.

Needs Chromium, as Debian has it; without it these tests skip.
"""

import shutil

import numpy as np
import pytest
from browsing import barriers, watched
from test_atlas import data, entry

import jaxviz
from jaxviz import example_folder, sweep
from jaxviz.atlas import AtlasNetwork, write_atlas

pytestmark = pytest.mark.once

# Show every channel of a layer in turn; return what was wrong.
EVERY_CHANNEL = """async ([network, layer, channels]) => {
  const wrong = [];
  const seen = new Set();
  for (let channel = 0; channel < channels; channel++) {
    location.hash = new URLSearchParams({ network, layer, channel });
    const page = document.getElementById("page");
    while (page.dataset.address !== location.hash) await new Promise((done) => setTimeout(done));
    const images = [...page.querySelectorAll("img")];
    await Promise.all(images.map((image) => image.complete || new Promise((done) => {
      image.onload = image.onerror = done;
    })));
    for (const image of images.filter(({ src }) => !seen.has(src))) { // a sheet has many places
      seen.add(image.src);
      await image.decode().catch(() => wrong.push(image.src));
    }
    const said = document.getElementById("note").textContent;
    if (said || images.length < 2) wrong.push(`${layer} ${channel}: ${said || "no images"}`);
    const whole = images.every((image) => image.alt && image.naturalWidth);
    if (!whole) wrong.push(`${layer} ${channel}: an image without its alt text or its pixels`);
    if (!page.querySelector("h2").textContent.startsWith(`${layer}, channel ${channel}`)) {
      wrong.push(`${layer} ${channel}: ${page.querySelector("h2").textContent}`);
    }
  }
  return wrong;
}"""


def atlas_of(name, folders, layers=None):
    network = jaxviz.load(name)
    pictures = sweep.open_pictures(folders, network.preprocessing)
    labels = [path.parent.name for path in pictures.paths]
    return AtlasNetwork(network, layers or list(network.layers()), pictures, labels)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A tiny network, and AlexNet's first layers on nine pictures of three kinds."""
    folder = tmp_path_factory.mktemp("atlas")
    for kind in ("cat", "dog", "fish"):
        shutil.copytree(example_folder() / kind, folder / "pictures" / kind)
    parts = [atlas_of("alexnet", folder / "pictures", ["conv1", "conv2"]), entry()]
    write_atlas(folder / "site", parts)
    return folder / "site"


@pytest.fixture
def open_site(browser):
    """`open_site(folder, "network=...", width=1280)`: a page; its mistakes fail the test."""
    contexts, wrong = [], []

    def opened(folder, state="", *, width=1280, height=900, **options):
        page = watched(
            browser, folder.as_uri(), contexts, wrong, width=width, height=height, **options
        )  # fmt: skip
        page.goto(f"{(folder / 'index.html').as_uri()}#{state}")
        settled(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def settled(page):
    page.wait_for_function(
        "() => document.getElementById('page').dataset.address === location.hash"
    )


@pytest.fixture
def page(open_site, site):
    return open_site(site)


def check_every_channel(page, folder):
    checked = 0
    for network in data(folder, "index")["networks"]:
        for layer in network["layers"]:
            channels = layer["shape"][-1]
            asked = [network["name"], layer["name"], channels]
            assert page.evaluate(EVERY_CHANNEL, asked) == []
            checked += channels
    return checked


def test_no_channel_has_a_broken_image(open_site, site):
    assert check_every_channel(open_site(site), site) == 64 + 192 + 7 + 11


@pytest.mark.slow
def test_no_channel_of_the_shipped_networks_has_a_broken_image(open_site, tmp_path):
    folder = tmp_path / "site"
    parts = [atlas_of(name, example_folder()) for name in ("alexnet", "squeezenet")]
    write_atlas(folder, parts)
    assert check_every_channel(open_site(folder), folder) == 1664 + 7952
    of_alexnet = sum(path.stat().st_size for path in (folder / "data" / "alexnet").rglob("*.*"))
    assert of_alexnet < 40e6  # 24 MB with the example photographs


def test_the_page_shows_the_numbers(open_site, site):
    page = open_site(site, "network=alexnet&layer=conv2&channel=7")
    network = jaxviz.load("alexnet")
    part = atlas_of("alexnet", site.parent / "pictures")
    images = network.preprocess(part.pictures.paths)
    best = jaxviz.top_patches(network.apply, network.params, [images], layers="conv2", k=9)
    values = [float(text) for text in page.locator("figcaption strong").all_inner_texts()]
    np.testing.assert_allclose(values, best["conv2"].values[7], rtol=1e-2)
    first = part.pictures.paths[int(best["conv2"].images[7, 0])]
    assert page.inner_text("figcaption a >> nth=0") == first.name
    counts = [int(text.split()[0]) for text in page.locator("td:nth-child(2)").all_inner_texts()]
    assert sum(counts) == 9


def test_a_channel_has_an_address_and_back_works(open_site, site):
    page = open_site(site, height=400)
    page.click("text=conv1 >> nth=0")
    page.wait_for_selector("text=conv1: 64 channels")
    page.mouse.wheel(0, 300)
    page.wait_for_function("() => history.state?.top === scrollY && scrollY > 0")
    down = page.evaluate("() => scrollY")
    page.click(".wall a >> nth=40")
    page.wait_for_selector("text=conv1, channel 40")
    assert page.url.endswith("#network=alexnet&layer=conv1&channel=40")
    assert page.title() == "conv1, channel 40, AlexNet"
    page.reload()
    page.wait_for_selector("text=conv1, channel 40")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=conv1, channel 41")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("text=conv1, channel 40")
    for expected in ("conv1, channel 41", "conv1, channel 40", "conv1: 64 channels"):
        page.go_back()
        page.wait_for_selector(f"text={expected}")
    settled(page)
    assert page.evaluate("() => scrollY") == pytest.approx(down, abs=2)


def test_search_leads_from_labels_pictures_and_classes_to_channels(page):
    def search(text):
        page.fill("#query", text)
        page.keyboard.press("Enter")

    search("dog")
    page.wait_for_selector("text=Channels that fire most on “dog”")
    shown = page.locator(".results figcaption").all_inner_texts()
    above = [float(text.split(", ")[1].replace("−", "-")) for text in shown]
    assert above == sorted(above, reverse=True)
    assert above[0] > 0.5
    page.click(".results a >> nth=0")
    page.wait_for_selector("text=Which labels it answers to")
    assert page.inner_text("tbody tr:first-child th") == "dog"
    page.go_back()
    page.click("text=Classes and pictures with “dog” in their names")
    page.wait_for_selector("text=dog/spaniels.jpg")
    search("CHELSEA")
    page.click("#page .chips a >> nth=0")
    page.wait_for_selector("text=Channels that cat/chelsea.png excites")
    assert page.locator(".results figure").count() > 5
    search("also 3")
    page.click("text=class 3, also 3")
    page.wait_for_selector("text=dense, channel 3: class 3")
    search("conv2:5")
    page.wait_for_selector("text=conv2, channel 5")
    search("no such thing")
    page.wait_for_selector("text=Nothing has this in its name")


def test_pictures_are_listed(open_site, site):
    page = open_site(site, "network=alexnet&view=pictures")
    assert page.locator(".wall a").count() == 9
    page.click(".wall a >> nth=2")
    page.wait_for_selector("text=among their top patches")
    page.select_option("select", "conv2")
    page.wait_for_selector("text=conv2, channel")
    assert "conv1, channel" not in page.inner_text("#page")


def test_what_is_not_there_is_said(open_site, site):
    for state, said in (
        ("network=resnet", "no network resnet"),
        ("network=alexnet&layer=fc6", "AlexNet has no layer fc6"),
        ("network=alexnet&layer=conv1&channel=64", "channels 0 to 63, not 64"),
        ("network=alexnet&label=<b>", "no label <b>"),
    ):
        page = open_site(site, state)
        assert said in page.inner_text("#note")
        page.click("text=to the start")
        page.wait_for_selector("text=Choose a layer")


def test_missing_data_are_named(browser, site, tmp_path):
    shutil.copytree(site, tmp_path / "site")
    shutil.rmtree(tmp_path / "site" / "data" / "alexnet")
    page = browser.new_page()
    address = (tmp_path / "site" / "index.html").as_uri()
    page.goto(f"{address}#network=alexnet&layer=conv1")
    page.wait_for_selector("text=is missing: copy the whole folder")
    page.close()


@pytest.mark.parametrize(
    "state",
    [
        "", "network=tiny&layer=dense", "network=alexnet&layer=conv2&channel=3",
        "network=alexnet&label=dog", "search=o",
    ],
)  # fmt: skip
def test_a_phone_needs_no_scrolling_sideways(open_site, site, state):
    page = open_site(site, state, width=380)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 380


def test_dark_and_light(open_site, site):
    for scheme, least, most in (("light", 250, 255), ("dark", 0, 60)):
        page = open_site(site, color_scheme=scheme)
        color = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        values = [int(one) for one in color[4:-1].split(",")]
        assert least <= min(values) <= max(values) <= most


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "state",
    ["", "network=alexnet&layer=conv1", "network=alexnet&layer=conv2&channel=7"],
)
def test_nothing_keeps_people_out(open_site, site, state, scheme):
    assert barriers(open_site(site, state, color_scheme=scheme)) == []
