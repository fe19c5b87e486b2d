"""Resizing: along each axis a matrix that is known ahead says which numbers make which."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from .values import Node, Operator, Value


class _Plan(NamedTuple):
    """How one axis is resized: from how many numbers to how many, and by what factor."""

    size: int
    out: int
    scale: float
    region: tuple[float, float]


def _places(plan: _Plan, mode: str) -> np.ndarray:
    """Where the numbers of the result lie among those that there are."""
    x, scale = np.arange(plan.out, dtype=np.float64), plan.scale
    if mode == "half_pixel_symmetric":
        adjustment = plan.out / (scale * plan.size)
        return plan.size / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel" and plan.out == 1:
        return np.zeros(1)
    if mode == "align_corners":
        last = scale * plan.size - 1  # of the result before its size was rounded down
        return x * (plan.size - 1) / last if last > 0 else x * 0
    if mode == "asymmetric":
        return x / scale
    if mode == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    if mode == "tf_crop_and_resize":
        start, end = plan.region
        if plan.out == 1:
            return np.full(1, 0.5 * (start + end) * (plan.size - 1))
        return (start + x * (end - start) / (plan.out - 1)) * (plan.size - 1)
    return (x + 0.5) / scale - 0.5


_ROUNDED: dict[str, Any] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _triangle(distance: np.ndarray, _: float) -> np.ndarray:
    return np.clip(1 - np.abs(distance), 0, None)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(distance)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


_KERNELS: dict[str, tuple[Any, int]] = {
    "linear": (_triangle, 1),
    "bilinear": (_triangle, 1),
    "cubic": (_cubic, 2),
}


def _matrix(node: Node, plan: _Plan) -> np.ndarray:
    """(numbers of the result, numbers that there are): the weight of each in each."""
    places = _places(plan, node.get("coordinate_transformation_mode", _usual(node)))
    matrix = np.zeros((plan.out, plan.size))
    mode, rows = node.get("mode", "nearest"), np.arange(plan.out)
    if mode == "nearest":
        rounded = _ROUNDED[node.get("nearest_mode", _usual_rounding(node))](places)
        matrix[rows, np.clip(rounded, 0, plan.size - 1).astype(int)] = 1
        return matrix
    if mode not in _KERNELS:
        raise node.refuse(f"mode {mode!r} is not supported")
    kernel, reach = _KERNELS[mode]
    shrink = min(plan.scale, 1.0) if node.get("antialias", 0) else 1.0
    width = int(np.ceil(reach / shrink))
    first = np.floor(places).astype(int)
    for step in range(-width, width + 2):
        index = first + step
        weight = kernel((index - places) * shrink, node.get("cubic_coeff_a", -0.75))
        if node.get("exclude_outside", 0):
            weight = np.where((index >= 0) & (index < plan.size), weight, 0)
        np.add.at(matrix, (rows, np.clip(index, 0, plan.size - 1)), weight)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _usual(node: Node) -> str:
    return "half_pixel" if node.opset >= 11 and node.kind == "Resize" else "asymmetric"


def _usual_rounding(node: Node) -> str:
    return "round_prefer_floor" if node.opset >= 11 and node.kind == "Resize" else "floor"


def resize(node: Node, inputs: Sequence[Any]) -> Value:
    """Resize, and Upsample as older files have it."""
    x, *rest = inputs
    older = node.kind == "Upsample" or node.opset < 11
    roi, scales, sizes = [*([None] if older else []), *rest, None, None, None][:3]
    axes = [axis % x.rank for axis in node.get("axes", range(x.rank))]
    factors, wanted = node.fixed(scales, "scales"), node.fixed(sizes, "sizes")
    if (factors is None or not factors.size) and "scales" in node.attributes:
        factors = np.asarray(node.get("scales"), np.float32)
    region = node.fixed(roi, "roi")
    plans = _plans(node, x, axes, factors, wanted, region)
    array = x.array
    outside: Any = None
    for axis, plan in zip(axes, plans, strict=True):
        if plan.size == plan.out and plan.scale == 1 and plan.region == (0.0, 1.0):
            continue
        place = x.order[axis]
        matrix = _matrix(node, plan)
        repeats = plan.out // plan.size
        if (
            (matrix == np.repeat(np.eye(plan.size), max(1, repeats), axis=0)[: plan.out]).all()
            if (repeats * plan.size == plan.out)
            else False
        ):
            array = jnp.repeat(array, repeats, axis=place)
        else:
            moved = jnp.tensordot(array, np.asarray(matrix.T, array.dtype), (place, 0))
            array = jnp.moveaxis(moved, -1, place)
        if node.get("coordinate_transformation_mode") == "tf_crop_and_resize":
            places = _places(plan, "tf_crop_and_resize")
            shape = [1] * x.rank
            shape[place] = plan.out
            beyond = ((places < 0) | (places > plan.size - 1)).reshape(shape)
            outside = beyond if outside is None else outside | beyond
    if outside is not None:
        array = jnp.where(outside, np.asarray(node.get("extrapolation_value", 0.0), x.dtype), array)
    return x.like(array)


def _plans(
    node: Node, x: Value, axes: Sequence[int], factors: Any, wanted: Any, region: Any
) -> list[_Plan]:
    sizes = [x.shape[axis] for axis in axes]
    if wanted is not None and wanted.size:
        out = [int(n) for n in wanted]
        scale = [new / old for new, old in zip(out, sizes, strict=True)]
        policy = node.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = min(scale) if policy == "not_larger" else max(scale)
            scale = [one] * len(sizes)
            out = [int(np.floor(one * old + 0.5)) for old in sizes]
    elif factors is not None and factors.size:
        scale = [float(factor) for factor in factors]
        out = [int(np.floor(old * factor)) for old, factor in zip(sizes, scale, strict=True)]
    else:
        raise node.refuse("has neither scales nor sizes")
    if min(out) < 1:
        raise node.refuse(f"of {sizes} to {out}")
    node.bounded([max(size, new) for size, new in zip(sizes, out, strict=True)])
    if region is None or node.get("coordinate_transformation_mode") != "tf_crop_and_resize":
        regions = [(0.0, 1.0)] * len(sizes)
    else:
        half = len(region) // 2
        regions = [(float(a), float(b)) for a, b in zip(region[:half], region[half:], strict=True)]
    return [_Plan(*plan) for plan in zip(sizes, out, scale, regions, strict=True)]


RESIZE: dict[str, Operator] = {"Resize": resize, "Upsample": resize}
