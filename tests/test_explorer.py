"""The explorer's server: it answers what the functions return, and refuses what is hostile."""

import asyncio
import contextlib
import http.client
import io
import json
import random
import socket
import threading
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from browsing import explorer
from conftest import refusal
from PIL import Image

import jaxviz
from jaxviz import InputError, analyses, sweep
from jaxviz.cli.loading import stored_patches
from jaxviz.explore import server, views
from jaxviz.explore.compiling import Compiling
from jaxviz.explore.kept import Kept
from jaxviz.explore.lanes import Dropped, Lanes
from jaxviz.explore.query import Query
from jaxviz.explore.session import Session
from jaxviz.explore.wire import Arrays, packed, unpacked
from jaxviz.files import write_manifest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
PICTURES = [ROOT / "examples" / "images" / name for name in (
    "cat/chelsea.png", "food/coffee.png", "person/astronaut.png",
)]  # fmt: skip
FURTHER = [ROOT / "examples" / "images" / name for name in (
    "cat/kitten.jpg", "food/citrus_fruits.jpg", "bird/owl.jpg", "dog/german_shepherd.jpg",
)]  # fmt: skip
HOST, TOKEN = "127.0.0.1:1234", "token-of-a-test"


@pytest.fixture(scope="module")
def session():
    return Session(jaxviz.load("alexnet"), jaxviz.load("squeezenet"), PICTURES)


@pytest.fixture(scope="module")
def asked(session):
    """`asked(method, path, **options)`: the response of one request to the page's own address."""

    def ask(method, path, *, host=HOST, token=TOKEN, **options):
        async def once():
            app = server.application(server.Server(session), hosts=frozenset([HOST]), token=TOKEN)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
                return await client.request(method, f"/{token}{path}", **options)

        return asyncio.run(once())

    return ask


def parts(response):
    """The parts of a streamed answer."""
    assert response.status_code == 200, response.text
    data, found = response.content, []
    while data:
        length = int.from_bytes(data[:4], "little")
        found.append(unpacked(data[4 : 4 + length]))
        data = data[4 + length :]
    return found


def view(asked, name, **parameters):
    return parts(asked("GET", f"/views/{name}", params=parameters))


def first(session):
    return session.shelf.named[0]


def test_arrays_come_back_from_their_bytes():
    given = Arrays(
        {"a": np.arange(6, dtype=np.uint8).reshape(2, 3), "b": np.float32([[1.5]]),
         "c": np.zeros((0, 4), np.int32)},
        {"said": "ä", "number": 3},
    )  # fmt: skip
    found = unpacked(packed(given))
    assert found.header == given.header
    for name, array in given.arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


def test_the_network_says_what_its_units_see(session, asked):
    (answer,) = view(asked, "network")
    layers = {one["name"]: one for one in answer.header["layers"]}
    assert list(layers) == list(session.network.layers())
    field = jaxviz.receptive_field(
        session.network.apply, session.network.params, (224, 224, 3), layer="conv5"
    )
    told = layers["conv5"]["field"]
    assert (tuple(told["size"]), tuple(told["offset"])) == (field.size, field.offset)
    assert [one["name"] for one in answer.header["pictures"]] == [one.stem for one in PICTURES]
    assert answer.header["classifier"] == session.classifier.spec.title


@pytest.mark.parametrize("layer", ["conv1", "conv5"])
def test_maps_are_those_of_the_function(session, asked, layer):
    (answer,) = view(asked, "maps", picture=first(session).id, layer=layer)
    images = session.network.preprocess([PICTURES[0]])
    maps = jaxviz.activation_maps(
        session.network.apply, session.network.params, images, layers=layer
    )[layer][0]
    low, step = (answer.arrays[name][:, None, None] for name in ("low", "step"))
    values = low + step * answer.arrays["bytes"]
    assert (np.abs(values - np.moveaxis(np.asarray(maps), 2, 0)) <= 0.51 * step + 1e-5).all()


