"""The faster way to occlude is compiled in the background, the slower one serves until then."""

import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Compiling:
    """One thread that compiles what was asked for, in turn."""

    def __init__(self) -> None:
        """Nothing is asked for yet."""
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "compiling")
        self._compiled: dict[Hashable, Future[bool]] = {}
        self._wanted: Hashable = None

    def method(
        self, what: Hashable, maps: Callable[[], Iterable[T]], is_last: Callable[[T], bool]
    ) -> str:
        """How to occlude: step by step once that is compiled, which is begun here, else in whole.

        Compilation takes many seconds, and whole passes are compiled once for all windows. `maps`
        gives all maps step by step, so that making them compiles what they need. What was asked
        for before is given up.
        """

        def compile_all() -> bool:
            if self._wanted == what:
                for one in maps():
                    if is_last(one):
                        return True
                    if self._wanted != what:
                        break
            return False

        with self._lock:
            self._wanted = what
            done = self._compiled.get(what)
            if done is None or _was_given_up(done):
                done = self._compiled[what] = self._thread.submit(compile_all)
        return "incremental" if done.done() and not done.exception() else "full"

    def give_up(self, what: Hashable) -> None:
        """Nobody waits for this any more."""
        with self._lock:
            if self._wanted == what:
                self._wanted = None

    def close(self) -> None:
        """Compile nothing more."""
        self._wanted = None
        self._thread.shutdown(wait=False, cancel_futures=True)


def _was_given_up(done: Future[bool]) -> bool:
    return done.done() and not done.exception() and not done.result()
