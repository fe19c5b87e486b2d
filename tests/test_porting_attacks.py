"""Files made to do harm, one by one: code in pickles, bombs, tensors and archives that lie."""

import collections
import os
import pickle
import struct
import subprocess
import zipfile

import foreign_files as files
import numpy as np
import pytest
from conftest import make_networks_tiny

import jaxviz
from jaxviz import porting
from jaxviz.porting import pickled

pytestmark = pytest.mark.once

OURS = files.tiny_tensors()
THEIRS = files.as_torchvision(OURS)
CHECKPOINTS = {"zip": files.zip_checkpoint, "older": files.older_checkpoint}


@pytest.fixture(autouse=True)
def tiny(tiny_networks, unchecked):
    """All networks are tiny; type checks, which take most of the time, are off."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """What is imported when the first file is read is in memory, and no part of a file's cost."""
    sound = tmp_path_factory.mktemp("sound") / "sound.pth"
    sound.write_bytes(files.zip_checkpoint(THEIRS))
    with pytest.MonkeyPatch.context() as patch:
        make_networks_tiny(patch)
        porting.read_foreign(sound)


@pytest.fixture(name="cheap")
def cheap_once_loaded(loaded, cheap):
    return cheap


def with_pickle(data, container):
    """A checkpoint of which `data` is the pickle, otherwise as it should be."""
    if container == "zip":
        return files.zipped(files.zip_members(THEIRS) | {"archive/data.pkl": data})
    parts = files.older_parts(THEIRS)
    parts[3] = data
    return b"".join(parts)