def test_classes_are_those_of_the_function(session, asked):
    (answer,) = view(asked, "classes", picture=first(session).id, k=3)
    expected = analyses.top_classes(session.classifier, first(session).pixels["squeezenet"], k=3)
    got = [(one["index"], one["probability"]) for one in answer.header["classes"]]
    assert [index for index, _ in got] == [index for index, _ in expected]
    np.testing.assert_allclose([p for _, p in got], [p for _, p in expected], rtol=1e-5)
    assert answer.header["classes"][0]["name"] == session.classifier.label(got[0][0])


def test_patches_are_those_of_the_sweep(session, asked):
    (answer,) = view(asked, "patches", layer="conv5", channel=124, k=3)
    images = session.network.preprocess(PICTURES)
    found = jaxviz.top_patches(
        session.network.apply, session.network.params, [images], layers="conv5", k=3
    )["conv5"]
    units = answer.header["units"]
    np.testing.assert_allclose([one["value"] for one in units], found.values[124], rtol=1e-5)
    assert units[0]["name"] == "astronaut"  # channel 124 fires at faces
    assert [(one["row"], one["col"]) for one in units] == list(
        zip(found.rows[124].tolist(), found.cols[124].tolist(), strict=True)
    )
    assert answer.arrays["pixels"].shape == (3, 163, 163, 3)


@pytest.mark.parametrize("target", ["", "285", "conv5:124", "conv5:124@6,7"])
def test_what_is_hidden_is_that_of_the_function_coarse_first(session, asked, target):
    *found, last = view(
        asked, "hidden", picture=first(session).id, target=target, window=56, stride=28
    )
    assert [one.header["finest"] for one in found] == [False, True]
    assert [one.header["stride"] for one in found] == [56, 28]
    assert 0 < last.header["share"] < 1
    network = session.network if ":" in target else session.classifier
    expected = analyses.occlusion(
        network, [PICTURES[0]], targets=target or None, window=56, stride=28
    )
    assert found[-1].header["target"] == expected.targets[0]
    np.testing.assert_allclose(
        found[-1].arrays["heatmap"], expected.heatmap[0], rtol=1e-4, atol=1e-4
    )


def test_a_box_that_is_hidden_by_hand_is_one_of_the_windows(session, asked):
    options = {"picture": first(session).id, "target": "285", "fill": "gray"}
    (answer,) = view(asked, "covered", top=28, bottom=84, left=56, right=112, **options)
    *_, whole, _ = view(asked, "hidden", window=56, stride=28, **options)
    drop = whole.arrays["drop"][1, 2]
    assert answer.header["before"] - answer.header["after"] == pytest.approx(drop, abs=1e-4)
    shown = analyses.shown(session.classifier, first(session).pixels["squeezenet"])
    np.testing.assert_array_equal(answer.arrays["pixels"][:28], shown[:28])
    assert (answer.arrays["pixels"][28:84, 56:112] == 128).all()
    assert len(answer.header["classes"]) == 5


def test_an_image_is_made_for_a_channel(asked):
    before, *_, answer = view(asked, "made", layer="conv1", channel=3, steps=2)
    assert before.header["done"] == 0
    assert answer.arrays["pixels"].shape == (224, 224, 3)
    assert answer.header["peak"] > 0


def jpeg(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def test_a_picture_that_is_brought_is_shown_like_the_others(session, asked):
    data = PICTURES[1].read_bytes()
    told = asked("POST", "/pictures", params={"name": "my cup"}, content=data).json()
    assert told == {"id": session.shelf.named[1].id, "name": "my cup"}
    pixels = np.random.default_rng(0).integers(0, 255, (80, 90, 3), np.uint8)
    told = asked("POST", "/pictures", content=jpeg(pixels)).json()
    shown = asked("GET", f"/pictures/{told['id']}.png")
    assert shown.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(shown.content)) as image:
        assert image.size == (224, 224)
    (answer,) = view(asked, "maps", picture=told["id"], layer="conv1")
    assert answer.arrays["bytes"].shape == (64, 55, 55)


