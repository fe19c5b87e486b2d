"""Feature images in batches that are cut by number alone, each made by one program of its layer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import devices
from .._asked import chunk_order
from .._typing import Params, Progress
from ..cpu.rewriting import prepared
from ..jaxpr.recording import Recording, record
from ..techniques.feature_images.ascent import Ascent
from ..techniques.feature_images.making import ascended, image_keys
from .checkpoint import Checkpoint, Saved
from .engine import Rows
from .processes import ALONE

State = tuple[np.ndarray, np.ndarray]  # the scores (num,) and the traces (num, steps) of all images


class Batch(NamedTuple):
    """Images that a device makes together.

    Of one layer, for these channels, of which the first `number` are kept; the first is the one of
    place `first` among all.
    """

    layer: str
    channels: np.ndarray
    first: int
    number: int


def batches_of(chosen: Mapping[str, Sequence[int]], variants: int, size: int) -> list[Batch]:
    """All batches of the channels of some layers, each with so many variants.

    >>> [(one.layer, one.channels.tolist()) for one in batches_of({"a": [0, 5], "b": [3]}, 2, 3)]
    [('a', [0, 0, 5, 5]), ('b', [3, 3])]
    """
    found, first = [], 0
    for layer, channels in chosen.items():
        numbers = np.repeat(np.array(channels, np.int32), variants)
        whole = min(-(-size // variants) * variants, len(numbers))
        for begin, places in enumerate(chunk_order(len(numbers), whole)):
            number = min(whole, len(numbers) - begin * whole)
            found.append(Batch(layer, numbers[places], first, number))
            first += number
    return found


class Programs:
    """What makes a batch of each layer, on all devices; compiled when it is first called."""

    def __init__(
        self, ascents: Mapping[str, Ascent], params: Params, key: Any, steps: int, sign: int
    ) -> None:
        self._params, self._key = params, jax.random.key_data(key)
        implementation = jax.random.key_impl(key)

        def maker(asked: Ascent) -> Callable[[Params, Any, Any], tuple[Any, Any, Any]]:
            def make(params: Params, channels: Any, data: Any) -> tuple[Any, Any, Any]:
                key = jax.random.wrap_key_data(data, impl=implementation)
                keys = image_keys(key, channels, asked.variants)
                start = asked.start(keys)
                state, trace = ascended(
                    asked, params, start, channels, key, steps=steps, length=steps
                )
                pixels = jnp.round(asked.images(state) * 255)
                scores = asked.scores(params, pixels / 255, channels)
                return pixels.astype(jnp.uint8), sign * scores, sign * trace

            return make

        self._makers = {layer: maker(asked) for layer, asked in ascents.items()}
        self._compiled: dict[tuple[str, int], tuple[Any, Callable[..., Any]]] = {}

    def recording(self, batches: Sequence[Batch]) -> Recording:
        """All that is done, of which no step is done here."""
        channels = {one.layer: one.channels for one in reversed(batches)}

        def everything(params: Params, key: Any) -> list[Any]:
            return [self._makers[layer](params, one, key) for layer, one in channels.items()]

        return record(everything, self._params, self._key)

    def make(self, group: Sequence[Batch]) -> Iterator[tuple[Batch, Any]]:
        """The images, scores and traces of some batches of one layer, one for each device."""
        layer, size = group[0].layer, len(group[0].channels)
        known = layer, size
        if known not in self._compiled:
            ready, run = prepared(
                self._makers[layer], self._params, group[0].channels, self._key, known=0
            )
            self._compiled.clear()  # what layers before need is not needed again
            arguments = jax.jit(ready)(self._params), self._params, self._key

            def on_one(known: Any, channels: Any) -> Any:
                ready, params, key = known
                return run(ready, params, channels, key)

            self._compiled[known] = devices.replicate(arguments), devices.on_each(on_one)
        arguments, run_on_each = self._compiled[known]
        filled = [*group, *[group[-1]] * (devices.number() - len(group))]
        channels = np.stack([one.channels for one in filled])
        found = devices.fetch(run_on_each(arguments, channels))
        return zip(group, found, strict=False)


def make_all(
    programs: Programs,
    batches: Sequence[Batch],
    start: State,
    rows: Rows,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Saved:
    """Make this process's part of the batches, from where it was left; `rows` takes the images."""
    part = checkpoint.part if checkpoint else ALONE
    own = part.batches(len(batches))
    saved = checkpoint.load(start) if checkpoint else None
    saved = saved or Saved(own.start, start, {})
    if saved.done:
        return saved
    rows.truncate(saved.rows)
    scores, traces = (np.array(values) for values in saved.state)
    total = sum(batches[place].number for place in own)
    for group in _groups(batches, range(saved.cursor, own.stop), devices.number()):
        for batch, (images, *found) in programs.make(group):
            kept = slice(batch.first, batch.first + batch.number)
            scores[kept], traces[kept] = (np.asarray(one)[: batch.number] for one in found)
            rows.append(np.asarray(images)[: batch.number])
        cursor = saved.cursor + len(group)
        saved = Saved(cursor, (scores, traces), {}, rows.sync(), cursor == own.stop)
        if checkpoint:
            checkpoint.save(saved)
        if progress:
            progress(saved.rows, total)
    if not saved.done:  # there was nothing to make
        saved = saved._replace(done=True)
        if checkpoint:
            checkpoint.save(saved)
    return saved


def _groups(batches: Sequence[Batch], places: range, number: int) -> Iterator[Sequence[Batch]]:
    """At most so many batches at a time, of one layer."""
    group: list[Batch] = []
    for batch in batches[places.start : places.stop]:
        if group and (len(group) == number or batch.layer != group[0].layer):
            yield group
            group = []
        group.append(batch)
    if group:
        yield group
