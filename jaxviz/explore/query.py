"""What a page asks of a view, checked: texts and whole numbers by their names."""

from collections.abc import Mapping

from .._checks import InputError


class Query:
    """The parameters of an address."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        """Take them as they came."""
        self._parameters = parameters

    def text(self, name: str, default: str | None = None) -> str:
        """A text; refuse where there is none and no default.

        >>> Query({"layer": "conv5"}).text("layer")
        'conv5'
        """
        found = self._parameters.get(name, default)
        if found is None:
            raise InputError(f"{name}: missing")
        return found

    def number(
        self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**31 - 1
    ) -> int:
        """A whole number in a range.

        >>> Query({"k": "9"}).number("k", most=20)
        9
        """
        text = self.text(name, None if default is None else str(default))
        digits = text.removeprefix("-")
        if not digits.isdecimal() or not digits.isascii() or len(digits) > 10:
            raise InputError(f"{name}: expected a whole number, got {text[:40]!r}")
        if not least <= int(text) <= most:
            raise InputError(f"{name}: expected {least} to {most}, got {text}")
        return int(text)
