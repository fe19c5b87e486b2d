"""Reading pickles of state dicts as data: what a pickle would call is recorded, never called.

A pickle is a program for a stack machine. This reads those of protocol 2 and later as far as torch
writes them for tensors in plain containers. A global is a name among those admitted, a call is the
record of that name and its arguments; any other name or instruction is refused. What training
scripts like to save beside the weights, numbers of NumPy's for one, is recorded too, and its state
is dropped. Nothing is hashed
or compared but the pickle's own small numbers, and the work is bounded, so that no pickle can take
time or memory out of proportion.
"""

import io
import pickletools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .._checks import InputError

MOST_BYTES = 2**23
_MOST_STEPS = 2**18  # a large network's state dict takes some ten thousand


BESIDE = frozenset(
    {
        "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype",
        "_codecs.encode", "torch.Size", "argparse.Namespace",
    }
)  # admitted anywhere; never a tensor  # fmt: skip


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
    machine = _Machine(frozenset(admitted))
    file = io.BytesIO(data)
    file.seek(start)
    instructions = pickletools.genops(file)  # decodes each with its argument, and runs nothing
    while (instruction := _next(instructions))[0] != "STOP":
        name, argument = instruction
        machine.spend(1)
        if name not in _STEPS:
            raise InputError(f"refused: no state dict needs pickle instruction {name}")
        _STEPS[name](machine, argument)
    return Parsed(machine.pop(), file.tell(), machine.references)


def _next(instructions: Iterator[tuple[Any, Any, Any]]) -> tuple[str, Any]:
    try:
        opcode, argument, _ = next(instructions)
    except (ValueError, StopIteration, Warning) as error:  # a warning, where those are errors
        raise InputError(f"its pickle is damaged or cut short ({str(error)[:80]})") from None
    return opcode.name, argument


class _Machine:
    def __init__(self, admitted: frozenset[str]) -> None:
        self.admitted = admitted
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.references: list[Reference] = []
        self.steps = 0

    def spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > _MOST_STEPS:
            raise InputError(f"its pickle takes more than {_MOST_STEPS} steps")

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
        if whole not in self.admitted | BESIDE:
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

    def make(self) -> None:
        """Push an object of a class in `BESIDE`, as the call of the class."""
        arguments, kind = self.pop(), self.pop()
        if not isinstance(kind, Global) or kind.name not in BESIDE:
            raise InputError("refused: its pickle makes an object that no state dict needs")
        self.push(Call(kind.name, arguments))

    def build(self) -> None:
        """Drop the attributes of an ordered dict, or of an object in `BESIDE`."""
        self.pop()
        owner = self.pop()
        if type(owner) is not Pairs and not (type(owner) is Call and owner.function in BESIDE):
            raise InputError("its pickle puts things where they cannot be")
        self.push(owner)

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


def _ignore(machine: _Machine, argument: Any) -> None:
    """Do nothing."""


def _push(machine: _Machine, argument: Any) -> None:
    machine.push(argument)


_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": _ignore,
    "FRAME": _ignore,
    **dict.fromkeys(
        ("INT", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
         "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING", "BINBYTES",
         "SHORT_BINBYTES"), _push,
    ),
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: m.pop(),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE": lambda m, _: m.push(tuple(m.marked())),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "APPEND": lambda m, _: m.append([m.pop()]),
    "APPENDS": lambda m, _: m.append(m.marked()),
    "EMPTY_DICT": lambda m, _: m.push(Pairs()),
    "SETITEM": lambda m, _: m.put([m.pop(), m.pop()][::-1]),
    "SETITEMS": lambda m, _: m.put(m.marked()),
    "BINPUT": lambda m, index: m.remember(index),
    "LONG_BINPUT": lambda m, index: m.remember(index),
    "MEMOIZE": lambda m, _: m.remember(len(m.memo)),
    "BINGET": lambda m, index: m.recall(index),
    "LONG_BINGET": lambda m, index: m.recall(index),
    "GLOBAL": lambda m, names: m.name(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.name(*[m.pop(), m.pop()][::-1]),
    "REDUCE": lambda m, _: m.call(),
    "NEWOBJ": lambda m, _: m.make(),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": lambda m, _: m.refer(),
}  # fmt: skip
