"""What each index of each axis of a value sees of the image, followed from step to step."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..jaxpr.tape import Constant, Tape
from .planning import windows_of
from .windows import NOWHERE, Reading, Window


class Uneven(NamedTuple):
    """Index i of an axis sees [low[i], high[i]) of an axis of the image; nothing if low >= high.

    The middles of what they see are `first + i * step`, on average.
    """

    image_axis: int
    low: np.ndarray
    high: np.ndarray
    first: float
    step: float


class Span(NamedTuple):
    """Index i of an axis sees indices i * stride + offset + [0, size) of an axis of the image."""

    image_axis: int
    size: int
    stride: int
    offset: int

    def uneven(self, count: int) -> Uneven:
        """The same of an axis of `count` indices, one by one."""
        low = np.arange(count) * self.stride + self.offset
        first = self.offset + (self.size - 1) / 2
        return Uneven(self.image_axis, low, low + self.size, first, self.stride)


# For each axis of a value, the axis of the image that it runs along, if any. A value that depends
# on the image sees all of the image axes that it does not run along.
Field = tuple[Span | Uneven | None, ...]


def fields(tape: Tape, image: Field) -> dict[int, Field]:
    """The fields of all values that depend on the image, by slot."""
    found: dict[int, Field] = {tape.inputs[-1]: image}
    for step in tape.steps:
        seen = {
            i: found[slot]
            for i, slot in enumerate(step.inputs)
            if not isinstance(slot, Constant) and slot in found
        }
        if not seen:
            continue
        windows = windows_of(step, list(seen))
        if isinstance(windows, str):
            for slot, aval in zip(step.outputs, step.output_avals, strict=True):
                found[slot] = (None,) * len(aval.shape)
        else:
            shape = step.output_avals[0].shape
            behind = [
                _through(field, windows[i] or (), step.input_avals[i].shape, shape)
                for i, field in seen.items()
            ]
            found[step.outputs[0]] = tuple(
                _joined(spans, count)
                for spans, count in zip(zip(*behind, strict=True), shape, strict=True)
            )
    return found


def _through(
    field: Field, windows: Sequence[Reading | None], extents: Sequence[int], counts: Sequence[int]
) -> list[Span | Uneven | None]:
    """What each axis of an output sees through one operand."""
    spans: list[Span | Uneven | None] = []
    for window, count in zip(windows, counts, strict=True):
        span = None if window is None else field[window.axis]
        if window is None or span is None:
            spans.append(None)
        elif isinstance(span, Span) and isinstance(window, Window) and window.spacing == 1:
            spans.append(
                Span(
                    span.image_axis,
                    span.size + (window.size - 1) * span.stride,
                    span.stride * window.stride,
                    span.offset - window.padding * span.stride,
                )
            )
        else:
            extent = extents[window.axis]
            each = span.uneven(extent) if isinstance(span, Span) else span
            spans.append(_one_by_one(each, window, extent, count))
    return spans


def _one_by_one(span: Uneven, window: Reading, extent: int, count: int) -> Uneven:
    if isinstance(window, Window):
        at = np.arange(count) * window.stride - window.padding
        first, last = -(-at // window.spacing), (at + window.size - 1) // window.spacing + 1
        middle = ((window.size - 1) / 2 - window.padding) / window.spacing
        pace = window.stride / window.spacing
    else:
        first, last = np.array(window.low), np.array(window.high)
        pace = extent / count  # all of the axis, drawn larger or smaller
        middle = (pace - 1) / 2
        if count and first[0] > first[-1]:
            middle, pace = extent - 1 - middle, -pace
    low, high = np.full(count, NOWHERE), np.full(count, -NOWHERE)
    for i, (start, end) in enumerate(zip(first.clip(0), last.clip(None, extent), strict=True)):
        if start < end:
            low[i], high[i] = span.low[start:end].min(), span.high[start:end].max()
    return Uneven(span.image_axis, low, high, span.first + middle * span.step, pace * span.step)


def _joined(spans: Sequence[Span | Uneven | None], count: int) -> Span | Uneven | None:
    """What an axis sees where paths meet."""
    known = [span for span in spans if span is not None]
    if len(known) < len(spans) or len({span.image_axis for span in known}) != 1:
        return None
    even = [span for span in known if isinstance(span, Span)]
    if len(even) == len(known) and len({span.stride for span in even}) == 1:
        low = min(span.offset for span in even)
        high = max(span.offset + span.size for span in even)
        return Span(even[0].image_axis, high - low, even[0].stride, low)
    each = [span.uneven(count) if isinstance(span, Span) else span for span in known]
    return Uneven(
        each[0].image_axis,
        np.min([one.low for one in each], axis=0),
        np.max([one.high for one in each], axis=0),
        float(np.mean([one.first for one in each])),
        float(np.mean([one.step for one in each])),
    )