def test_a_frame_of_a_camera_is_remembered_nowhere(session, asked):
    before = dict(session.shelf._remembered)
    pixels = np.random.default_rng(1).integers(0, 255, (80, 90, 3), np.uint8)
    (answer,) = parts(asked("POST", "/frame", params={"layer": "conv2"}, content=jpeg(pixels)))
    assert answer.arrays["bytes"].shape[0] == 192
    assert answer.arrays["pixels"].shape == (224, 224, 3)
    assert len(answer.header["classes"]) == 5
    assert dict(session.shelf._remembered) == before


BROKEN = {
    "nothing": b"",
    "text": b"no picture at all",
    "cut": PICTURES[0].read_bytes()[:5000],
    "bomb": None,  # see below
}


def bomb():
    """A small file of a picture of a billion pixels."""
    import zlib

    def chunk(kind, data):
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    size = (40_000).to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress(b"\0" * 5001 * 2000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_refused_with_a_message(asked, name):
    data = bomb() if name == "bomb" else BROKEN[name]
    answer = asked("POST", "/pictures", content=data)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_a_picture_that_is_too_large_is_not_read(asked):
    said = asked("POST", "/pictures", headers={"content-length": str(2**30)}, content=b"x")
    assert said.status_code == 413

    async def endless():
        for _ in range(200):
            yield b"x" * 2**20

    assert asked("POST", "/pictures", content=endless()).status_code == 413


MISTAKES = {
    "layer: unknown name": ("maps", {"layer": "conv9"}),
    "picture: unknown name": ("maps", {"layer": "conv1", "picture": "../../etc/passwd"}),
    "layer: missing": ("maps", {}),
    "channel: expected 0 to 255, got 256": ("patches", {"layer": "conv5", "channel": 256}),
    "channel: expected a whole number": ("patches", {"layer": "conv5", "channel": "x"}),
    "window: expected 1 to 227": ("hidden", {"window": 0}),
    "stride: expected 1 to 16": ("hidden", {"window": 16, "stride": 17}),
    "no class is called": ("hidden", {"target": "unicorn"}),
    "fill: unknown": ("hidden", {"fill": "plaid"}),
    "top < bottom": ("covered", {"top": 5, "bottom": 5, "left": 0, "right": 9}),
}


@pytest.mark.parametrize("said", MISTAKES)
def test_a_mistake_is_a_message(session, asked, said):
    name, parameters = MISTAKES[said]
    answer = asked("GET", f"/views/{name}", params={"picture": first(session).id} | parameters)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1:80"}, 421),
        ({"headers": {"origin": "http://evil.example"}}, 403),
        ({"headers": {"origin": "null"}}, 403),
        ({"headers": {"sec-fetch-site": "cross-site"}}, 403),
        ({"token": "guess"}, 404),
        ({"token": ""}, 404),
        ({"headers": {"origin": f"http://{HOST}"}}, 200),
    ],
)
def test_only_the_page_itself_may_ask(asked, options, status):
    for method, path in (("GET", "/views/network"), ("GET", "/"), ("GET", "/static/main.js")):
        assert asked(method, path, **options).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py",
        "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/main.js/..", "/views/__class__",
        f"/static/{'a' * 300}.js", "/views/network/",
        "/pictures/%2e%2e%2f%2e%2e%2fx.png", "/static/explorer.css%00.js",
    ],
)  # fmt: skip
def test_nothing_else_is_read(asked, path):
    answer = asked("GET", path)
    assert answer.status_code in (400, 404)
    assert str(ROOT) not in answer.text


