"""Evaluate an ONNX graph, node by node.

What depends on no image and no weight, such as a shape, is computed ahead, in bounded memory
whatever the graph asks for.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..._checks import InputError
from .graph import Graph
from .operators_elementwise import ELEMENTWISE
from .operators_products import PRODUCTS
from .operators_resize import RESIZE
from .operators_shape import SHAPES
from .operators_windows import WINDOWS
from .values import Node, Operator, Value, static

OPERATORS: Mapping[str, Operator] = ELEMENTWISE | SHAPES | WINDOWS | PRODUCTS | RESIZE
# Numbers that are computed ahead; a file of the zoo makes the weights of VGG-19 so, 2**27.1 in all.
_MOST_AHEAD = 2**27  # by a node
_MOST_AHEAD_IN_ALL = 2**28


class Param(NamedTuple):
    """A weight: its key in the params, its numbers, and the order of its axes there."""

    key: str
    array: np.ndarray
    order: tuple[int, ...]


def run(
    params: Mapping[str, Any],
    images: Any,
    *,
    graph: Graph,
    params_of: Mapping[str, Param],
    is_first: bool,
) -> dict[str, Any]:
    """The outputs of the graph, by name."""
    values = {name: static(array) for name, array in graph.numbers.items()}
    for name, one in params_of.items():
        values[name] = Value(params[one.key], one.order, graph.numbers[name])
    order = (0, 3, 1, 2) if is_first else (0, 1, 2, 3)
    values[graph.image[0]] = Value(images, order)
    ahead = 0
    for node in graph.nodes:
        operands = [values[name] if name else None for name in node.inputs]
        results = evaluate_node(node, operands)
        ahead += sum(one.array.size for one in results if one.is_static)
        if ahead > _MOST_AHEAD_IN_ALL:
            raise node.refuse(f"with those before it computes more than {ahead} numbers ahead")
        values.update(zip(node.outputs, results, strict=False))
    return {
        name: values[name].array if values[name].rank == 4 else values[name].logical
        for name in graph.outputs
    }


def run_each(params: Mapping[str, Any], images: Any, **options: Any) -> dict[str, Any]:
    """The outputs of a graph that takes one image."""
    return jax.vmap(lambda image: run(params, image[None], **options))(images)


def evaluate_node(node: Node, operands: Sequence[Value | None]) -> list[Value]:
    """The results of one node; what depends on no image and no weight is computed now."""
    while operands and operands[-1] is None:
        operands = operands[:-1]
    operator = OPERATORS[node.kind]
    try:
        if operands and all(one is None or one.is_static for one in operands):
            node = node._replace(most=_MOST_AHEAD)
            with jax.enable_x64(True):
                _check_size(node, operands)
                with jax.ensure_compile_time_eval():
                    return [static(np.asarray(one)) for one in _arrays(operator(node, operands))]
        with jax.named_scope(node.scope) if node.scope else contextlib.nullcontext():
            return _listed(operator(node, operands))
    except InputError as error:
        message = str(error)
        raise error if node.kind in message else node.refuse(message) from None
    except (
        TypeError, ValueError, IndexError, ZeroDivisionError, AttributeError, OverflowError,
        MemoryError,
    ) as error:  # fmt: skip
        shapes = ", ".join(str(one and one.shape) for one in operands)
        reason = " ".join(str(error).split())[:120]
        raise node.refuse(f"does not take operands of shapes {shapes} ({reason})") from None


def _check_size(node: Node, operands: Sequence[Value | None]) -> None:
    """Refuse results that are far larger than their operands; other operators look themselves."""
    given = [one for one in operands if one]
    if math.prod(one.array.size for one in given) <= node.most:
        return
    if node.kind in ELEMENTWISE:  # NumPy computes these at once
        node.bounded(np.broadcast_shapes(*(one.shape for one in given)))
    else:
        for made in jax.eval_shape(lambda: _arrays(OPERATORS[node.kind](node, operands))):
            node.bounded(made.shape)


def _arrays(found: Value | list[Value]) -> list[Any]:
    return [one.logical for one in _listed(found)]


def _listed(found: Value | list[Value]) -> list[Value]:
    return [found] if isinstance(found, Value) else found
