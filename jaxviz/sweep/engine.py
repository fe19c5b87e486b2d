"""The loop of every sweep: read ahead, run on all devices, save now and then, merge at the end.

Pictures are cut into batches by number alone, so every picture is evaluated in the same place of
the same batch whoever evaluates it; together with states that merge in any order this makes the
result the same to the bit for any number of devices, processes and interruptions.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from .. import devices
from .._prefetch import prefetch
from .._typing import Progress
from ..cpu.rewriting import prepared
from ..pictures.folders import Skipped, unreadable
from ..pictures.sets import PictureSet
from ..techniques.patches import NO_IMAGE
from .checkpoint import Checkpoint, Saved
from .processes import ALONE, Part, wait_a_little


class Task(NamedTuple):
    """What a sweep does.

    `start` is the neutral element of `merge(state, state)`. `step(state, params, pixels, indices)`
    takes in a batch, uint8 (batch, height, width, 3) and int32 (batch,) with `NO_IMAGE` where none
    is, and returns the new state and the batch's rows, (batch, dim) or None.
    """

    start: Any
    step: Callable[[Any, Any, Any, Any], tuple[Any, Any]]
    merge: Callable[[Any, Any], Any]


@runtime_checkable
class Rows(Protocol):
    """Where a sweep's rows go."""

    def append(self, rows: np.ndarray) -> None:
        """Write rows (n, dim) after those before."""
        ...

    def sync(self) -> int:
        """Bring all rows to the disk and say how many there are."""
        ...

    def truncate(self, number: int) -> None:
        """Keep the first `number` rows."""
        ...


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


def sweep(
    task: Task,
    params: Any,
    pictures: PictureSet,
    *,
    batch_size: int,
    part: Part = ALONE,
    checkpoint: Checkpoint | None = None,
    save_every: int = 100,
    rows: Rows | None = None,
    progress: Progress | None = None,
) -> Saved:
    """Run this process's part of a sweep, from where it was left.

    `save_every` counts batches. The answer is this part's alone; see `merged`.
    """
    mine = part.batches(-(-len(pictures.paths) // batch_size))
    saved = checkpoint.load(task.start) if checkpoint else None
    saved = saved or Saved(mine.start, task.start, {})
    if saved.done:
        return saved
    if rows:
        rows.truncate(saved.rows)

    number = devices.number()
    params = devices.replicate(params)
    states = devices.spread([saved.state, *[task.start] * (number - 1)])
    skipped = dict(saved.skipped)
    program: Callable[..., Any] | None = None
    running: tuple[Any, Any, np.ndarray] | None = None
    last_saved = saved.cursor

    def seen(batch: int) -> int:
        return min(batch * batch_size, len(pictures.paths)) - mine.start * batch_size

    def finish() -> None:
        """Wait for the group before, while the one just started runs."""
        if running is None:
            return
        state, output, indices = running
        jax.block_until_ready(state)
        if rows:
            kept = (indices != NO_IMAGE).ravel()
            values = np.asarray(output)
            rows.append(values.reshape(-1, values.shape[-1])[kept])

    def snapshot(cursor: int, *, done: bool) -> Saved:
        state = functools.reduce(task.merge, devices.fetch(states))
        written = rows.sync() if rows else 0
        return Saved(cursor, jax.tree.map(np.asarray, state), skipped, written, done)

    for group in _groups(pictures, range(saved.cursor, mine.stop), batch_size, number):
        arguments = (states, params, group.pixels, group.indices)
        program = program or _compiled(task.step, *arguments)
        states, output = program(*arguments)
        finish()
        running = states, output, group.indices
        skipped |= group.skipped
        if checkpoint and group.next - last_saved >= save_every:
            finish()
            running = None
            checkpoint.save(snapshot(group.next, done=False))
            last_saved = group.next
        if progress:
            progress(seen(group.next), seen(mine.stop))
    finish()
    saved = snapshot(mine.stop, done=True)
    if checkpoint:
        checkpoint.save(saved)
    return saved


def _compiled(step: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Compile a task's step for all devices; what depends on the parameters alone is done here."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), arguments)
    prepare, run = prepared(step, *shapes, known=1)
    first = jax.tree.map(lambda x: x[0], arguments[1])
    ready = devices.replicate(jax.jit(prepare)(first))
    return functools.partial(devices.convolving_on_each(run, ready, *arguments), ready)


def merged(
    task: Task, pictures: PictureSet, saved: Saved, checkpoint: Checkpoint | None
) -> list[Saved]:
    """The results of all parts, in order, once they are there.

    Raises `InputError` if no picture at all could be read.
    """
    parts = [saved]
    if checkpoint and checkpoint.part.processes > 1:
        found = None
        while (found := checkpoint.load_all(task.start)) is None:
            wait_a_little()
        parts = found
    skipped = [one for part in parts for one in part.skipped.values()]
    if len(skipped) == len(pictures.paths):
        raise unreadable(skipped)
    return parts


def _groups(pictures: PictureSet, batches: range, size: int, number: int) -> Iterator[_Group]:
    """Read groups of `number` batches, two groups ahead."""
    last, grain = len(pictures.paths), max(1, min(pictures.grain, size))
    empty = np.full((number, size), NO_IMAGE, np.int32)

    def pieces() -> Iterator[_Piece]:
        for first in range(batches.start, batches.stop, number):
            following = min(first + number, batches.stop)
            pixels = np.zeros((number, size, *pictures.image_shape), np.uint8)
            group = _Group(pixels, empty.copy(), {}, following)
            begin, end = first * size, min(following * size, last)
            numbers = np.arange(begin, end, dtype=np.int32)
            group.indices.reshape(-1)[: len(numbers)] = numbers
            flat = pixels.reshape(-1, *pictures.image_shape)
            for start in range(begin, end, grain):
                stop = min(start + grain, end)
                yield _Piece(group, start, flat[start - begin : stop - begin], stop == end)

    def read(piece: _Piece) -> tuple[_Group, dict[int, Skipped], bool]:
        return piece.group, pictures.read(piece.start, piece.out), piece.is_last

    for group, skipped, is_last in prefetch(read, pieces(), depth=2 * number * -(-size // grain)):
        group.skipped.update(skipped)
        if is_last:
            missing = np.isin(group.indices, list(group.skipped))
            group.indices[missing] = NO_IMAGE
            yield group
