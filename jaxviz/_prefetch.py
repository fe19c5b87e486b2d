"""Call a function on many items in threads, ahead of the loop that uses the results."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], *, depth: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, from as many threads as there are cores.

    At most `depth` results (by default two for each core) exist or are computed at any time, so
    memory does not grow with the number of items. An error is raised where its result would be.

    >>> list(prefetch(str.upper, "abc"))
    ['A', 'B', 'C']
    """
    workers = os.cpu_count() or 1
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prefetch")
    waiting = iter(items)
    running: deque[Future[Result]] = deque()
    try:
        running.extend(pool.submit(function, i) for i in islice(waiting, depth or 2 * workers))
        while running:
            result = running.popleft().result()
            running.extend(pool.submit(function, i) for i in islice(waiting, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
