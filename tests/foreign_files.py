"""Foreign weights files written by hand: the tests' own encoders of torch's and NumPy's formats."""

import collections
import io
import itertools
import json
import struct
import zipfile
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from oracles.complete_alexnet import scattered

TORCHVISION = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}
TINY = {  # an AlexNet for files of a few hundred bytes
    "conv1": (2, 2, 3, 4),
    "conv2": (1, 1, 4, 3),
    "conv3": (1, 1, 3, 3),
    "conv4": (1, 2, 3, 3),
    "conv5": (1, 1, 3, 2),
    "fc6": (72, 3),
    "fc7": (3, 4),
    "fc8": (4, 5),
}
STORAGE = {"float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long"}


class Named(NamedTuple):
    """A global, "module name"."""

    name: str


class Called(NamedTuple):
    """The call of a global."""

    function: Named
    arguments: tuple


class Persistent(NamedTuple):
    """A persistent id."""

    identity: tuple


def tiny_tensors():
    """Weights of the tiny AlexNet, by our names."""
    tensors = {}
    for seed, (layer, shape) in enumerate(TINY.items(), start=1):
        values = scattered(int(np.prod(shape)), seed)
        tensors[f"{layer}.kernel"] = values.reshape(shape)
        tensors[f"{layer}.bias"] = scattered(shape[-1], seed + 20)
    return tensors


def tiny_shapes(name):
    """In the place of `catalog.parameter_shapes`: each network is the tiny AlexNet."""
    tensors = tiny_tensors()
    described = {name: SimpleNamespace(shape=value.shape) for name, value in tensors.items()}
    short = {name: value for name, value in described.items() if name.startswith("conv")}
    return described, short


def as_torchvision(tensors):
    """The same weights by torchvision's names, in torch's order of axes."""
    found = collections.OrderedDict()
    for layer, theirs in TORCHVISION.items():
        if f"{layer}.kernel" not in tensors:
            continue
        kernel = tensors[f"{layer}.kernel"]
        if layer == "fc6":
            by_place = kernel.reshape(6, 6, -1, kernel.shape[1])
            kernel = np.einsum("rcio->oirc", by_place).reshape(kernel.shape[::-1])
        else:
            kernel = np.einsum("hwio->oihw", kernel) if kernel.ndim == 4 else kernel.T
        found[f"{theirs}.weight"] = np.ascontiguousarray(kernel)
        found[f"{theirs}.bias"] = tensors[f"{layer}.bias"]
    return found


def pickled(value):
    """A pickle of protocol 2."""
    return b"\x80\x02" + b"".join(_opcodes(value)) + b"."


def _opcodes(value):
    if value is None or isinstance(value, bool):
        yield {None: b"N", True: b"\x88", False: b"\x89"}[value]
    elif isinstance(value, int):
        small = -(2**31) <= value < 2**31
        size = (value.bit_length() + 8) // 8
        long = b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
        yield b"J" + struct.pack("<i", value) if small else long
    elif isinstance(value, float):
        yield b"G" + struct.pack(">d", value)
    elif isinstance(value, str):
        yield b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    elif isinstance(value, Named):
        yield b"c" + "\n".join([*value.name.split(" "), ""]).encode()
    elif isinstance(value, Called):
        yield from itertools.chain(_opcodes(value.function), _opcodes(value.arguments), [b"R"])
    elif isinstance(value, Persistent):
        yield from itertools.chain(_opcodes(value.identity), [b"Q"])
    elif isinstance(value, tuple):
        yield from itertools.chain([b"("], *map(_opcodes, value), [b"t"])
    elif isinstance(value, list):
        yield from itertools.chain([b"]("], *map(_opcodes, value), [b"e"])
    elif isinstance(value, dict):
        ordered = isinstance(value, collections.OrderedDict)
        yield b"ccollections\nOrderedDict\n)R(" if ordered else b"}("
        yield from itertools.chain.from_iterable(map(_opcodes, itertools.chain(*value.items())))
        yield b"u"
    else:
        raise TypeError(value)


def tensor(array, key, /, *, older, **changes):
    """What torch pickles for a tensor; `changes` are to the parts of its description."""
    array = np.asarray(array)
    parts = {
        "kind": f"torch {STORAGE[array.dtype.name]}Storage",
        "key": key,
        "length": array.size,
        "offset": 0,
        "shape": array.shape,
        "strides": tuple(step // array.itemsize for step in array.strides),
        **changes,
    }
    identity = ("storage", Named(parts["kind"]), parts["key"], "cpu", parts["length"])
    rest = (parts["offset"], parts["shape"], parts["strides"], False, collections.OrderedDict())
    stored = Persistent((*identity, None) if older else identity)
    return Called(Named("torch._utils _rebuild_tensor_v2"), (stored, *rest))


def described(arrays, *, older=False):
    """An ordered dict of pickled tensors, storage "0", "1", ... each."""
    return collections.OrderedDict(
        (name, tensor(array, str(key), older=older))
        for key, (name, array) in enumerate(arrays.items())
    )


def zipped(members, **options):
    """A zip archive of {name: bytes}."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, options.get("compression"))
    return buffer.getvalue()


def zip_members(arrays, content=None):
    """The members of a checkpoint as torch has written it since 1.6."""
    content = described(arrays) if content is None else content
    storages = {f"archive/data/{i}": a.tobytes() for i, a in enumerate(arrays.values())}
    head = {"archive/data.pkl": pickled(content), "archive/byteorder": b"little"}
    return {**head, **storages, "archive/version": b"3\n"}


def zip_checkpoint(arrays, content=None):
    """A checkpoint as torch has written it since 1.6."""
    return zipped(zip_members(arrays, content))


def older_parts(arrays, content=None, *, keys=None, little_endian=True):
    """The five pickles and the storages of a checkpoint as torch wrote it before 1.6."""
    content = described(arrays, older=True) if content is None else content
    keys = [str(key) for key in range(len(arrays))] if keys is None else keys
    machine = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {"int": 4}}
    pickles = map(pickled, (0x1950A86A20F9469CFC6C, 1001, machine, content, keys))
    storages = (struct.pack("<q", a.size) + a.tobytes() for a in arrays.values())
    return [*pickles, *storages]


def older_checkpoint(arrays, content=None, **options):
    """A checkpoint as torch wrote it before 1.6."""
    return b"".join(older_parts(arrays, content, **options))


def npy(array):
    """An npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(arrays, **options):
    """An npz file."""
    return zipped({f"{name}.npy": npy(array) for name, array in arrays.items()}, **options)


def safetensors_parts(arrays, metadata=None):
    """The header and the data of a safetensors file."""
    header, end = {"__metadata__": metadata} if metadata else {}, 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        kind = f"{array.dtype.kind.upper()}{8 * array.itemsize}"
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [start, end]}
    return [json.dumps(header).encode(), b"".join(array.tobytes() for array in arrays.values())]


def safetensors(parts):
    """A safetensors file of a header and data."""
    return struct.pack("<Q", len(parts[0])) + b"".join(parts)