def test_every_answer_says_what_a_page_may_do(asked):
    for path in ("/", "/static/main.js", "/views/network", "/nowhere"):
        headers = asked("GET", path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"


def test_a_crash_is_a_message_and_the_next_request_is_served(session, asked, monkeypatch):
    def crash(*arguments):
        raise RuntimeError("/secret/place")

    monkeypatch.setitem(server.VIEWS, "classes", server.VIEWS["classes"]._replace(answer=crash))
    answer = asked("GET", "/views/classes")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert asked("GET", "/views/network").status_code == 200


def test_a_newer_request_of_a_place_ends_the_older():
    async def run():
        lanes, begun, done = Lanes(["one"]), threading.Event(), []

        def slow(check):
            for number in range(1000):
                begun.set()
                time.sleep(0.005)
                check()
                yield number
            done.append("slow")

        async def collect(work, place):
            return [one async for one in lanes.run("one", place, work)]

        first = asyncio.create_task(collect(slow, "view"))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        other = asyncio.create_task(collect(lambda check: iter([7]), "another"))
        second = asyncio.create_task(collect(lambda check: iter([8]), "view"))
        assert await second == [8]
        assert await other == [7]
        with pytest.raises(Dropped):
            await first
        assert done == []
        lanes.close()

    asyncio.run(run())


def leave_during_an_upload(address):
    where = urllib.parse.urlsplit(address)
    with socket.create_connection((where.hostname, where.port)) as leaving:
        said = f"POST {where.path}pictures HTTP/1.1\r\nHost: {where.netloc}\r\n"
        leaving.sendall(f"{said}Content-Length: 1000\r\n\r\nabc".encode())


def test_ctrl_c_ends_what_is_under_way(tmp_path):
    """At once, with exit code 0 and no word, though an answer is awaited and programs compile.

    A client that goes away during an upload is no mistake either.
    """
    mistakes = tmp_path / "mistakes"
    asking = contextlib.ExitStack()
    with asking, mistakes.open("w") as file, explorer(PICTURES[0], stderr=file) as address:
        leave_during_an_upload(address)
        with urllib.request.urlopen(f"{address}views/network") as answer:
            (picture,) = unpacked(answer.read()[4:]).header["pictures"]
        picture = urllib.parse.urlencode({"picture": picture["id"]})
        where = urllib.parse.urlsplit(address)
        client = http.client.HTTPConnection(where.hostname, where.port)
        asking.callback(client.close)
        client.request("GET", f"{where.path}views/hidden?{picture}")
        time.sleep(1)
    assert mistakes.read_text() == ""


@pytest.mark.slow
def test_a_thousand_requests_of_twenty_clients_some_of_which_go_away(session):
    """No error, and nothing is left over."""
    random.seed(0)

    async def run():
        app = server.application(server.Server(session), hosts=frozenset([HOST]), token=TOKEN)
        transport = httpx.ASGITransport(app)
        statuses = []

        async def client(number):
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as asking:
                for turn in range(50):
                    picture = random.choice(session.shelf.named).id
                    layer = random.choice(["conv1", "conv3", "conv5"])
                    parameters = {"picture": picture, "layer": layer, "page": number}
                    request = asking.get(f"/{TOKEN}/views/maps", params=parameters)
                    task = asyncio.create_task(request)
                    if turn % 3 == 0:
                        await asyncio.sleep(random.random() / 50)
                        task.cancel()
                    try:
                        statuses.append((await task).status_code)
                    except asyncio.CancelledError:
                        statuses.append(0)

        await asyncio.gather(*(client(number) for number in range(20)))
        return statuses

    found = asyncio.run(run())
    assert len(found) == 1000
    assert set(found) <= {200, 409, 0}
    assert found.count(200) > 500


@pytest.fixture(scope="module")
def swept_folders(tmp_path_factory, session):
    """The OUTPUT of `jaxviz features` and of `jaxviz patches`, of four pictures."""
    place, network = tmp_path_factory.mktemp("swept"), session.network
    pictures = sweep.FolderPictures(FURTHER, network.preprocessing)
    run = network.apply, network.params, pictures
    options = {"prepare": network.preprocessing.normalize}
    stored = sweep.features(
        *run, layer="pool5", folder=place / "features", provenance={"network": "alexnet"}, **options
    )
    swept = sweep.top_patches(*run, layers="conv5", k=2, **options)
    (page,) = analyses.patch_pages(network, swept, pictures, layer="conv5", channels=[124])
    write_manifest(place / "patches", {
        "kind": "top patches", "complete": True, "provenance": {"network": "alexnet"},
        "patches": page.records,
    })  # fmt: skip
    return stored, stored_patches(network, place / "patches"), swept.found["conv5"]


def test_what_was_swept_before_is_shown(session, swept_folders):
    stored, listed, found = swept_folders
    whole = Session(
        session.network, session.classifier, PICTURES, stored=stored, listed=listed
    )  # fmt: skip

    def view_of(name, **parameters):
        (answer,) = [views.VIEWS[name].answer(whole, Query(parameters), lambda: None)]
        return answer

    patches = view_of("patches", layer="conv5", channel="124")
    assert patches.header["listed"]
    assert [one["name"] for one in patches.header["units"]] == [
        FURTHER[i].stem for i in found.images[124].tolist()
    ]
    other = view_of("patches", layer="conv5", channel="3")
    assert {one["name"] for one in other.header["units"]} == {path.stem for path in PICTURES}

    near = view_of("neighbors", picture=first(whole).id, layer="conv1")
    assert (near.header["layer"], near.header["pictures"]) == ("pool5", len(FURTHER))
    own = jaxviz.features(
        session.network.apply, session.network.params, session.network.preprocess(PICTURES[:1]),
        layer="pool5",
    )  # fmt: skip
    expected = jaxviz.nearest_neighbors(own, stored.vectors, k=len(FURTHER), metric="cosine")
    assert [one["name"] for one in near.header["features"]] == [
        FURTHER[i].stem for i in expected.indices[0].tolist()
    ]
    assert sorted(one["name"] for one in near.header["raw"]) == sorted(p.stem for p in FURTHER)
    far = near.header["features"][0]["picture"]
    assert whole.shelf[far].name == near.header["features"][0]["name"]

    plane = view_of("layout", layer="conv1")
    points, _ = jaxviz.principal_components(stored.vectors, k=2)
    size = np.abs(points).max()
    np.testing.assert_allclose(plane.arrays["points"], points, atol=1e-4 * size)
    assert plane.header["names"] == [path.stem for path in FURTHER]


def test_no_answer_names_a_place_on_the_disk(session, asked, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"none")
    other = Session(session.network, None, [PICTURES[0], tmp_path / "broken.png"])
    (gone,) = other.shelf.know([tmp_path / "gone.png"])
    said = [refusal(lambda: other.shelf[gone])]
    said.append(str(views.VIEWS["network"].answer(other, Query({}), lambda: None)))
    for text in said:
        assert str(tmp_path) not in text
    assert "broken.png" in said[1]


def test_what_nobody_waits_for_is_not_compiled_to_its_end():
    compiling, done, go_on = Compiling(), [], threading.Event()

    def maps(name):
        def levels():
            for level in range(3):
                done.append((name, level))
                go_on.wait(30)
                yield level

        return levels

    def method(name):
        return compiling.method(name, maps(name), lambda level: level == 2)

    assert method("a") == "full"
    while not done:
        time.sleep(0.001)
    method("b")  # which takes the place of the other
    go_on.set()
    while ("b", 2) not in done or method("b") != "incremental":
        time.sleep(0.001)
    assert done == [("a", 0), *(("b", level) for level in range(3))]
    go_on.clear()
    assert method("a") == "full"  # begun again
    while len(done) < 5:
        time.sleep(0.001)
    compiling.give_up("a")
    go_on.set()
    compiling.close()
    assert done[4:] == [("a", 0)]


def test_what_is_kept_is_made_once_and_what_fails_again():
    kept, calls = Kept({"things": 2}), []

    def slow():
        calls.append(1)
        time.sleep(0.05)
        if len(calls) == 1:
            raise InputError("first")
        return len(calls)

    with ThreadPoolExecutor(4) as threads:
        tried = [threads.submit(kept.get, "things", "one", slow) for _ in range(4)]
    errors = [one.exception() for one in tried if one.exception()]
    assert [str(one) for one in errors] == ["first"]
    assert {one.result() for one in tried if not one.exception()} == {2}
    for key in ("two", "three"):
        kept.get("things", key, lambda: None)
    assert kept.get("things", "one", lambda: "anew") == "anew"


def arrays_of(response):
    assert response.status_code == 200, response.text
    assert "attachment" in response.headers["content-disposition"]
    with np.load(io.BytesIO(response.content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize(
    ("name", "parameters", "texts"),
    [
        ("wall", "layer=conv5", ["chelsea", "conv5"]),
        ("channel", "layer=conv5&channel=3", ["channel 3"]),
        ("hidden", "target=285&window=64&stride=32", ["chelsea: Egyptian"]),
        ("neighbors", "layer=pool5&k=2", ["chelsea", "astronaut", "raw pixels"]),
        ("map", "layer=pool5", ["3 pictures", "second principal component"]),
        ("filters", "layer=conv1", ["conv1"]),
    ],
)
def test_the_figure_of_a_view_is_an_svg(session, asked, name, parameters, texts):
    response = asked("GET", f"/figures/{name}.svg?picture={first(session).id}&{parameters}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/svg+xml"
    assert f'{name}.svg"' in response.headers["content-disposition"]
    root = ElementTree.fromstring(response.text)
    said = " ".join(root.itertext())
    for text in texts:
        assert text in said
    drawn = asked("GET", f"/figures/{name}.png?picture={first(session).id}&{parameters}")
    with Image.open(io.BytesIO(drawn.content)) as image:
        assert image.format == "PNG" and min(image.size) > 100
    assert asked("GET", "/figures/nothing.svg").status_code == 400
    assert asked("GET", f"/figures/{name}.exe").status_code == 404


def test_the_arrays_of_a_view_are_those_of_the_functions(session, asked):
    network, picture = session.network, first(session)
    found = arrays_of(asked("GET", f"/arrays/maps.npz?picture={picture.id}&layer=conv5&exact=1"))[
        "maps"
    ]
    images = network.preprocess(PICTURES[:1])
    expected = jaxviz.activation_maps(network.apply, network.params, images, layers="conv5")
    np.testing.assert_allclose(found, np.moveaxis(expected["conv5"][0], 2, 0), atol=1e-4)
    kernel = arrays_of(asked("GET", "/arrays/filters.npz?layer=conv1&exact=1"))["kernel"]
    np.testing.assert_array_equal(kernel, network.kernel("conv1"))
    hidden = arrays_of(asked(
        "GET", f"/arrays/hidden.npz?picture={picture.id}&target=conv5:124&window=112&stride=56"
    ))  # fmt: skip
    assert hidden["drop"].shape == (3, 3)
    assert json.loads(str(hidden["jaxviz"]))["finest"]
    none = asked("GET", f"/arrays/classes.npz?picture={picture.id}")
    assert (none.status_code, none.json()["error"]) == (400, "classes: has no arrays")


def test_a_crash_after_the_first_part_is_a_message(session, asked, monkeypatch):
    def failing(session, query, check):
        yield Arrays({}, {"first": True})
        raise ZeroDivisionError

    monkeypatch.setitem(views.VIEWS, "hidden", views.VIEWS["hidden"]._replace(answer=failing))
    one, two = view(asked, "hidden")
    assert one.header == {"first": True}
    assert two.header == {"error": "this computation failed: ZeroDivisionError"}
