"""Work in threads, of which what is not wanted any more is dropped."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Work = Callable[[Callable[[], None]], Iterable[Any]]


class Dropped(Exception):  # noqa: N818 - no mistake
    """The answer is not wanted any more: a newer request took its place, or the page has gone."""


class Lanes:
    """A thread for each lane, so that what takes long does not keep back what is quick.

    Of the requests from one place, such as a view of a page, only the newest is worked on.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Start the lanes."""
        self._threads = {name: ThreadPoolExecutor(1, f"lane-{name}") for name in names}
        self._newest: dict[Hashable, threading.Event] = {}
        self._ends: set[Callable[[], None]] = set()

    async def run(self, lane: str, place: Hashable, work: Work) -> AsyncGenerator[Any, None]:
        """What `work(check)` yields, done in a thread of the lane.

        It should call `check` between its parts, which raises `Dropped` when the answer is not
        wanted any more; whoever stops listening has no more use for it.

        Raises `Dropped`, or what the work raises.
        """
        dropped, loop = threading.Event(), asyncio.get_running_loop()
        found: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

        def check() -> None:
            if dropped.is_set():
                raise Dropped

        def tell(what: str, value: Any = None) -> None:
            try:
                loop.call_soon_threadsafe(found.put_nowait, (what, value))
            except RuntimeError:  # the server has ended
                dropped.set()

        def end() -> None:
            dropped.set()
            tell("error", Dropped())

        def run() -> None:
            try:
                check()
                for part in work(check):
                    tell("part", part)
                    check()
            except BaseException as error:
                tell("error", error)
            else:
                tell("end")

        if place in self._newest:
            self._newest[place].set()
        self._newest[place] = dropped
        self._threads[lane].submit(run)
        self._ends.add(end)
        try:
            while (told := await found.get())[0] != "end":
                what, value = told
                if what == "error":
                    raise value
                yield value
        finally:
            dropped.set()
            self._ends.discard(end)
            if self._newest.get(place) is dropped:
                del self._newest[place]

    def close(self) -> None:
        """Drop everything that waits or runs; whoever listens hears so at once."""
        for end in list(self._ends):
            end()
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
