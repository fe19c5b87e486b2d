"""Downloads from a server on loopback: whatever it does, a file is the right one or not there."""

import functools
import hashlib
import http.server
import threading
import time
import urllib.request

import caffe_files
import numpy as np
import pytest
from conftest import ROOT
from oracles import complete_caffe

import jaxviz
from jaxviz.networks import sources
from jaxviz.networks.sources import OFFICIAL, Official, file_digest
from jaxviz.porting import download, transfer

pytestmark = pytest.mark.once

CONTENT = np.random.default_rng(0).bytes(1_000_000)
OTHER = np.random.default_rng(1).bytes(1_000_000)


class Server(http.server.ThreadingHTTPServer):
    """Answers each request with the next of `plans`, and the last one ever after."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plans, self.requests = [], []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/weights.pth"

    def handle_error(self, request, client_address):
        """A client that goes away is no error."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        plans = self.server.plans
        self.server.requests.append(dict(self.headers))
        (plans.pop(0) if len(plans) > 1 else plans[0])(self)

    def log_message(self, *_):
        pass


def good(handler, *, content=CONTENT, tag='"one"', ranges=True, stop=None, stall=0.0, length=True):
    """A file server as they are; it may hang up or fall silent before byte `stop` of the file."""
    asked = handler.headers.get("Range") if ranges else None
    same = handler.headers.get("If-Range") == tag
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and same else 0
    if start >= len(content):
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(content)}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    handler.send_response(206 if start else 200)
    if tag:
        handler.send_header("ETag" if tag.startswith(('"', "W/")) else "Last-Modified", tag)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if length:
        handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    handler.wfile.write(content[start : stop if stop is None else max(stop, start)])
    handler.wfile.flush()
    time.sleep(stall)


def plan(**options):
    return functools.partial(good, **options)


