"""A stranger's file can do no harm: one line, no code run, little memory, nothing half-written."""

import os
import signal
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import foreign_files as files
import numpy as np
import pytest
from safetensors.numpy import load_file

import jaxviz
from jaxviz import porting

pytestmark = pytest.mark.once

NUM_CASES = int(os.environ.get("JAXVIZ_NUM_CASES", "60"))
FIRST_CASE = int(os.environ.get("JAXVIZ_FIRST_CASE", "0"))
OURS = files.tiny_tensors()
THEIRS = files.as_torchvision(OURS)


class Kind(NamedTuple):
    """A format: the parts of a small valid file, and how they are put together again."""

    parts: Callable[[], list[bytes]]
    join: Callable[[list[bytes]], bytes]


def whole(write):
    """A format whose files are damaged as they lie."""
    return Kind(lambda: [write(THEIRS)], b"".join)


def archived(members, **options):
    """A zip archive of which the members are damaged, their checksums being made after."""
    return Kind(
        lambda: list(members.values()),
        lambda parts: files.zipped(dict(zip(members, parts, strict=True)), **options),
    )


KINDS = {
    "torch zip": whole(files.zip_checkpoint),
    "torch zip, in its members": archived(files.zip_members(THEIRS)),
    "torch older": whole(files.older_checkpoint),
    "torch older, in its parts": Kind(lambda: files.older_parts(THEIRS), b"".join),
    "npz": whole(files.npz),
    "npz, in its members": archived({f"{k}.npy": files.npy(v) for k, v in THEIRS.items()}),
    "npz, compressed": whole(lambda arrays: files.npz(arrays, compression=zipfile.ZIP_DEFLATED)),
    "safetensors": whole(lambda arrays: files.safetensors(files.safetensors_parts(arrays))),
    "safetensors, in its parts": Kind(
        lambda: files.safetensors_parts(THEIRS, {"a": "b"}), files.safetensors
    ),
}


@pytest.fixture(autouse=True)
def tiny(tiny_networks, unchecked):
    """All networks are tiny; type checks, which take most of the time, are off."""


WATCHED = {"compile", "exec", "pickle.find_class", "os.system", "os.exec", "os.posix_spawn",
           "os.fork", "subprocess.Popen", "socket.connect", "ctypes.dlopen"}  # fmt: skip
events = []
watching = False


def watch(event, arguments):
    if watching and event in WATCHED and not by_type_checks():
        events.append((event, arguments))


def by_type_checks():
    """Whether the type checks of these tests are at work, which compile what they check with."""
    frame = sys._getframe()
    while frame and not frame.f_globals["__name__"].startswith("beartype"):
        frame = frame.f_back
    return bool(frame)


sys.addaudithook(watch)


def stop(number, frame):
    """What never ends is stopped after 20 seconds of the processor."""
    raise AssertionError("does not end")


signal.signal(signal.SIGVTALRM, stop)


@pytest.fixture
def survives(tmp_path):
    """Write bytes to a file and port it: it is refused in one line or read, and nothing else."""
    global watching
    path, output = tmp_path / "in" / "foreign", tmp_path / "out" / "ours.safetensors"
    for folder in (path.parent, output.parent):
        folder.mkdir()
    path.write_bytes(files.npz(THEIRS))
    porting.port_weights(path, output)  # what is imported or compiled once
    output.unlink()

    def port(data, memory=16 * 2**20):
        """Return the refusal, None where there was none."""
        global watching
        path.write_bytes(data)
        events.clear()
        tracemalloc.start()
        start, watching = time.process_time(), True
        signal.setitimer(signal.ITIMER_VIRTUAL, 20)
        try:
            found = porting.port_weights(path, output)
        except jaxviz.InputError as error:
            found, said = None, str(error)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            watching, took = False, time.process_time() - start
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert events == []
        assert took < 5
        assert peak <= memory + 4 * len(data)
        assert [file.name for file in path.parent.iterdir()] == ["foreign"]
        if found is None:
            assert list(output.parent.iterdir()) == []
            assert said.startswith(f"weights: {path}: ")
            assert "\n" not in said
            assert len(said) < len(str(path)) + 600
            return said
        written = load_file(output)
        assert written.keys() == found.tensors.keys()
        for name, value in written.items():
            assert value.shape == OURS[name].shape
            assert np.isfinite(value).all()
        output.unlink()
        return None

    return port


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_that_are_damaged_here_are_valid(kind, survives):
    assert survives(KINDS[kind].join(KINDS[kind].parts())) is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if ", in its" not in kind])
def test_a_file_cut_short_at_every_hundredth_byte_is_refused(kind, survives):
    data = KINDS[kind].join(KINDS[kind].parts())
    for length in [*range(0, len(data), 100), *range(len(data) - 30, len(data))]:
        assert survives(data[:length]), length


NUMBERS = [0, 1, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63 - 1,
           2**63, 2**64 - 1]  # fmt: skip


def damaged(data, draw):
    """One of many kinds of damage."""
    data = bytearray(data)
    place = int(draw.integers(len(data) + 1))
    length = int(draw.integers(1, 40))
    match draw.integers(9):
        case 0:  # one flipped bit, or some
            for at in draw.integers(len(data) or 1, size=draw.integers(1, 6)):
                data[at : at + 1] = bytes(
                    byte ^ (1 << draw.integers(8)) for byte in data[at : at + 1]
                )
        case 1:
            data[place : place + length] = draw.bytes(length)
        case 2:
            del data[place : place + length]
        case 3:
            data[place:place] = draw.bytes(length)
        case 4:  # a part of it twice, or in another's place
            start = int(draw.integers(len(data) + 1))
            data[place : place + int(draw.integers(2)) * length] = data[start : start + length]
        case 5:
            del data[place:]
        case 6:  # a number that is at an edge
            size = int(draw.choice([1, 2, 4, 8]))
            number = int(draw.choice(np.array(NUMBERS, object))) % 256**size
            data[place : place + size] = number.to_bytes(size, draw.choice(["little", "big"]))
        case 7:  # digits, as in headers that are text
            digits = [i for i, byte in enumerate(data[:4000]) if chr(byte).isdigit()]
            for at in draw.choice(digits, size=2) if digits else ():
                data[at : at + 1] = str(draw.choice(np.array(NUMBERS, object))).encode()
        case 8:
            data += data[place:] + draw.bytes(length)
    return bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_is_refused_or_does_no_harm(kind, survives):
    parts = KINDS[kind].parts()
    refused = 0
    for case in range(FIRST_CASE, FIRST_CASE + NUM_CASES):
        draw = np.random.default_rng([case, len(kind)])
        broken = list(parts)
        for _ in range(int(draw.integers(1, 4))):
            which = int(draw.integers(len(broken)))
            broken[which] = damaged(broken[which], draw)
        try:
            refused += survives(KINDS[kind].join(broken)) is not None
        except BaseException:
            print(f"JAXVIZ_FIRST_CASE={case} JAXVIZ_NUM_CASES=1: {kind}")
            raise
    assert refused or NUM_CASES < 10
