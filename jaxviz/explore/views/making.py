"""The image that is made for a channel, as it comes to be."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from ... import analyses
from ...techniques.feature_images.making import feature_images
from ...techniques.scores.layers import channel_mean
from ..query import Query
from ..session import MadeImage, Session
from ..wire import Arrays
from .base import Check, channel_of, view


@view("making")
def made(session: Session, query: Query, check: Check) -> Iterator[Arrays]:
    """An image that is made to excite a channel, and how far it has come meanwhile.

    One that is there with as many steps or more comes at once.
    """
    layer, channel = channel_of(session, query)
    steps = query.number("steps", 128, least=1, most=1024)
    network = session.network

    def answer(pixels: np.ndarray, done: int, steps: int, **header: Any) -> Arrays:
        shown = analyses.shown(network, np.asarray(pixels))
        return Arrays({"pixels": shown}, {"done": done, "steps": steps, **header})

    def last(kept: MadeImage) -> Arrays:
        peak = session.activations(network, kept.pixels, layer)[..., channel].max()
        return answer(kept.pixels, kept.steps, kept.steps, peak=float(peak))

    def make(tell: Callable[[Arrays], None]) -> None:
        latest: list[Any] = []

        def progress(done: int, total: int) -> None:
            check()
            tell(answer(_pixels(latest.pop()), done, steps))

        found = feature_images(
            network.apply, network.params, score=channel_mean(layer), numbers=[channel],
            key=jax.random.key(0), image_shape=network.preprocessing.fitted_shape,
            prepare=network.preprocessing.normalize, steps=steps, progress=progress,
            preview=latest.append,
        )  # fmt: skip
        whole = session.made[layer, channel] = MadeImage(_pixels(found.images), steps)
        tell(last(whole))

    kept = session.made.get((layer, channel))
    if kept is not None and kept.steps >= steps:
        yield last(kept)
        return
    yield Arrays({}, {"done": 0, "steps": steps})
    yield from _told(make)


def _pixels(images: Any) -> np.ndarray:
    """The first of images from 0 to 1, in uint8."""
    return np.rint(255 * np.clip(np.asarray(images)[0], 0, 1)).astype(np.uint8)


def _told(work: Callable[[Callable[[Arrays], None]], None]) -> Iterator[Arrays]:
    """What `work(tell)` tells, as it comes; it runs in a thread, and what it raises is raised."""
    found: queue.SimpleQueue[tuple[Arrays | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            work(lambda part: found.put((part, None)))
        except BaseException as error:
            found.put((None, error))
        else:
            found.put((None, None))

    threading.Thread(target=run, name="making", daemon=True).start()
    while True:
        part, error = found.get()
        if error is not None:
            raise error
        if part is None:
            return
        yield part
