"""Pickles of state dicts, read as data: what a pickle would call is noted and never called.

A pickle is a program for a stack machine. This reads those of protocol 2 and later as far as torch
writes them for tensors in plain containers. A global is a name among those admitted, a call is the
record of that name and its arguments; any other name or instruction is refused. Nothing is hashed
or compared but the pickle's own small numbers, and the work is bounded, so that no pickle can take
time or memory out of proportion.
"""

import re
import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .._checks import InputError

MOST_BYTES = 2**23
_MOST_STEPS = 2**18  # a large network's state dict takes some ten thousand


class Global(NamedTuple):
    """A name that the pickle would import."""

    name: str


class Call(NamedTuple):
    """What the pickle would make by calling `function`."""

    function: str
    arguments: tuple[Any, ...]


class Reference(NamedTuple):
    """A thing that lies outside the pickle (`persistent_id`)."""

    identity: Any


class Pairs(list[tuple[Any, Any]]):
    """A dict, as its keys and values in order."""

    def texts(self) -> dict[str, Any]:
        """The values whose keys are text; of equal keys the last one counts."""
        return {key: value for key, value in self if isinstance(key, str)}


class Parsed(NamedTuple):
    """The value of a pickle, where the pickle ends, and all references that it makes.

    The value is made of None, bool, int, float, str, bytes, tuple, list, and the classes above.
    """

    value: Any
    end: int
    references: list[Reference]


def parse(data: bytes, start: int, admitted: Iterable[str]) -> Parsed:
    """Read the pickle that begins at `start`; refuse every name that is not `admitted`."""
    machine = _Machine(data, start, frozenset(admitted))
    while (code := machine.take(1)[0]) != _STOP:
        machine.spend(1)
        step = _STEPS.get(code)
        if step is None:
            raise InputError(f"refused: no state dict needs pickle instruction {code:#04x}")
        step(machine)
    return Parsed(machine.pop(), machine.place, machine.references)


class _Machine:
    def __init__(self, data: bytes, place: int, admitted: frozenset[str]) -> None:
        self.data, self.place, self.admitted = data, place, admitted
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.references: list[Reference] = []
        self.steps = 0

    def spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > _MOST_STEPS:
            raise InputError(f"its pickle takes more than {_MOST_STEPS} steps")

    def take(self, count: int) -> bytes:
        taken = self.data[self.place : self.place + count]
        if len(taken) != count:
            raise InputError("its pickle is cut short")
        self.place += count
        return taken

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.data.find(b"\n", self.place, self.place + 1000)
        if end < 0:
            raise InputError("its pickle is cut short")
        found = self.take(end - self.place)
        self.place += 1
        return _text(found)

    def digits(self) -> int:
        text = self.line()
        if not re.fullmatch("-?[0-9]{1,20}", text):
            raise InputError("its pickle has a number that is none")
        return int(text)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the topmost value, which must lie above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise InputError("its pickle takes more than it has")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        value = self.pop()
        if type(value) is not kind:
            raise InputError("its pickle puts things where they cannot be")
        self.push(value)
        return value

    def marked(self) -> list[Any]:
        """Take all values above the last mark, and the mark."""
        if not self.marks:
            raise InputError("its pickle takes more than it has")
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise InputError("its pickle takes more than it has")
        self.push(self.memo[index])

    def remember(self, index: int) -> None:
        value = self.pop()
        self.push(value)
        self.memo[index] = value

    def name(self, module: Any, name: Any) -> None:
        """Push a global, if it is admitted."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise InputError("its pickle has a name that is no text")
        whole = f"{module}.{name}"
        if whole not in self.admitted:
            raise InputError(
                f"refused: {whole[:80]!r} is no part of a state dict; nothing was run (of a whole "
                "model, save model.state_dict())"
            )
        self.push(Global(whole))

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise InputError("its pickle calls what is no function")
        if function.name == "collections.OrderedDict":
            items = arguments[0] if arguments else ()
            self.spend(len(items) if isinstance(items, list | tuple) else 0)
            self.push(_pairs(items))
        else:
            self.push(Call(function.name, arguments))

    def append(self, values: Iterable[Any]) -> None:
        self.top(list).extend(values)

    def put(self, values: list[Any]) -> None:
        if len(values) % 2:
            raise InputError("its pickle has a key without a value")
        self.top(Pairs).extend(zip(values[::2], values[1::2], strict=True))

    def build(self) -> None:
        """Drop the attributes of an ordered dict."""
        self.pop()
        self.top(Pairs)

    def refer(self) -> None:
        self.references.append(Reference(self.pop()))
        self.push(self.references[-1])

    def tuple_of(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))


def _pairs(items: Any) -> Pairs:
    """The content of an ordered dict, which Python 2 hands over as [[key, value], ...]."""
    lists = isinstance(items, list | tuple)
    if not lists or any(not isinstance(item, list | tuple) or len(item) != 2 for item in items):
        raise InputError("its pickle makes a dict of what is none")
    return Pairs((key, value) for key, value in items)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InputError("its pickle has a text that is not UTF-8") from None


_STOP = ord(".")
_STEPS: dict[int, Callable[[_Machine], None]] = {
    ord(code): step
    for code, step in {
        "\x80": lambda m: m.take(1),  # protocol
        "\x95": lambda m: m.take(8),  # frame
        "(": lambda m: m.marks.append(len(m.stack)),
        "0": lambda m: m.pop(),
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "I": lambda m: m.push(m.digits()),  # Python 2's numbers of more than 32 bits
        "J": lambda m: m.push(m.number("<i")),
        "K": lambda m: m.push(m.number("<B")),
        "M": lambda m: m.push(m.number("<H")),
        "\x8a": lambda m: m.push(int.from_bytes(m.take(m.number("<B")), "little", signed=True)),
        "G": lambda m: m.push(m.number(">d")),
        "X": lambda m: m.push(_text(m.take(m.number("<I")))),
        "\x8c": lambda m: m.push(_text(m.take(m.number("<B")))),
        "\x8d": lambda m: m.push(_text(m.take(m.number("<Q")))),
        "T": lambda m: m.push(_text(m.take(m.number("<I")))),  # Python 2's texts
        "U": lambda m: m.push(_text(m.take(m.number("<B")))),
        "B": lambda m: m.push(m.take(m.number("<I"))),
        "C": lambda m: m.push(m.take(m.number("<B"))),
        ")": lambda m: m.push(()),
        "t": lambda m: m.push(tuple(m.marked())),
        "\x85": lambda m: m.tuple_of(1),
        "\x86": lambda m: m.tuple_of(2),
        "\x87": lambda m: m.tuple_of(3),
        "]": lambda m: m.push([]),
        "a": lambda m: m.append([m.pop()]),
        "e": lambda m: m.append(m.marked()),
        "}": lambda m: m.push(Pairs()),
        "s": lambda m: m.put([m.pop(), m.pop()][::-1]),
        "u": lambda m: m.put(m.marked()),
        "q": lambda m: m.remember(m.number("<B")),
        "r": lambda m: m.remember(m.number("<I")),
        "\x94": lambda m: m.remember(len(m.memo)),
        "h": lambda m: m.recall(m.number("<B")),
        "j": lambda m: m.recall(m.number("<I")),
        "c": lambda m: m.name(m.line(), m.line()),
        "\x93": lambda m: m.name(*[m.pop(), m.pop()][::-1]),
        "R": lambda m: m.call(),
        "b": lambda m: m.build(),
        "Q": lambda m: m.refer(),
    }.items()
}