def answer(status, body=b"", **headers):
    def reply(handler):
        handler.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "_WAIT", 0.0)
    monkeypatch.setattr(transfer, "_TIMEOUT", 0.5)
    monkeypatch.setenv("JAXVIZ_CACHE", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def official(address, content=CONTENT, **changes):
    digest = hashlib.sha256(content).hexdigest()
    return Official(
        "alexnet", "a test", address, "sha256", digest, len(content), "none", "none",
    )._replace(**changes)  # fmt: skip


def fetch(server, folder, *plans, **changes):
    if plans:
        server.plans = list(plans)
    return download.fetch("alexnet", official(server.address, **changes), folder)


def refusal(*arguments, **changes):
    with pytest.raises(jaxviz.InputError) as caught:
        fetch(*arguments, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_with_progress_to_the_end(server, tmp_path):
    seen = []
    server.plans = [plan()]
    source = official(server.address)
    path = download.fetch("alexnet", source, tmp_path, progress=lambda *now: seen.append(now))
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == ["weights.pth"]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_file_that_is_there_and_right_is_not_asked_for_again(server, tmp_path):
    (tmp_path / "weights.pth").write_bytes(CONTENT)
    assert fetch(server, tmp_path, answer(500)).read_bytes() == CONTENT
    assert not server.requests
    (tmp_path / "weights.pth").write_bytes(OTHER)
    assert fetch(server, tmp_path, plan()).read_bytes() == CONTENT


@pytest.mark.parametrize("tag", ['"one"', "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_an_interrupted_download_goes_on_where_it_broke_off(tag, server, tmp_path):
    stops = [plan(stop=stop, tag=tag) for stop in (300_000, 300_001, 999_999)]
    assert fetch(server, tmp_path, *stops, plan(tag=tag)).read_bytes() == CONTENT
    ranges = [request.get("Range") for request in server.requests]
    assert ranges == [None, "bytes=300000-", "bytes=300001-", "bytes=999999-"]
    assert all(request.get("If-Range") == tag for request in server.requests[1:])


def test_what_came_is_kept_for_the_next_call(server, tmp_path):
    message = refusal(server, tmp_path, plan(stop=400_000), answer(503))
    assert "HTTP 503" in message
    assert "400000 bytes are kept" in message
    assert left(tmp_path) == ["weights.pth.part", "weights.pth.part.json"]
    assert fetch(server, tmp_path, plan()).read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == "bytes=400000-"


@pytest.mark.parametrize(
    "again",
    [
        plan(content=OTHER, tag='"two"'),
        plan(content=OTHER[:600_000], tag='"two"'),
        plan(content=OTHER[:100], tag='"one"'),
    ],
    ids=["as long", "shorter", "shorter than what is kept, under the old name"],
)
def test_a_file_that_changed_meanwhile_is_begun_anew_not_glued(again, server, tmp_path):
    refusal(server, tmp_path, plan(stop=400_000), answer(503))
    wanted = again.keywords["content"]
    assert fetch(server, tmp_path, again, content=wanted).read_bytes() == wanted


def test_a_part_that_fits_nothing_is_begun_anew(server, tmp_path):
    def lies(handler, span):
        handler.send_response(206)
        handler.send_header("Content-Range", span)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 1000)

    for span in ("bytes 5-9/1000000", "bytes 400000-400999/7", "bytes */9", "", "bytes 400000-/*"):
        refusal(server, tmp_path, plan(stop=400_000), answer(503))
        path = fetch(server, tmp_path, functools.partial(lies, span=span), plan())
        assert path.read_bytes() == CONTENT
        path.unlink()


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_strong_name_for_its_version_a_file_is_begun_anew(tag, server, tmp_path):
    path = fetch(server, tmp_path, plan(stop=400_000, tag=tag), plan(tag=tag))
    assert path.read_bytes() == CONTENT
    assert "Range" not in server.requests[-1]


def test_a_server_without_ranges_will_do(server, tmp_path):
    path = fetch(server, tmp_path, plan(stop=400_000, ranges=False), plan(ranges=False))
    assert path.read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == "bytes=400000-"


def test_a_server_that_does_not_announce_the_size_will_do(server, tmp_path):
    assert fetch(server, tmp_path, plan(length=False)).read_bytes() == CONTENT


def test_a_download_that_was_complete_but_not_yet_checked_needs_no_request(server, tmp_path):
    part = transfer.Part(tmp_path / "weights.pth.part")
    part.begin('"one"', len(CONTENT))
    part.path.write_bytes(CONTENT)
    assert fetch(server, tmp_path, answer(500)).read_bytes() == CONTENT
    assert not server.requests


@pytest.mark.parametrize("note", ["", "[]", "{", '{"version": 5}', '{"version": "", "total": "x"}'])
def test_a_part_whose_note_is_damaged_is_begun_anew(note, server, tmp_path):
    (tmp_path / "weights.pth.part").write_bytes(OTHER[:5000])
    (tmp_path / "weights.pth.part.json").write_text(note)
    assert fetch(server, tmp_path, plan()).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [True, False], ids=["announced", "not announced"])
def test_the_wrong_file_is_removed_and_both_digests_are_named(length, server, tmp_path):
    message = refusal(server, tmp_path, plan(content=OTHER, length=length))
    assert hashlib.sha256(CONTENT).hexdigest() in message
    assert hashlib.sha256(OTHER).hexdigest() in message
    assert left(tmp_path) == []


def test_a_file_cut_short_by_its_owner_is_removed(server, tmp_path):
    assert "not the official file" in refusal(server, tmp_path, plan(content=CONTENT[:-1]))
    assert left(tmp_path) == []


@pytest.mark.parametrize("length", [True, False], ids=["announced", "not announced"])
def test_never_more_than_the_file_has_is_taken(length, server, tmp_path):
    endless = plan(content=CONTENT * 20, length=length)
    assert "more than 1000000 bytes" in refusal(server, tmp_path, endless)
    assert left(tmp_path) == []


def test_a_part_that_goes_on_beyond_the_file_is_removed(server, tmp_path):
    refusal(server, tmp_path, plan(stop=400_000, length=False, content=CONTENT * 2), answer(503))
    assert left(tmp_path) == []


def test_a_server_that_falls_silent_is_left_after_a_while(server, tmp_path):
    start = time.monotonic()
    message = refusal(server, tmp_path, plan(stop=400_000, stall=3))
    assert time.monotonic() - start < 15
    assert "interrupted (timed out)" in message
    assert "400000 bytes are kept" in message


def test_a_server_that_never_says_a_word_is_left_after_a_while(server, tmp_path):
    message = refusal(server, tmp_path, lambda handler: time.sleep(2))
    assert "cannot be reached (timed out)" in message
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429, 500, 503])
def test_a_refusal_is_one_line_that_says_what_to_do(status, server, tmp_path):
    message = refusal(server, tmp_path, answer(status))
    assert f"HTTP {status}" in message
    assert f"download {server.address} by hand, then: jaxviz weights port weights.pth" in message
    assert str(tmp_path / "alexnet.safetensors") in message
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "reply",
    [
        answer(204), answer(200), answer(206, b"xy", Content_Range="bytes 0-1/1000000"),
        answer(200, b"xy", Content_Encoding="gzip"), answer(200, b"xy", Content_Length="x"),
        lambda handler: handler.wfile.write(b"\0" * 100), lambda handler: None,
        lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000 + b"\r\n"),
    ],
)  # fmt: skip
def test_odd_answers_are_refused(reply, server, tmp_path):
    refusal(server, tmp_path, reply)
    assert "weights.pth" not in left(tmp_path)


