"""Reading PyTorch's checkpoints in both formats, without torch and without running their pickles.

Since 1.6 `torch.save` writes a zip archive: `data.pkl`, a pickle in which each tensor refers to a
storage by key, and one member a storage. Before, it wrote five pickles one after the other (a magic
number, a version, a description of the machine, the object, the storages' keys) and then each
storage, its length before it. See the notes in torch/serialization.py.
"""

import functools
import os
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .._checks import InputError
from .arrangement import Ported, from_names, num_known
from .pickled import MOST_BYTES, Call, Global, Pairs, Parsed, Reference, parse
from .source import Section, Source, opened
from .stored import BFLOAT16, Stored, checked
from .zip_members import Member, holds_member, zip_members

_MAGIC = bytes.fromhex("8a0a6cfc9c46f920 6aa85019 2e")  # the pickled number, without its protocol
_VERSION = 1001
_NUMBERS = {  # the storage class: number type, bytes
    "Float": ("float32", 4), "Double": ("float64", 8), "Half": ("float16", 2),
    "BFloat16": (BFLOAT16, 2), "Long": ("int64", 8), "Int": ("int32", 4), "Short": ("int16", 2),
    "Char": ("int8", 1), "Byte": ("uint8", 1), "Bool": ("bool", 1),
}  # fmt: skip
_STORAGES = {
    f"{module}.{name}Storage": numbers
    for module in ("torch", "torch.cuda")
    for name, numbers in _NUMBERS.items()
}
_TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_PARAMETER = "torch._utils._rebuild_parameter"
_ADMITTED = ("collections.OrderedDict", *_STORAGES, *_TENSORS, _PARAMETER)
_MOST_DEEP = 4  # dicts in dicts above the one that holds the tensors

_WHOLE = ((), (None,))  # what may follow: no part of a storage, but all of it


class _Storage(NamedTuple):
    kind: str
    item_bytes: int
    key: str
    length: int


# How a storage is opened, and whether the highest byte of its numbers comes first.
_Opened = tuple[Callable[[], Section], bool]
_Opener = Callable[[_Storage], _Opened]


def is_torch(source: Source) -> bool:
    """Whether the file looks like one that `torch.save` wrote, in either format."""
    return _is_older(source) or holds_member(source, "/data.pkl")


def port_torch(path: str | os.PathLike[str], *, network: str | None = None) -> Ported:
    """Read a state dict, bare or in a checkpoint, whatever its key there.

    Of several state dicts that counts which holds most of a network's names; `network` says which
    network where the names fit several. float16, bfloat16 and float64 become float32. Raises
    `InputError` for whole models and scripts, for what no network of ours fits, for any pickle that
    holds more than tensors and numbers in plain containers, and for damage.
    """
    with opened(path) as source:
        older = _is_older(source)
        content, opener = _read_older(source) if older else _read_zip(source)
        entries, others = _state_dict(content)
        tensors = {name: _tensor(name, value, opener) for name, value in entries.items()}
        written = "the format before torch 1.6" if older else "zip"
        return from_names(
            {name: tensor for name, tensor in tensors.items() if tensor is not None},
            written_as=f"PyTorch state dict ({written})",
            network=network,
            left_over=others + tuple(name for name, tensor in tensors.items() if tensor is None),
        )


def _is_older(source: Source) -> bool:
    return source.head(1) == b"\x80" and _MAGIC in source.head(32)


