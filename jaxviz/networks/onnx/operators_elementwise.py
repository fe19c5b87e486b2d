"""Operators that work number by number, with the broadcasting of ONNX."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .values import Node, Operator, Value, aligned

ELEMENTWISE: dict[str, Operator] = {}


def _operator(function: Callable[..., Any]) -> Operator:
    def operator(node: Node, inputs: Sequence[Value]) -> Value:
        lead, arrays = aligned(inputs)
        return lead.like(function(node, *arrays))

    return operator


def _divide(node: Node, x: Any, y: Any) -> Any:
    if jnp.issubdtype(x.dtype, jnp.integer):
        return lax.div(*jnp.broadcast_arrays(x, y))
    return x / y


def _power(node: Node, x: Any, y: Any) -> Any:
    return jnp.power(x, y).astype(x.dtype)


def _clip(node: Node, x: Any, low: Any = None, high: Any = None) -> Any:
    low = node.get("min") if low is None else low
    high = node.get("max") if high is None else high
    if low is not None:
        x = jnp.maximum(x, jnp.asarray(low, x.dtype))
    return x if high is None else jnp.minimum(x, jnp.asarray(high, x.dtype))


def clip(node: Node, inputs: Sequence[Any]) -> Value:
    """Bounds may be left out; one that is fixed lets the engine know a ReLU6."""
    x, *bounds = inputs
    known = [
        None if bound is None else bound.logical if bound.known is None else bound.known
        for bound in bounds
    ]
    return x.like(_clip(node, x.array, *known))


def _gelu(node: Node, x: Any) -> Any:
    return jax.nn.gelu(x, approximate=node.get("approximate", "none") == "tanh")


def _hard_sigmoid(node: Node, x: Any) -> Any:
    return jnp.clip(node.get("alpha", 0.2) * x + node.get("beta", 0.5), 0, 1).astype(x.dtype)


def _hard_swish(node: Node, x: Any) -> Any:
    return (x * jnp.clip(x * np.float32(1 / 6) + 0.5, 0, 1)).astype(x.dtype)


def _elu(node: Node, x: Any) -> Any:
    return jax.nn.elu(x, node.get("alpha", 1.0))


def _selu(node: Node, x: Any) -> Any:
    alpha, gamma = node.get("alpha", 1.67326319), node.get("gamma", 1.05070102)
    return (gamma * jnp.where(x > 0, x, alpha * jnp.expm1(x))).astype(x.dtype)


def _leaky(node: Node, x: Any) -> Any:
    return jnp.where(x >= 0, x, x * np.asarray(node.get("alpha", 0.01), x.dtype))


def _swish(node: Node, x: Any) -> Any:
    return x * jax.nn.sigmoid(node.get("alpha", 1.0) * x)


def _mod(node: Node, x: Any, y: Any) -> Any:
    return jnp.fmod(x, y) if node.get("fmod", 0) else jnp.mod(x, y)


def _sum(node: Node, *arrays: Any) -> Any:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total


def _most(combine: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def most(node: Node, *arrays: Any) -> Any:
        result = arrays[0]
        for array in arrays[1:]:
            result = combine(result, array)
        return result

    return most


def _mean(node: Node, *arrays: Any) -> Any:
    return _sum(node, *arrays) / len(arrays)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Add": lambda node, x, y: x + y,
    "Sub": lambda node, x, y: x - y,
    "Mul": lambda node, x, y: x * y,
    "Div": _divide,
    "Pow": _power,
    "Mod": _mod,
    "Sum": _sum,
    "Mean": _mean,
    "Max": _most(jnp.maximum),
    "Min": _most(jnp.minimum),
    "Neg": lambda node, x: -x,
    "Abs": lambda node, x: abs(x),
    "Sqrt": lambda node, x: jnp.sqrt(x),
    "Exp": lambda node, x: jnp.exp(x),
    "Log": lambda node, x: jnp.log(x),
    "Erf": lambda node, x: lax.erf(x),
    "Floor": lambda node, x: jnp.floor(x),
    "Ceil": lambda node, x: jnp.ceil(x),
    "Reciprocal": lambda node, x: 1 / x,
    "Tanh": lambda node, x: jnp.tanh(x),
    "Sigmoid": lambda node, x: jax.nn.sigmoid(x),
    "Relu": lambda node, x: jnp.maximum(x, 0),
    "LeakyRelu": _leaky,
    "PRelu": lambda node, x, slope: jnp.where(x >= 0, x, x * slope),
    "Elu": _elu,
    "Selu": _selu,
    "Softplus": lambda node, x: jax.nn.softplus(x),
    "Softsign": lambda node, x: x / (1 + abs(x)),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Swish": _swish,
    "Mish": lambda node, x: x * jnp.tanh(jax.nn.softplus(x)),
    "Gelu": _gelu,
    "Where": lambda node, which, x, y: jnp.where(which, x, y),
    "Equal": lambda node, x, y: x == y,
    "Greater": lambda node, x, y: x > y,
    "Less": lambda node, x, y: x < y,
    "Not": lambda node, x: ~x,
}
ELEMENTWISE |= {name: _operator(function) for name, function in _FUNCTIONS.items()}
ELEMENTWISE["Clip"] = clip
