"""The loop of every sweep: read ahead, run on all devices, save now and then, merge at the end.

Pictures are cut into batches by number alone, so every picture is evaluated in the same place of
the same batch whoever evaluates it; together with states that merge in any order this makes the
result the same to the bit for any number of devices, processes and interruptions.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from .. import devices
from .._prefetch import prefetch
from .._typing import Progress
from ..cpu.rewriting import prepared
from ..jaxpr.recording import Recording
from ..jaxpr.tape import Tape, read_slot, run
from ..pictures.folders import Skipped, unreadable
from ..pictures.sets import PictureSet
from ..techniques.patches import NO_IMAGE
from .checkpoint import Checkpoint, Saved
from .processes import ALONE, wait_a_little

Take = Callable[[Any, Any, Any], tuple[Any, Any]]


class Task(NamedTuple):
    """What a sweep does.

    `network` is the recording of a function of (params, images) that gives a list of activations.
    `take(state, activations, indices)` takes them in; `indices` is int32 (batch,), with `NO_IMAGE`
    where no image is. It returns the new state and the batch's rows, (batch, dim) or None, and must
    be hashable and equal to any other that does the same. `start` is the neutral element of
    `merge(state, state)`.
    """

    network: Recording
    take: Take
    start: Any
    merge: Callable[[Any, Any], Any]


@runtime_checkable
class Rows(Protocol):
    """Where a sweep's rows go."""

    def append(self, rows: np.ndarray) -> None:
        """Add rows (n, dim) after those before."""
        ...

    def sync(self) -> int:
        """Make sure that no row can be lost, and say how many there are."""
        ...

    def truncate(self, number: int) -> None:
        """Keep the first `number` rows."""
        ...


class Evaluation:
    """A task at work on all devices of this process, one batch for each of them at a time."""

    def __init__(
        self, task: Task, params: Any, *, state: Any = None, rows: Rows | None = None
    ) -> None:
        self._merge = task.merge
        self._rows = rows
        number = devices.number()
        first = task.start if state is None else state
        self._states = devices.spread([first, *[task.start] * (number - 1)])
        known = [*task.network.constants, *jax.tree.leaves(params)]
        prepare, self._run = _programs(task.network.tape, task.take, number)
        self._known = devices.replicate((prepare(known), known))
        self._running: tuple[Any, Any, np.ndarray] | None = None

    def add(self, images: Any, indices: np.ndarray) -> None:
        """Start on images (devices, batch, ...), then wait for those before."""
        states, rows = self._run(self._states, *self._known, images, indices)
        self._wait()
        self._states, self._running = states, (states, rows, indices)

    def _wait(self) -> None:
        """Wait until the images of the last call were taken in, and pass their rows on."""
        if self._running is None:
            return
        states, output, indices = self._running
        jax.block_until_ready(states)
        if self._rows:
            kept = (indices != NO_IMAGE).ravel()
            values = np.asarray(output)
            self._rows.append(values.reshape(-1, values.shape[-1])[kept])
        self._running = None

    def state(self) -> Any:
        """Wait for all images, and merge the states of all devices."""
        self._wait()
        return functools.reduce(self._merge, devices.fetch(self._states))


