"""The faster way to occlude is compiled in the background, the slower one serves until then."""

import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Compiling:
    """One thread that compiles what was asked for, in turn."""

    def __init__(self) -> None:
        """Nothing is asked for yet."""
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "compiling")
        self._compiled: dict[Hashable, Future[None]] = {}
        self._is_closing = threading.Event()

    def method(self, what: Hashable, maps: Callable[[], Iterable[Any]]) -> str:
        """How to occlude: step by step once that is compiled, which is begun here, else in whole.

        Compilation takes many seconds, and whole passes are compiled once for all windows. `maps`
        gives all maps step by step, so that making them compiles what they need.
        """

        def compile_all() -> None:
            for _ in maps():
                if self._is_closing.is_set():
                    return

        with self._lock:
            done = self._compiled.get(what)
            if done is None:
                done = self._compiled[what] = self._thread.submit(compile_all)
        return "incremental" if done.done() and not done.exception() else "full"

    def close(self) -> None:
        """Compile nothing more."""
        self._is_closing.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
