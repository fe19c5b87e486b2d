"""What a network's file does not say, in a small TOML beside it: model.toml for model.onnx.

It says how pictures become the network's images, and what its classes are called.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .._checks import InputError, choice, is_finite
from ..pictures.preprocessing import Preprocessing, num_channels
from .spec import ROLES

_KEYS = ("title", "size", "resize", "range", "mean", "std", "channel_order", "labels", "roles")

_OF_PICTURES = frozenset(["resize", "range", "mean", "std", "channel_order"])
_NEEDED = {
    "size": "a number of pixels",
    "range": "the values of black and white, such as 0,1 or 0,255",
}


class Description(NamedTuple):
    """What is known of a network besides its function; None, or nothing, is what is not."""

    title: str | None = None
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    roles: Mapping[str, Any] = {}

    def options(self) -> dict[str, Any]:
        """The arguments of `name_activations` that it stands for."""
        return {
            "title": self.title, "preprocessing": self.preprocessing, "labels": self.labels,
            "roles": self.roles,
        }  # fmt: skip


def description_beside(
    path: Path | None, described: Mapping[str, Any], size: int | None = None
) -> Description:
    """What is known of a network: what its file fixes, the TOML beside that says, `described` says.

    The later goes before the earlier. `size` is the one that the file fixes.
    """
    _check_keys(described, "described")
    beside = path.with_suffix(".toml") if path else None
    if beside is None or not beside.is_file():
        return checked_description(_with_size(described, size), Path())
    if not described:
        return read_description(beside)
    content = {**described_in(beside), **described}
    return checked_description(_with_size(content, size), beside.parent)


def read_description(path: Path) -> Description:
    """Read a TOML file; refuse what is not as `write_description` writes it."""
    content = described_in(path)
    try:
        return checked_description(content, path.parent)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def described_in(path: Path) -> dict[str, Any]:
    """What a TOML file says, under the keys of a description; others are refused."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    _check_keys(content, str(path))
    return content


def _check_keys(content: Mapping[str, Any], where: str) -> None:
    for key in content:
        choice(key, where, _KEYS)


def _with_size(content: Mapping[str, Any], size: int | None) -> Mapping[str, Any]:
    """With the size that the file fixes, where anything is said of how pictures become images."""
    is_needed = size and "size" not in content and _OF_PICTURES & content.keys()
    return {**content, "size": size} if is_needed else content


def write_description(path: Path, content: Mapping[str, Any]) -> None:
    """Write what is known of a network, under the keys that `read_description` reads."""
    lines = [f"{key} = {_toml(value)}" for key, value in content.items() if value is not None]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key} = {_toml(one)}" for key, one in value.items())
        return f"{{ {pairs} }}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def checked_description(content: Mapping[str, Any], folder: Path) -> Description:
    """What content means; labels are in a file of the folder. Refuses what makes no sense."""
    title = content.get("title")
    if title is not None and not isinstance(title, str):
        raise InputError(f"title: expected a text, got {title!r}")
    roles = content.get("roles", {})
    if not isinstance(roles, Mapping):
        raise InputError(f"roles: expected names of layers by their roles, got {roles!r}")
    for role in roles:
        choice(role, "roles", ROLES)
    preprocessing = preprocessing_of(content)
    known = {
        key: tuple(value) if isinstance(value, list) else value for key, value in roles.items()
    }
    if preprocessing and "mean" in content:  # the mean of the training set, which is then 0
        known.setdefault("mean_fill", (0.0,) * len(preprocessing.mean))
    return Description(title, preprocessing, _labels(content.get("labels"), folder), known)


def preprocessing_of(content: Mapping[str, Any]) -> Preprocessing | None:
    """How pictures become images; None where not even the size is known.

    `size` is a number of pixels, `range` the values of black and white before `mean` is subtracted
    and the result divided by `std`. The range must be said: one that is wrong gives no error, but
    wrong answers.
    """
    said = sorted(_OF_PICTURES & content.keys())
    missing = [key for key in _NEEDED if key not in content]
    if "size" in missing and not said:
        return None
    if missing:
        given = f", as {said[0]} is given" if said else ""
        raise InputError("; ".join(f"{key}: expected {_NEEDED[key]}" for key in missing) + given)
    size = _pixels(content["size"], "size")
    resize = _pixels(content.get("resize", round(size * 256 / 224)), "resize")
    low, high = _numbers(content["range"], "range", 2)
    if low == high:
        raise InputError(f"range: black and white are both {low:g}")
    order = content.get("channel_order", "RGB")
    channels = num_channels(order)
    mean = _numbers(content.get("mean", [0.0] * channels), "mean", channels)
    std = _numbers(content.get("std", [1.0] * channels), "std", channels)
    shifted = tuple(one - low for one in mean)
    return Preprocessing(resize, size, 255 / (high - low), shifted, std, order)


def _pixels(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 2**14:
        raise InputError(f"{name}: expected a number of pixels, got {value!r}")
    return value


def _numbers(value: Any, name: str, count: int) -> tuple[float, ...]:
    numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if len(numbers) != count or not all(map(is_finite, numbers)):
        raise InputError(f"{name}: expected {count} numbers, got {value!r}")
    return tuple(float(one) for one in numbers)


def _labels(value: Any, folder: Path) -> tuple[str, ...]:
    """Class names: a list, or the name of a text file with one a line."""
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if not isinstance(value, str):
        raise InputError(f"labels: expected a file's name or a list of texts, got {value!r}")
    try:
        return tuple((folder / value).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"labels: {value}: {getattr(error, 'strerror', None) or error}") from None
