"""Receptive fields: which pixels a unit of a layer sees, by the walk that `incremental` uses."""

from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any, NamedTuple, SupportsIndex

import jax
from jax import Array

from .._checks import InputError, image_type
from .._contract import outputs_of, selected
from ..jaxpr.recording import record
from ..jaxpr.tape import Constant, Tape
from .planning import windows_of


class ReceptiveField(NamedTuple):
    """The box of pixels that unit (row, col) of a layer sees, by rows and columns, in pixels.

    The field of unit i covers pixels i * stride + offset + [0, size). The offset is negative where
    the network pads. A layer whose units see the whole image, such as a dense one, has the image's
    size, stride 0 and offset 0. Rows and columns of units run along the image's, even in a layer
    that is transposed.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    offset: tuple[int, int]
    image_size: tuple[int, int]

    def box(
        self, row: SupportsIndex, col: SupportsIndex, *, clipped: bool = False
    ) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of a unit's field, half-open; `clipped` to the image.

        >>> field = ReceptiveField((3, 3), (2, 2), (-1, -1), (8, 8))
        >>> field.box(0, 1), field.box(0, 1, clipped=True)
        ((-1, 1, 2, 4), (0, 1, 2, 4))
        """
        low = [
            i * s + o
            for i, s, o in zip((index(row), index(col)), self.stride, self.offset, strict=True)
        ]
        high = [first + size for first, size in zip(low, self.size, strict=True)]
        if clipped:
            low = [min(max(i, 0), n) for i, n in zip(low, self.image_size, strict=True)]
            high = [min(max(i, 0), n) for i, n in zip(high, self.image_size, strict=True)]
        return low[0], low[1], high[0], high[1]


class _Span(NamedTuple):
    """Index i of an axis sees indices i * stride + offset + [0, size) of an axis of the image."""

    image_axis: int
    size: int
    stride: int
    offset: int


# For each axis of a value, the axis of the image that it runs along, if any. A value that depends
# on the image sees all of the image axes that it does not run along.
_Field = tuple[_Span | None, ...]


def receptive_field(
    apply: Callable[[Any, Array], Mapping[str, Array]],
    params: Any,
    image_shape: Sequence[int],
    *,
    layer: str,
) -> ReceptiveField:
    """The receptive field of a layer's units, in pixels of an image.

    apply: (params, images (batch, H, W, C)) -> activations by layer, (batch, h, w, channel).
    image_shape: (H, W, C). The images have the type of the params.
    layer: a key of the outputs. Raises `InputError` if there is none of that name.

    Where paths of different reach meet, the field is the box around all of them; where they meet at
    different strides, or an operation has no rule, it is the whole image.

    >>> def apply(kernel, images):
    ...     conv = jax.lax.conv_general_dilated(
    ...         images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    ...     return {"conv": conv, "mean": conv.mean((1, 2))}
    >>> receptive_field(apply, jax.numpy.ones((3, 3, 1, 1)), (9, 9, 1), layer="conv")
    ReceptiveField(size=(3, 3), stride=(2, 2), offset=(-1, -1), image_size=(9, 9))
    >>> receptive_field(apply, jax.numpy.ones((3, 3, 1, 1)), (9, 9, 1), layer="mean").size
    (9, 9)
    """
    return receptive_fields(apply, params, image_shape, layers=[layer])[layer]


def receptive_fields(
    apply: Callable[[Any, Array], Mapping[str, Array]],
    params: Any,
    image_shape: Sequence[int],
    *,
    layers: Sequence[str] | None = None,
) -> dict[str, ReceptiveField]:
    """The receptive fields of several layers, by default of all, in one walk.

    >>> fields = receptive_fields(lambda params, x: {"same": x}, None, (9, 9, 1))
    >>> fields["same"].size
    (1, 1)
    """
    if len(image_shape) != 3:
        raise InputError(f"image_shape: expected (height, width, channel), got {image_shape}")
    names: list[str] = []

    def activations(images: Array) -> list[Array]:
        outputs = outputs_of(apply, params, images)
        names.extend(outputs if layers is None else layers)
        return selected(apply, outputs, names, len(images))

    tape = record(activations, jax.ShapeDtypeStruct((1, *image_shape), image_type(params))).tape
    fields = _follow(tape, (None, _Span(0, 1, 1, 0), _Span(1, 1, 1, 0), None))
    return {
        name: _receptive_field(fields.get(slot) if isinstance(slot, int) else None, image_shape)
        for name, slot in zip(names, tape.outputs, strict=True)
    }


def _receptive_field(field: "_Field | None", image_shape: Sequence[int]) -> ReceptiveField:
    height, width, _ = image_shape
    found = {span.image_axis: span for span in field or () if span is not None}
    spans = [
        found.get(axis, _Span(axis, extent, 0, 0)) for axis, extent in enumerate((height, width))
    ]
    return ReceptiveField(
        size=(spans[0].size, spans[1].size),
        stride=(spans[0].stride, spans[1].stride),
        offset=(spans[0].offset, spans[1].offset),
        image_size=(height, width),
    )


def _follow(tape: Tape, image: _Field) -> dict[int, _Field]:
    """The fields of all values that depend on the image, by slot."""
    fields: dict[int, _Field] = {tape.inputs[-1]: image}
    for step in tape.steps:
        seen = {
            i: fields[slot]
            for i, slot in enumerate(step.inputs)
            if not isinstance(slot, Constant) and slot in fields
        }
        if not seen:
            continue
        windows = windows_of(step, list(seen))
        if isinstance(windows, str):
            for slot, aval in zip(step.outputs, step.output_avals, strict=True):
                fields[slot] = (None,) * len(aval.shape)
        else:
            fields[step.outputs[0]] = _merged(
                [_through(field, windows[i] or ()) for i, field in seen.items()]
            )
    return fields


def _through(field: _Field, windows: Sequence[Any]) -> _Field:
    spans: list[_Span | None] = []
    for window in windows:
        span = None if window is None else field[window.axis]
        spans.append(
            span
            and _Span(
                span.image_axis,
                span.size + (window.size - 1) * span.stride,
                span.stride * window.stride,
                span.offset - window.padding * span.stride,
            )
        )
    return tuple(spans)


def _merged(fields: Sequence[_Field]) -> _Field:
    merged: list[_Span | None] = []
    for spans in zip(*fields, strict=True):
        known = [span for span in spans if span is not None]
        agree = len({(span.image_axis, span.stride) for span in known}) == 1
        if len(known) < len(spans) or not agree:
            merged.append(None)
            continue
        low = min(span.offset for span in known)
        high = max(span.offset + span.size for span in known)
        merged.append(_Span(known[0].image_axis, high - low, known[0].stride, low))
    return tuple(merged)
