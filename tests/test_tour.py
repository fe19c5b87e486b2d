"""The tour: one page that needs nothing else, in the lecture's order, made by known weights."""

import base64
import html.parser
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors.numpy import load_file

import jaxviz
from jaxviz.cli import main
from jaxviz.networks.catalog import shipped_file
from jaxviz.networks.weights_files import save_weights
from jaxviz.report import tour

pytestmark = pytest.mark.once

SECTIONS = ["first", "middle", "neighbors", "activations", "patches", "occlusion"]
SCRIPT = "<img src=x onerror=alert(1)>.jpg"
NOT_UTF8 = os.fsdecode(b"caf\xe9.png")


class Page(html.parser.HTMLParser):
    """All tags with their attributes, the ids in order, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["jaxviz", "tour", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Occlude at a coarse stride and compare with a few of the example photographs."""
    few = tour.example_pictures()[:12]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tour, "_STRIDE", 32)
        patch.setattr(tour, "example_pictures", lambda: few)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, photographs, quick):
    """A tour of two photographs with odd names, and of a broken one."""
    root = tmp_path_factory.mktemp("tour")
    with Image.open(photographs / "cat" / "chelsea.png") as image:
        image.save(root / SCRIPT)
    shutil.copy(photographs / "food" / "coffee.png", root / NOT_UTF8)
    (root / "broken<i>.png").write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        places = [root / SCRIPT, root / NOT_UTF8, root / "broken<i>.png"]
        run(patch, *places, "--top", 2, "--output", root / "out")
    return root / "out"


@pytest.fixture(scope="module")
def page(made):
    return Page((made / "index.html").read_text("utf-8"))


def test_the_page_needs_nothing_but_itself(page):
    anchors = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    addresses = [
        attributes[name]
        for _, attributes in page.tags
        for name in ("src", "href", "srcset", "data", "action", "poster")
        if name in attributes
    ]
    assert len(addresses) > 10
    for address in addresses:
        assert address.startswith("data:image/") or address.removeprefix("#") in anchors
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    style = " ".join(str(attributes.get("style", "")) for _, attributes in page.tags)
    assert "url(" not in style + page.text
    assert "@import" not in page.text


def test_every_picture_is_whole_and_has_words_for_those_who_cannot_see_it(page):
    pictures = page.all("img")
    assert len(pictures) >= 2 + len(SECTIONS)
    for attributes in pictures:
        assert attributes["alt"].strip()
        kind, data = attributes["src"].split(";base64,")
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
            image.load()
            assert kind == f"data:image/{image.format.lower()}"


def test_the_six_sections_stand_in_the_lectures_order(page):
    ids = [attributes["id"] for attributes in page.all("section")]
    assert [name for name in ids if name != "pictures"] == SECTIONS
    links = [attributes["href"] for attributes in page.all("a")]
    assert links == [f"#{name}" for name in SECTIONS]


def test_file_names_cannot_smuggle_html_into_the_page(page, made):
    assert SCRIPT.removesuffix(".jpg") in page.text
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
    text = (made / "index.html").read_text("utf-8")
    assert "<img src=x" not in text
    assert "<i>" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_the_manifest_records_weights_pictures_and_options(made):
    record = json.loads((made / "jaxviz.json").read_text("utf-8"))
    for role, network in (("network", "alexnet"), ("classifier", "efficientnet_lite0")):
        assert record[role]["network"] == network
        assert record[role]["sha256"] == shipped_file(network)[1]
        assert record[role]["preprocessing"]["resize"] == 256
        assert record[role]["options"]["top"] == 2
        assert record[role]["options"]["stride"] == 32
    assert [Path(path).name for path in record["pictures"]] == [SCRIPT, NOT_UTF8]
    assert len(record["compared_with"]) == 12
    (skipped,) = record["skipped"]
    assert skipped["path"].endswith("broken<i>.png")
    assert "empty" in skipped["reason"]


def test_the_page_names_weights_pictures_and_what_was_skipped(page):
    for network in ("alexnet", "efficientnet_lite0"):
        assert shipped_file(network)[1] in page.text
    assert "tiger cat" in page.text
    assert "espresso" in page.text
    assert "broken<i>.png" in page.text


@pytest.mark.slow
def test_a_second_tour_with_weights_of_ones_own_replaces_the_first(made, monkeypatch, photographs):
    tensors = load_file(shipped_file("squeezenet")[0])
    own = save_weights(made.parent / "own.safetensors", tensors, {})
    before = (made / "index.html").read_bytes()
    arguments = ("--network", "squeezenet", "--weights", own, "--output", made)
    run(monkeypatch, photographs / "cat" / "chelsea.png", *arguments)
    record = json.loads((made / "jaxviz.json").read_text("utf-8"))
    assert record["network"] == record["classifier"]
    assert record["network"]["weights"] == "own.safetensors"
    assert (made / "index.html").read_bytes() != before
    assert sorted(path.name for path in made.iterdir()) == ["index.html", "jaxviz.json"]


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path, alexnet, squeezenet, photographs):
    (tmp_path / "index.html").write_text("my home page")
    with pytest.raises(jaxviz.InputError, match="was not made by jaxviz"):
        tour.write_tour(tmp_path, [photographs / "cat"], alexnet, squeezenet)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["my home page"]


@pytest.mark.slow
def test_a_complete_alexnet_that_was_fetched_needs_no_other_network(
    fetched_alexnet, tmp_path, monkeypatch, photographs
):
    picture = photographs / "cat" / "chelsea.png"
    run(monkeypatch, picture, "--top", 2, "--output", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "jaxviz.json").read_text("utf-8"))
    assert record["network"] == record["classifier"]
    assert record["network"]["weights"] == fetched_alexnet.name
    assert record["network"]["source"] == "a test"
    page = Page((tmp_path / "out" / "index.html").read_text("utf-8"))
    assert "The layer fc7 turns each picture" in page.text
    assert "the five classes AlexNet finds most probable" in page.text
    assert "SqueezeNet" not in page.text


@pytest.mark.slow
def test_pictures_of_one_folder_are_not_said_to_have_kinds(
    tmp_path, alexnet, squeezenet, photographs
):
    pictures = sorted((photographs / "bird").iterdir())[:2]
    page, _ = tour.write_tour(tmp_path / "tour", pictures, alexnet, squeezenet, top=2)
    text = page.read_text("utf-8")
    for said in ("same folder", "same kind", "shares of"):
        assert said not in re.sub(r"base64,[^\"]*", "", text)
