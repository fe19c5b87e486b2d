"""The settings of the layers in Caffe's AlexNets; a net with other settings is refused."""

import math
from typing import NamedTuple

from .._checks import InputError
from ..networks.caffe_alexnet import CONVOLUTIONS
from .protobuf import Message


class _Setting(NamedTuple):
    """A number that may stand in several fields: for both axes, for rows, for columns."""

    name: str
    fields: tuple[int, ...]
    default: float | None
    wanted: float


_NORM = (
    _Setting("local_size", (1,), 5, 5),
    _Setting("alpha", (2,), 1, 1e-4),
    _Setting("beta", (3,), 0.75, 0.75),
    _Setting("norm_region", (4,), 0, 0),
    _Setting("k", (5,), 1, 1),
)
_POOL = (
    _Setting("pool", (1,), 0, 0),
    _Setting("kernel_size", (2, 5, 6), None, 3),
    _Setting("stride", (3, 7, 8), 1, 2),
    _Setting("pad", (4, 9, 10), 0, 0),
    _Setting("global_pooling", (12,), 0, 0),
    _Setting("round_mode", (13,), 0, 0),
)
_CONVOLUTION = {
    name: (
        _Setting("pad", (3, 9, 10), 0, padding),
        _Setting("kernel_size", (4, 11, 12), None, kernel),
        _Setting("group", (5,), 1, groups),
        _Setting("stride", (6, 13, 14), 1, stride),
        _Setting("dilation", (18,), 1, 1),
    )
    for name, _, _, kernel, stride, padding, groups, *_ in CONVOLUTIONS
}


def check_settings(message: Message, layer: str, kind: str) -> None:
    """Refuse a layer whose settings, in this message, are not those of our networks."""
    table = {"LRN": _NORM, "Pooling": _POOL}.get(kind, _CONVOLUTION.get(layer, ()))
    read = message.floats if kind == "LRN" else message.integers
    for setting in table:
        values = [value for number in setting.fields for value in read(number)]
        values = values or ([] if setting.default is None else [setting.default])
        for value in values:
            if not math.isclose(value, setting.wanted, rel_tol=1e-6):
                raise InputError(
                    f"{layer[:80]} has {setting.name} {value:g}, expected {setting.wanted:g}"
                )