def test_a_broken_chunked_answer_is_not_taken_for_the_whole(server, tmp_path):
    def chunks(handler):
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(b"%x\r\n" % 400_000 + CONTENT[:400_000] + b"\r\n" + b"%x\r\n" % 600_000)
        handler.close_connection = True

    assert fetch(server, tmp_path, chunks, plan()).read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == "bytes=400000-"


def test_no_server_is_said_at_once_with_what_to_do(server, tmp_path):
    address = server.address
    server.server_close()
    start = time.monotonic()
    with pytest.raises(jaxviz.InputError, match="cannot be reached") as caught:
        download.fetch("alexnet", official(address), tmp_path)
    assert time.monotonic() - start < 5
    assert "by hand, then: jaxviz weights port" in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status, server, tmp_path):
    steps = [answer(status, Location=server.address)] * 2
    assert fetch(server, tmp_path, *steps, plan()).read_bytes() == CONTENT


def test_redirects_are_followed_when_a_download_goes_on(server, tmp_path):
    refusal(server, tmp_path, plan(stop=400_000), answer(503))
    path = fetch(server, tmp_path, answer(302, Location=server.address), plan())
    assert path.read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == "bytes=400000-"


def test_endless_redirects_end(server, tmp_path):
    assert "HTTP 302" in refusal(server, tmp_path, answer(302, Location=server.address))
    assert len(server.requests) < 12


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "jar:x", "//[", "http://\0"]
)
def test_redirects_to_anything_but_the_web_are_refused(place, server, tmp_path):
    refusal(server, tmp_path, answer(302, Location=place))
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "old, new, followed",
    [
        ("https", "https", True), ("http", "https", True), ("http", "http", True),
        ("https", "http", False), ("https", "file", False), ("https", "ftp", False),
    ],
)  # fmt: skip
def test_a_safe_address_is_never_left_for_an_unsafe_one(old, new, followed):
    request = urllib.request.Request(f"{old}://a.example/x")
    act = functools.partial(
        transfer._Redirects().redirect_request,
        request, None, 302, "Found", {}, f"{new}://b.example/x",
    )  # fmt: skip
    if followed:
        assert act().full_url == "https://b.example/x".replace("https", new)
    else:
        with pytest.raises(transfer.Interrupted, match="not followed"):
            act()


def test_a_full_disk_is_one_line_and_keeps_what_came(server, tmp_path, monkeypatch):
    refusal(server, tmp_path, plan(stop=400_000), answer(503))
    (tmp_path / "weights.pth.part").chmod(0o400)
    real = transfer.Path.open

    def full(self, *arguments, **options):
        if self.suffix == ".part":
            raise OSError(28, "No space left on device")
        return real(self, *arguments, **options)

    monkeypatch.setattr(type(tmp_path), "open", full)
    assert "cannot be written (No space left on device)" in refusal(server, tmp_path, plan())
    monkeypatch.undo()
    assert (tmp_path / "weights.pth.part").stat().st_size == 400_000


@pytest.fixture
def published(server, weights_files, monkeypatch):
    """A complete AlexNet, of random numbers, in place of torchvision's."""
    content = weights_files["alexnet_complete"].read_bytes()
    server.plans = [plan(content=content, stop=100_000_000), plan(content=content)]
    table = {"alexnet": official(server.address, content, license="the license")}
    monkeypatch.setattr(download, "OFFICIAL", table)
    return weights_files["alexnet_complete"]


