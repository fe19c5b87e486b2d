"""What was made once and is asked for again: made by one thread, waited for by the others."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Kept:
    """Of each kind the latest few things; several threads may ask.

    >>> kept = Kept({"squares": 2})
    >>> kept.get("squares", 3, lambda: 3 * 3), kept.get("squares", 3, lambda: None)
    (9, 9)
    """

    def __init__(self, most: Mapping[str, int]) -> None:
        """`most` says how many things of each kind are kept."""
        self._most = most
        self._lock = threading.Lock()
        self._made: dict[str, OrderedDict[Hashable, Future[Any]]] = {
            kind: OrderedDict() for kind in most
        }

    def get(self, kind: str, key: Hashable, make: Callable[[], T]) -> T:
        """What was made under a key, else what `make` gives; what it raises is not kept."""
        while True:
            own: Future[T] = Future()
            with self._lock:
                made = self._made[kind]
                found = made.setdefault(key, own)
                made.move_to_end(key)
                while len(made) > self._most[kind]:
                    made.popitem(last=False)
            if found is own:
                break
            if found.exception() is None:
                return found.result()  # else it is tried again, by this thread
        try:
            result = make()
        except BaseException as error:
            with self._lock:
                if made.get(key) is own:
                    del made[key]
            own.set_exception(error)
            raise
        own.set_result(result)
        return result
