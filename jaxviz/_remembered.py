"""What was found out about a function, kept as long as the function is."""

import weakref
from collections.abc import Callable
from typing import Any


class Remembered:
    """Answers about functions, each worked out once for a function and a key.

    A function without a hash, or that cannot be referred to weakly, is asked every time.

    >>> lengths = Remembered()
    >>> lengths.of(len, 3, lambda: 42), lengths.of(len, 3, lambda: 7)
    (42, 42)
    """

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()

    def of(self, function: Callable[..., Any], key: Any, answer: Callable[[], Any]) -> Any:
        """`answer()`, or what it said before; what it raises is not kept."""
        try:
            known = self._known.setdefault(function, {})
            is_known = key in known
        except TypeError:
            return answer()
        if not is_known:
            known[key] = answer()
        return known[key]