def test_weights_are_fetched_ported_and_loaded_and_only_once(published, server, tmp_path):
    said, done = [], []
    with pytest.raises(jaxviz.InputError, match="jaxviz weights get alexnet"):
        jaxviz.load("alexnet", weights="full")

    def get():
        done.append(download.download_weights("alexnet", say=said.append))

    both = [threading.Thread(target=get) for _ in range(2)]  # as two processes would
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert done == [tmp_path / "alexnet.safetensors"] * 2
    assert [request.get("Range") for request in server.requests] == [None, "bytes=100000000-"]
    assert said == ["alexnet: waiting for another jaxviz that is fetching it"]
    assert {file.suffix for file in tmp_path.iterdir()} <= {".safetensors", ".lock"}

    network = jaxviz.load("alexnet", weights="full")
    wanted = jaxviz.load("alexnet", weights=published)
    for layer in ("conv1", "fc6", "fc8"):
        for part in ("kernel", "bias"):
            found = np.asarray(network.params[layer][part])
            np.testing.assert_array_equal(found, np.asarray(wanted.params[layer][part]))
    assert network.labels[281].startswith("tabby")
    assert network.provenance["source_sha256"] == file_digest(published, "sha256")
    assert network.provenance["license"] == "the license"
    assert network.provenance["address"] == server.address
    assert jaxviz.load("alexnet").spec.logits is None  # the shipped one, unless asked

    assert download.download_weights("alexnet") == done[0]
    assert len(server.requests) == 2
    with done[0].open("r+b") as file:  # damaged: fetched again
        file.seek(200_000_000)
        file.write(b"\0\0\1\1")
    with pytest.raises(jaxviz.InputError, match="is damaged"):
        jaxviz.load("alexnet", weights="full")
    done[0].write_bytes(done[0].read_bytes()[:5000])
    assert download.download_weights("alexnet") == done[0]
    assert len(server.requests) == 3
    assert jaxviz.load("alexnet", weights="full").spec.logits == "fc8"


def compressed():
    """A file of Deep Compression's format with a few codes a layer, and the weights it means."""
    codebooks, biases, codes, meant = {}, {}, {}, {}
    for seed, (layer, shape) in enumerate(complete_caffe.SHAPES.items(), start=1):
        rng = np.random.default_rng(seed)
        most = 256 if layer.startswith("conv") else 16
        codebooks[layer] = np.r_[0, rng.normal(size=most - 1)].astype(np.float32)
        biases[layer] = rng.normal(size=shape[0]).astype(np.float32)
        codes[layer] = np.zeros(np.prod(shape), np.uint8)
        codes[layer][:5000] = rng.integers(0, most, 5000)
        meant[layer] = codebooks[layer][codes[layer]].reshape(shape), biases[layer]
    return caffe_files.deep_compression(codebooks, biases, codes), meant


def test_the_smallest_download_from_the_command_line(server, command, tmp_path, monkeypatch):
    content, meant = compressed()
    server.plans = [plan(content=content)]
    name = "caffe_alexnet-compressed"
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    changed = OFFICIAL[name]._replace(address=server.address, digest=blob)
    for module in (download, sources):
        monkeypatch.setattr(module, "OFFICIAL", {**OFFICIAL, name: changed})

    output = tmp_path / f"{name}.safetensors"
    code, out, err = command("weights", "get", name)
    assert (code, err) == (0, "")
    assert out == f"{output}\nuse them with: --network caffe_alexnet --weights full\n"
    fetched = command("weights", "list")[1].partition("Fetched, in")[2].partition("Complete")[0]
    for text in (name, server.address, changed.title, changed.license, changed.accuracy):
        assert text in fetched
    assert ", the official file" in fetched
    png = tmp_path / "filters.png"
    assert command("filters", "--network", "caffe_alexnet", "-o", png)[0] == 0
    assert png.is_file()

    network = jaxviz.load("caffe_alexnet")
    for tensor, wanted in complete_caffe.as_ours(meant).items():
        layer, part = tensor.split(".")
        np.testing.assert_array_equal(np.asarray(network.params[layer][part]), wanted)
    assert network.provenance["license"] == changed.license
    assert network.provenance["source_sha256"] == hashlib.sha256(content).hexdigest()


def test_digests_are_those_of_other_tools(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"what is up, doc?")
    # The example of the book Pro Git, chapter 10.2, where git says the same.
    assert file_digest(file, "git") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
    assert file_digest(file, "sha1") == hashlib.sha1(b"what is up, doc?").hexdigest()
    assert file_digest(file, "sha256") == hashlib.sha256(b"what is up, doc?").hexdigest()


def test_the_official_files_are_written_as_they_should_be():
    lengths = {"sha256": 64, "sha1": 40, "git": 40}
    for name, source in OFFICIAL.items():
        assert name == source.network or name.startswith(f"{source.network}-")
        assert len(source.digest) == lengths[source.digest_kind]
        assert set(source.digest) <= set("0123456789abcdef")
        assert source.address.startswith(("https://", "http://dl.caffe.berkeleyvision.org/"))
        assert 0 < source.most_bytes < 2**28
        readme = (ROOT / "weights" / "README.md").read_text("utf-8")
        assert f"| `{name}` | {source.address} |" in readme
        assert f"`{source.digest}` | {source.license} |" in readme
    assert len({source.file for source in OFFICIAL.values()}) == len(OFFICIAL)