class Call:
    """Pickles as a call of `function`, which a plain `pickle.loads` would run."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class State:
    """Pickles as an object that a plain unpickler would give this state by `__setstate__`."""

    def __reduce__(self):
        return collections.OrderedDict, (), {"__setstate__": Call(os.system, "true")}


def test_the_attacks_of_these_tests_do_run_in_a_plain_unpickler(tmp_path):
    pickle.loads(pickle.dumps(Call(os.mkdir, str(tmp_path / "ran"))))
    assert (tmp_path / "ran").is_dir()


@pytest.mark.parametrize("container", CHECKPOINTS)
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("hidden", [False, True], ids=["bare", "among weights"])
@pytest.mark.parametrize(
    "function", [os.system, os.mkdir, eval, exec, open, subprocess.call, np.save, np.load, getattr]
)
def test_a_pickle_that_would_run_something_is_refused(
    function, hidden, protocol, container, refused, tmp_path
):
    target = str(tmp_path / "ran")
    argument = {
        os.system: f"touch {target}",
        eval: f"__import__('os').mkdir({target!r})",
        exec: f"__import__('os').mkdir({target!r})",
        subprocess.call: ["touch", target],
    }.get(function, target)
    more = {np.save: (1,), open: ("w",), getattr: ("upper",)}.get(function, ())
    attack = Call(function, argument, *more)
    data = pickle.dumps({"features.0.weight": [1, attack]} if hidden else attack, protocol)
    assert refused(with_pickle(data, container)).startswith("refused: ")


GLOBALS = [
    ("builtins", "eval"),
    ("__builtin__", "eval"),
    ("os", "system"),
    ("posix", "system"),
    ("torch", "load"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ("torch.storage", "_load_from_bytes"),
    ("torch.hub", "load"),
    ("collections", "OrderedDict.__init__"),
    ("collections.OrderedDict", ""),
    ("numpy.core.multiarray", "_reconstruct"),
    ("_codecs", "decode"),
    ("numpy", "ndarray"),
    ("argparse", "Action"),
    ("torchvision.models.alexnet", "AlexNet"),
]


@pytest.mark.parametrize("container", CHECKPOINTS)
@pytest.mark.parametrize("module, name", GLOBALS, ids=str)
def test_no_other_global_is_admitted_by_any_instruction(module, name, container, refused):
    old = f"c{module}\n{name}\n".encode()
    words = b"".join(b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name))
    for code in (old, words + b"\x93"):
        for use in (b"", b")R", b")\x81", b"}b", b"q\x01h\x01"):
            message = refused(with_pickle(b"\x80\x04" + code + use + b".", container))
            assert message.startswith(f"refused: {module + '.' + name!r}")


ADMITTED = b"\x80\x02ccollections\nOrderedDict\n"
INSTRUCTIONS = {
    "INST": b"\x80\x02(S'true'\nios\nsystem\n.",
    "OBJ": b"\x80\x02(cos\nsystem\nX\x04\0\0\0trueo.",
    "OBJ of an admitted class": b"\x80\x02(ccollections\nOrderedDict\no.",
    "NEWOBJ": ADMITTED + b")\x81.",
    "NEWOBJ_EX": ADMITTED + b")}\x92.",
    "EXT1": b"\x80\x02\x82\x01.",
    "EXT2": b"\x80\x02\x83\x01\0.",
    "EXT4": b"\x80\x02\x84\x01\0\0\0.",
    "BUILD of a global": ADMITTED + b"}b.",
    "BUILD of a tensor": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R}b.",
    "REDUCE of a text": b"\x80\x02X\x04\0\0\0eval)R.",
    "REDUCE of a call": ADMITTED + b")R)R.",
    "REDUCE with a text": ADMITTED + b"X\x04\0\0\0evalR.",
    "PERSID": b"\x80\x02Psomewhere\n.",
    "NEXT_BUFFER": b"\x80\x05\x97.",
    "SETITEM on a global": ADMITTED + b"NNs.",
    "APPEND to a dict": b"\x80\x02}Na.",
    "STRING": b"\x80\x02S'os'\n.",
    "INT": b"\x80\x02I" + b"9" * 900 + b"\n.",
    "INT of no digits": b"\x80\x02I1_0\n.",
    "LONG": b"\x80\x02L" + b"9" * 5000 + b"L\n.",
    "a state": pickle.dumps(State(), 2),
    "nothing": b"\x80\x02.",
    "a mark": b"\x80\x02(.",
    "below a mark": b"\x80\x02N(\x85.",
    "unknown in memo": b"\x80\x02h\x07.",
}


@pytest.mark.parametrize("container", CHECKPOINTS)
@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_instructions_that_would_make_objects_are_refused(name, container, refused):
    assert refused(with_pickle(INSTRUCTIONS[name], container))


LONG_LIST = b"]q\1]q\2(NNe0h\1(" + b"h\2" * 2000 + b"e"
COPIES = ADMITTED + b"q\0" + LONG_LIST + b"h\0h\1\x85R" * 500 + b"."
ALIKE = (b"\x8a\x08" + struct.pack("<Q", i * (2**61 - 1) % 2**63) + b"N" for i in range(5000))
BOMBS = {
    "memo index": b"\x80\x02Nr\xff\xff\xff\xff.",
    "frame": b"\x80\x04\x95" + b"\xff" * 8 + b"N.",
    "text": b"\x80\x04\x8d" + b"\xff" * 8 + b".",
    "bytearray": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "long": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "deep lists": b"\x80\x02" + b"]" * 2**12 + b"a" * (2**12 - 1) + b".",
    "deep tuples": b"\x80\x02N" + b"\x85" * 2**13 + b".",
    "doubled": b"\x80\x02]" + b"q\0h\0\x86" * 60 + b".",
    "doubled key": b"\x80\x02})" + b"q\0h\0\x86" * 60 + b"Ns.",
    "a list in itself": b"\x80\x02]q\0h\0ah\0.",
    "steps": b"\x80\x02" + b"N0" * 2**14 + b"N.",
    "marks": b"\x80\x02" + b"(" * 2**15,
    "copies": COPIES,
    "numbers that hash alike": b"\x80\x02}(" + b"".join(ALIKE) + b"u.",
}  # fmt: skip


@pytest.mark.parametrize("container", CHECKPOINTS)
@pytest.mark.parametrize("name", BOMBS)
def test_a_pickle_cannot_take_time_or_memory_out_of_proportion(
    name, container, refused, cheap, monkeypatch
):
    monkeypatch.setattr(pickled, "_MOST_STEPS", 2**14)  # type checks of tests make steps slow
    with cheap(memory=8 * 2**20):
        assert refused(with_pickle(BOMBS[name], container))


COUNT = THEIRS["features.0.weight"].size
LIES = {
    "larger than its storage": {"shape": (4, 3, 2, 3)},
    "enormous": {"shape": (2**31, 2**31, 2**31, 2**31)},
    "beyond 64 bits": {"shape": (2**70, 1, 1, 1)},
    "an enormous storage": {"length": 2**40},
    "a storage beyond 64 bits": {"length": 2**80},
    "a negative storage": {"length": -1},
    "a smaller storage": {"length": COUNT - 1},
    "a negative side": {"shape": (4, 3, -2, 2)},
    "negative sides": {"shape": (4, 3, -2, -2)},
    "no sides": {"shape": ()},
    "forty sides": {"shape": (1,) * 40, "strides": (1,) * 40},
    "a list of sides": {"shape": [4, 3, 2, 2]},
    "a side that is none": {"shape": (4, 3, 2, None)},
    "a side that is true": {"shape": (4, 3, 2, True)},
    "a fractional side": {"shape": (4, 3, 2, 2.0)},
    "a far offset": {"offset": 1},
    "a negative offset": {"offset": -1},
    "an enormous offset": {"offset": 2**47},
    "a far stride": {"strides": (12, 4, 2, 2)},
    "a negative stride": {"strides": (12, 4, 2, -1)},
    "an enormous stride": {"strides": (2**62, 4, 2, 1)},
    "few strides": {"strides": (12, 4, 2)},
    "many numbers from few": {"shape": (2**20, 2**20), "strides": (0, 0)},
    "another type": {"kind": "torch DoubleStorage"},
    "no type": {"kind": "collections OrderedDict"},
    "no storage": {"key": "../data.pkl"},
    "a key that is no text": {"key": 3},
}


@pytest.mark.parametrize("container", CHECKPOINTS)
@pytest.mark.parametrize("name", LIES)
def test_a_tensor_that_lies_about_itself_is_refused(name, container, refused, cheap):
    content = files.described(THEIRS, older=container == "older")
    array = THEIRS["features.0.weight"]
    lying = files.tensor(
        array, "0", older=container == "older", **({"shape": array.shape} | LIES[name])
    )
    content["features.0.weight"] = lying
    with cheap():
        assert refused(CHECKPOINTS[container](THEIRS, content))


def test_two_tensors_may_not_disagree_about_a_storage(refused):
    content = files.described(THEIRS, older=True)
    content["features.0.bias"] = files.tensor(np.ones(4, np.float64), "0", older=True)
    assert "two sizes" in refused(files.older_checkpoint(THEIRS, content))


@pytest.mark.parametrize(
    "keys", [[], ["0"] * 16, ["0", "1"], [*map(str, range(15)), 15], [*map(str, range(17))], None]
)
def test_the_list_of_storages_must_fit(keys, refused):
    keys = [*map(str, range(15)), "x"] if keys is None else keys
    assert refused(files.older_checkpoint(THEIRS, keys=keys))


def test_parts_of_storages_as_the_oldest_torch_shared_them_are_refused(refused):
    content = files.described(THEIRS, older=True)
    tensor = content["features.0.weight"]
    identity = (*tensor.arguments[0].identity[:5], ("1", 0, 4))
    shared = files.Called(tensor.function, (files.Persistent(identity), *tensor.arguments[1:]))
    content["features.0.weight"] = shared
    assert refused(files.older_checkpoint(THEIRS, content))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(refused, cheap):
    large = {"features.0.weight": np.zeros(2**23, np.float32)}
    small = {name: np.zeros(2**18 - 40, np.float32) for name in THEIRS}
    code = {"archive/data.pkl": b"\x80\x02" + b"N0" * 2**23}
    for bomb, said in (
        (files.npz(THEIRS | large, compression=zipfile.ZIP_DEFLATED), "would grow"),
        (files.npz(small, compression=zipfile.ZIP_DEFLATED), "has shape"),
        (files.zipped(code, compression=zipfile.ZIP_DEFLATED), "would grow"),
        (files.zipped(code), "at most"),
    ):
        with cheap(memory=2**20):
            assert said in refused(bomb)


@pytest.mark.parametrize("beyond", [0, 60], ids=["at its end", "before what follows"])
def test_compressed_data_that_end_too_early_are_refused(beyond, refused, cheap):
    members = {f"{name}.npy": files.npy(value) for name, value in THEIRS.items()}
    members["features.0.weight.npy"] = members["features.0.weight.npy"][:40]
    data = bytearray(files.zipped(members, compression=zipfile.ZIP_DEFLATED))
    entry = directory_entry(data)
    (packed,) = struct.unpack_from("<I", data, entry + 20)
    struct.pack_into("<II", data, entry + 20, packed + beyond, 400)
    with cheap():
        assert "end too early" in refused(bytes(data))


def test_members_that_are_compressed_encrypted_or_twice_there_are_refused(refused, tmp_path):
    assert "uncompressed" in refused(files.zipped(files.zip_members(THEIRS), compression=8))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "method" in refused(files.npz(THEIRS, compression=method))
    data = bytearray(files.npz(THEIRS))
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refused(bytes(data))
    data = files.npz(THEIRS | {"features.0.weighs": THEIRS["features.0.weight"]})
    assert "two members" in refused(data.replace(b"weighs", b"weight"))


def directory_entry(data):
    """Where the first entry of the directory begins."""
    return data.index(b"PK\x01\x02")


ARCHIVE_LIES = {  # place after the entry's or end record's begin, bytes
    "a member beyond the end": (directory_entry, 42, struct.pack("<I", 2**31)),
    "a header that is none": (directory_entry, 42, struct.pack("<I", 1)),
    "an enormous size": (directory_entry, 20, struct.pack("<II", 2**31, 2**31)),
    "two sizes": (directory_entry, 24, struct.pack("<I", 5)),
    "a size in no field": (directory_entry, 20, b"\xff" * 8),
    "a long name": (directory_entry, 28, b"\xff\xff"),
    "a long extra field": (directory_entry, 30, b"\xff\xff"),
    "another checksum": (directory_entry, 16, b"abcd"),
    "another disk": (lambda data: data.rindex(b"PK\x05\x06"), 4, b"\1\0"),
    "more members": (lambda data: data.rindex(b"PK\x05\x06"), 8, b"\xfe\xff\xfe\xff"),
    "fewer members": (lambda data: data.rindex(b"PK\x05\x06"), 8, b"\0\0\0\0"),
    "a far directory": (lambda data: data.rindex(b"PK\x05\x06"), 16, b"\xf0\xff\xff\xff"),
    "a large directory": (lambda data: data.rindex(b"PK\x05\x06"), 12, b"\xf0\xff\xff\x7f"),
    "a zip64 record that is not there": (
        lambda data: data.rindex(b"PK\x05\x06"), 8, b"\xff" * 12
    ),
    "a comment that is not there": (lambda data: data.rindex(b"PK\x05\x06"), 20, b"\1\0"),
}  # fmt: skip


@pytest.mark.parametrize("write", [files.npz, files.zip_checkpoint], ids=["npz", "torch"])
@pytest.mark.parametrize("name", ARCHIVE_LIES)
def test_an_archive_that_lies_about_itself_is_refused(name, write, refused, cheap):
    where, place, value = ARCHIVE_LIES[name]
    data = write(THEIRS)
    start = where(data) + place
    with cheap():
        assert refused(data[:start] + value + data[start + len(value) :])


NPY_LIES = [
    (b"(4, 3, 2, 2)", b"(4, 3, 2, 3)"),
    (b"(4, 3, 2, 2)", b"(-4,3, 2, 2)"),
    (b"(4, 3, 2, 2)", b"(4, 3, 2.,2)"),
    (b"(4, 3, 2, 2)", b"(9999999999)"),
    (b"(4, 3, 2, 2)", b"[4, 3, 2, 2]"),
    (b"'<f4'", b"'|O8'"),
    (b"'<f4'", b"'<f8'"),
    (b"'<f4'", b"'<i4'"),
    (b"'<f4'", b"'<f9'"),
    (b"'<f4'", b"'<V4'"),
    (b"'<f4'", b"[('']"),
    (b"False", b"false"),
    (b"{'descr", b"exec(1)"),
    (b"NUMPY\x01", b"NUMPY\x03"),
    (b"NUMPY\x01\0v\0", b"NUMPY\x01\0\xff\xff"),
]


@pytest.mark.parametrize("old, new", NPY_LIES, ids=str)
def test_an_array_that_lies_about_itself_is_refused(old, new, refused, cheap):
    members = {f"{name}.npy": files.npy(value) for name, value in THEIRS.items()}
    first = members["features.0.weight.npy"]
    assert old in first
    with cheap():
        assert refused(files.zipped(members | {"features.0.weight.npy": first.replace(old, new)}))


def test_arrays_of_objects_are_never_unpickled(refused, tmp_path):
    hidden = np.array([Call(os.mkdir, str(tmp_path / "ran"))], object)
    members = {f"{name}.npy": files.npy(value) for name, value in THEIRS.items()}
    np.save(tmp_path / "x.npy", hidden, allow_pickle=True)
    attack = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").unlink()
    assert "plain numbers" in refused(files.zipped(members | {"features.0.weight.npy": attack}))


HEADERS = [
    b"",
    b"{",
    b"[]",
    b'{"x":' * 50000,
    b"[" * 100000,
    b'{"a": ' + b"9" * 6000 + b"}",
    b'{"features.0.weight": 3}',
    b'{"features.0.weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 1e9]}}',
    b'{"features.0.weight": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0]}}',
    b'{"features.0.weight": {"dtype": "F32", "shape": [-4], "data_offsets": [16, 0]}}',
    b'{"features.0.weight": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}',
    b'{"features.0.weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 99999999999]}}',
    b'{"features.0.weight": {"dtype": "F32", "shape": [4611686018427387904, 4], '
    b'"data_offsets": [0, 0]}}',
    b'{"features.0.weight": {"dtype": "X", "shape": [4, 3, 2, 2], "data_offsets": [0, 0]}}',
    b'{"__metadata__": {"a": ["b"]}}',
    b'{"__metadata__": 3}',
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header[:60])
def test_a_safetensors_header_that_lies_is_refused(header, refused, cheap):
    with cheap():
        assert refused(files.safetensors([header, bytes(192)]))


@pytest.mark.parametrize("length", [0, 1, 2**22, 2**22 + 1, 2**31])
def test_a_safetensors_header_with_a_false_length_is_refused(length, refused, cheap):
    data = files.safetensors(files.safetensors_parts(THEIRS))
    with cheap():
        assert refused(struct.pack("<Q", length) + data[8:])


def test_a_sparse_file_of_terabytes_is_refused_unread(tmp_path):
    path = tmp_path / "huge.pth"
    with path.open("wb") as file:
        file.write(files.older_checkpoint(THEIRS))
        file.truncate(2**41)
    with pytest.raises(jaxviz.InputError, match=str(2**41)):
        porting.port_weights(path, tmp_path / "ours.safetensors")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(jaxviz.InputError, match="no such file"):
        porting.port_weights(tmp_path / "pipe.pth", tmp_path / "ours.safetensors")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "foreign.pth"
    path.write_bytes(files.zip_checkpoint(THEIRS))

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(jaxviz.InputError, match="No space left"):
        porting.port_weights(path, tmp_path / "ours.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["foreign.pth"]