def _read_zip(source: Source) -> tuple[Any, _Opener]:
    members = zip_members(source)
    pickles = [name for name in members if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise InputError(f"is no PyTorch checkpoint: it holds {len(pickles)} data.pkl, expected 1")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in members:
        raise InputError("is a TorchScript program; save the model's state_dict() instead")
    order = members.get(f"{folder}byteorder")
    byte_order = order.content(source, 6) if order else b"little"
    if byte_order not in (b"little", b"big"):
        raise InputError(f"its byte order is {byte_order!r}, expected little or big")
    content = parse(members[pickles[0]].content(source, MOST_BYTES), 0, _ADMITTED).value
    return content, functools.partial(_open_member, source, members, folder, byte_order == b"big")


def _open_member(
    source: Source, members: dict[str, Member], folder: str, big_endian: bool, storage: _Storage
) -> _Opened:
    member = members.get(f"{folder}data/{storage.key}")
    if member is None:
        raise InputError(f"storage {storage.key[:80]!r} is missing")
    size = storage.length * storage.item_bytes
    if member.deflated or member.size != size:
        raise InputError(f"storage {storage.key[:80]!r} is not {size} bytes, uncompressed")
    return functools.partial(member.open, source), big_endian


def _read_older(source: Source) -> tuple[Any, _Opener]:
    data = source.head(MOST_BYTES)
    parts: list[Parsed] = []
    for _ in range(5):
        parts.append(parse(data, parts[-1].end if parts else 0, _ADMITTED))
    _, version, machine, content, keys = (part.value for part in parts)
    if version != _VERSION or not isinstance(machine, Pairs) or not isinstance(keys, list):
        raise InputError(f"is not a checkpoint of version {_VERSION}")
    if machine.texts().get("little_endian") is not True:
        raise InputError("was written on a machine that puts the highest byte first")
    sizes: dict[str, _Storage] = {}
    for storage in map(_storage, parts[3].references):
        if sizes.setdefault(storage.key, storage) != storage:
            raise InputError(f"storage {storage.key[:80]!r} has two sizes")
    places: dict[str, int] = {}
    place = parts[-1].end
    for key in keys:
        if not isinstance(key, str) or key not in sizes or key in places:
            raise InputError("the list of its storages does not fit its tensors")
        (length,) = struct.unpack("<q", source.read(place, 8))
        if length != sizes[key].length:
            raise InputError(f"storage {key[:80]!r} has {length} numbers, not {sizes[key].length}")
        places[key] = place + 8
        place += 8 + length * sizes[key].item_bytes
    if place > source.size:
        raise InputError(f"is cut short: {source.size} bytes of {place}")
    return content, functools.partial(_open_part, source, places)


def _open_part(source: Source, places: dict[str, int], storage: _Storage) -> _Opened:
    if storage.key not in places:
        raise InputError(f"storage {storage.key[:80]!r} is missing")
    size = storage.length * storage.item_bytes
    return functools.partial(Section, source, places[storage.key], size), False


def _storage(reference: Any) -> _Storage:
    """The storage that a persistent id speaks of."""
    identity = reference.identity if isinstance(reference, Reference) else None
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[5:] not in _WHOLE:
        raise InputError("a tensor's storage is not described as torch does")
    word, kind, key, _, length = identity[:5]
    named = word == "storage" and isinstance(kind, Global) and isinstance(key, str)
    if not named or kind.name not in _STORAGES or not _counts((length,)):
        raise InputError("a tensor's storage is not described as torch does")
    return _Storage(*_STORAGES[kind.name], key, length)


def _state_dict(content: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The entries of the state dict, and the names of what lies beside it."""
    found = dict(_dicts_of_tensors(content, (), set()))
    if not found:
        raise InputError("holds no state dict; save the model's state_dict()")
    known = {keys: num_known(entries) for keys, entries in found.items()}
    best = [keys for keys in found if known[keys] == max(known.values())]
    if len(best) > 1:
        names = " and ".join(".".join(keys)[:80] for keys in best[:4])
        raise InputError(f"holds several state dicts alike, {names}; save one of them alone")
    (keys,) = best
    beside = content.texts() if keys else {}
    return found[keys], tuple(name for name in beside if name != keys[0])


def _dicts_of_tensors(
    content: Any, keys: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The dicts that hold tensors themselves, each once, with the keys that lead there."""
    if not isinstance(content, Pairs) or len(keys) > _MOST_DEEP or id(content) in seen:
        return
    seen.add(id(content))
    entries = content.texts()
    if any(_is_tensor(value) for value in entries.values()):
        yield keys, entries
        return
    for key, inner in entries.items():
        yield from _dicts_of_tensors(inner, (*keys, key), seen)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Call) and value.function in (*_TENSORS, _PARAMETER)


def _tensor(name: str, value: Any, opener: _Opener) -> Stored | None:
    """The tensor that a call would rebuild; None if the value is something else."""
    if isinstance(value, Call) and value.function == _PARAMETER and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, Call) or value.function not in _TENSORS:
        return None
    reference, offset, shape, strides = (*value.arguments, *(None,) * 4)[:4]
    if not _counts((offset,)) or not _counts(shape) or not _counts(strides):
        raise InputError(f"{name[:80]!r} is not described as torch does")
    storage = _storage(reference)
    opened, big_endian = opener(storage)
    return checked(
        Stored(shape, storage.kind, opened, storage.length, strides, offset, big_endian=big_endian)
    )


def _counts(values: Any) -> bool:
    """Whether these are whole numbers of a size that files have."""
    return isinstance(values, tuple) and all(
        type(value) is int and 0 <= value < 2**48 for value in values
    )
