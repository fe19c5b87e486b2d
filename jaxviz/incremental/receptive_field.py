"""Receptive fields: which pixels a unit of a layer sees, by the walk that `incremental` uses."""

from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any, NamedTuple, SupportsIndex

import jax
import numpy as np
from jax import Array

from .._checks import InputError, image_type
from .._checks import image_shape as checked_shape
from .._contract import outputs_of, selected
from ..jaxpr.known import with_reads
from ..jaxpr.recording import record
from .fields import Field, Span, Uneven, fields


class ReceptiveField(NamedTuple):
    """The box of pixels that unit (row, col) of a layer sees, by rows and columns, in pixels.

    The field of unit i covers pixels i * stride + offset + [0, size). The offset is negative where
    the network pads. A layer whose units see the whole image, such as a dense one, has the image's
    size, stride 0 and offset 0. Rows and columns of units run along the image's, even in a layer
    that is transposed.

    Behind a transposed convolution or a resized map, units see boxes of different sizes. `units`
    then has (first, behind the last) of the pixels that each sees, an axis at a time; else it is
    empty. `size` is that of the largest, and stride and offset are fractions, on average.
    """

    size: tuple[int, int]
    stride: tuple[float, float]
    offset: tuple[float, float]
    image_size: tuple[int, int]
    units: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]] = ((), ())

    def box(
        self, row: SupportsIndex, col: SupportsIndex, *, clipped: bool = False
    ) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of a unit's field, half-open; `clipped` to the image.

        >>> field = ReceptiveField((3, 3), (2, 2), (-1, -1), (8, 8))
        >>> field.box(0, 1), field.box(0, 1, clipped=True)
        ((-1, 1, 2, 4), (0, 1, 2, 4))
        """
        spans = [self._span(axis, index(i)) for axis, i in enumerate((row, col))]
        low, high = [span[0] for span in spans], [span[1] for span in spans]
        if clipped:
            low = [min(max(i, 0), n) for i, n in zip(low, self.image_size, strict=True)]
            high = [min(max(i, 0), n) for i, n in zip(high, self.image_size, strict=True)]
        return low[0], low[1], high[0], high[1]

    def centers(self, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Where the centers of the units of a map (rows, cols) are, in pixels, by rows and columns.

        Where every unit sees all of the image, the map lies on it in cells of one size.

        >>> field = ReceptiveField((3, 3), (2, 2), (-1, -1), (8, 8))
        >>> [axis.tolist() for axis in field.centers((2, 3))]
        [[0.0, 2.0], [0.0, 2.0, 4.0]]
        """
        return self._centers(0, shape[0]), self._centers(1, shape[1])

    def _centers(self, axis: int, number: int) -> np.ndarray:
        if self.stride[axis] == 0:
            return (np.arange(number) + 0.5) * self.image_size[axis] / number - 0.5
        if self.units[axis]:
            return (np.sum(self.units[axis], axis=1) - 1) / 2
        first = self.offset[axis] + (self.size[axis] - 1) / 2
        return np.asarray(np.arange(number) * self.stride[axis] + first)

    def _span(self, axis: int, i: int) -> tuple[int, int]:
        if self.units[axis]:
            if not 0 <= i < len(self.units[axis]):
                raise InputError(f"unit {i}: expected one from 0 to {len(self.units[axis]) - 1}")
            return self.units[axis][i]
        first = int(i * self.stride[axis] + self.offset[axis])
        return first, first + self.size[axis]


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

    Where paths of different reach meet, the field is the box around all of them; where an operation
    has no rule, it is the whole image.

    >>> def apply(kernel, images):
    ...     conv = jax.lax.conv_general_dilated(
    ...         images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    ...     return {"conv": conv, "mean": conv.mean((1, 2))}
    >>> receptive_field(apply, jax.numpy.ones((3, 3, 1, 1)), (9, 9, 1), layer="conv")
    ReceptiveField(size=(3, 3), stride=(2, 2), offset=(-1, -1), image_size=(9, 9), units=((), ()))
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
    image_shape = checked_shape(image_shape)
    names: list[str] = []

    def activations(images: Array) -> list[Array]:
        outputs = outputs_of(apply, params, images)
        names.extend(outputs if layers is None else layers)
        return selected(apply, outputs, names, len(images))

    like = jax.ShapeDtypeStruct((1, *image_shape), image_type(params))
    tape = with_reads(record(activations, like)).tape
    found = fields(tape, (None, Span(0, 1, 1, 0), Span(1, 1, 1, 0), None))
    return {
        name: _receptive_field(found.get(slot) if isinstance(slot, int) else None, image_shape)
        for name, slot in zip(names, tape.outputs, strict=True)
    }


def _receptive_field(field: Field | None, image_shape: Sequence[int]) -> ReceptiveField:
    height, width, _ = image_shape
    found = {span.image_axis: span for span in field or () if span is not None}
    axes = [_of_axis(found.get(i), extent) for i, extent in enumerate((height, width))]
    (height_size, width_size), strides, offsets, units = zip(*axes, strict=True)
    return ReceptiveField((height_size, width_size), strides, offsets, (height, width), units)


def _of_axis(span: Span | Uneven | None, extent: int) -> tuple[int, float, float, Any]:
    """Size, stride, offset and units along one axis."""
    if span is None:
        return extent, 0, 0, ()
    if isinstance(span, Span):
        return span.size, span.stride, span.offset, ()
    sees = span.low < span.high
    low, high = np.where(sees, span.low, 0), np.where(sees, span.high, 0)
    size = int((high - low).max(initial=0))
    units = tuple(zip(low.tolist(), high.tolist(), strict=True))
    return size, span.step, span.first - (size - 1) / 2, units