@functools.lru_cache(maxsize=32)
def _programs(tape: Tape, take: Take, number: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What is compiled of a task: what depends on the known inputs alone, and the rest.

    The known inputs are all but the images, which come last.
    """

    def network(known: Sequence[Any], images: Any) -> list[Any]:
        values = run(tape, [*known, images])
        return [read_slot(values, slot) for slot in tape.outputs]

    *known, images = (jax.ShapeDtypeStruct(*tape.aval(slot)) for slot in tape.inputs)
    prepare, evaluate = prepared(network, known, images, known=0)

    def step(state: Any, ready: Any, known: Any, images: Any, indices: Any) -> tuple[Any, Any]:
        return take(state, evaluate(ready, known, images), indices)

    return jax.jit(prepare), devices.on_each(step)


def sweep(
    task: Task,
    params: Any,
    pictures: PictureSet,
    *,
    batch_size: int,
    checkpoint: Checkpoint | None = None,
    save_every: int = 100,
    rows: Rows | None = None,
    progress: Progress | None = None,
) -> list[Saved]:
    """Run this process's part of a sweep, from where it was left; wait for the other parts.

    `save_every` counts batches. Returns the results of all parts, in order.

    Raises `InputError` if no picture at all could be read.
    """
    part = checkpoint.part if checkpoint else ALONE
    batches = part.batches(-(-len(pictures.paths) // batch_size))
    saved = checkpoint.load(task.start) if checkpoint else None
    saved = saved or Saved(batches.start, task.start, {})
    if not saved.done:
        saved = _run(
            task, params, pictures, saved, batches, batch_size=batch_size, checkpoint=checkpoint,
            save_every=save_every, rows=rows, progress=progress,
        )  # fmt: skip
    parts = [saved]
    if checkpoint and part.processes > 1:
        while (found := checkpoint.load_all(task.start)) is None:
            wait_a_little()
        parts = found
    skipped = [one for one_part in parts for one in one_part.skipped.values()]
    if len(skipped) == len(pictures.paths):
        raise unreadable(skipped)
    return parts


def _run(
    task: Task, params: Any, pictures: PictureSet, saved: Saved, batches: range, *,
    batch_size: int, checkpoint: Checkpoint | None, save_every: int, rows: Rows | None,
    progress: Progress | None,
) -> Saved:  # fmt: skip
    """Evaluate the batches that are left of this part."""
    if rows:
        rows.truncate(saved.rows)
    evaluation = Evaluation(task, params, state=saved.state, rows=rows)
    skipped = dict(saved.skipped)

    def seen(batch: int) -> int:
        return min(batch * batch_size, len(pictures.paths)) - batches.start * batch_size

    def snapshot(cursor: int) -> Saved:
        state = jax.tree.map(np.asarray, evaluation.state())
        return Saved(cursor, state, skipped, rows.sync() if rows else 0, cursor == batches.stop)

    remaining = range(saved.cursor, batches.stop)
    for group in _groups(pictures, remaining, batch_size, devices.number()):
        evaluation.add(group.pixels, group.indices)
        skipped |= group.skipped
        if checkpoint and saved.cursor + save_every <= group.next < batches.stop:
            saved = snapshot(group.next)
            checkpoint.save(saved)
        if progress:
            progress(seen(group.next), seen(batches.stop))
    saved = snapshot(batches.stop)
    if checkpoint:
        checkpoint.save(saved)
    return saved


class _Group(NamedTuple):
    """One batch for each device: pixels and indices, what was skipped, and the next batch."""

    pixels: np.ndarray
    indices: np.ndarray
    skipped: dict[int, Skipped]
    next: int


class _Piece(NamedTuple):
    """Pictures of a group that one thread reads: the first one's number, and where they go."""

    group: _Group
    start: int
    out: np.ndarray
    is_last: bool


def _groups(pictures: PictureSet, batches: range, size: int, number: int) -> Iterator[_Group]:
    """Read groups of `number` batches, two groups ahead."""
    total, at_a_time = len(pictures.paths), min(pictures.read_size, size)

    def pieces() -> Iterator[_Piece]:
        for first in range(batches.start, batches.stop, number):
            following = min(first + number, batches.stop)
            begin, end = first * size, min(following * size, total)
            pixels = np.zeros((number, size, *pictures.image_shape), np.uint8)
            group = _Group(pixels, numbered((number, size), begin, end), {}, following)
            flat = pixels.reshape(-1, *pictures.image_shape)
            for start in range(begin, end, at_a_time):
                stop = min(start + at_a_time, end)
                yield _Piece(group, start, flat[start - begin : stop - begin], stop == end)

    def read(piece: _Piece) -> tuple[_Group, dict[int, Skipped], bool]:
        return piece.group, pictures.read(piece.start, piece.out), piece.is_last

    depth = 2 * number * -(-size // at_a_time)
    for group, skipped, is_last in prefetch(read, pieces(), depth=depth):
        group.skipped.update(skipped)
        if is_last:
            if group.skipped:
                group.indices[np.isin(group.indices, list(group.skipped))] = NO_IMAGE
            yield group


def numbered(shape: tuple[int, ...], begin: int, end: int) -> np.ndarray:
    """The numbers from `begin` to `end`, in an array that is filled up with `NO_IMAGE`.

    >>> numbered((2, 2), 4, 7).tolist()
    [[4, 5], [6, 2147483647]]
    """
    numbers = np.full(shape, NO_IMAGE, np.int32)
    numbers.reshape(-1)[: end - begin] = np.arange(begin, end)
    return numbers
