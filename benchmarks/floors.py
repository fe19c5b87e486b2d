"""The least time that a layer can take: its operations and its bytes over two measured rates.

Operations are those of products alone, two for each multiply-add. Bytes are what must be read and
written once: the layer's input, its output and its parameters.
"""

import functools
import importlib.util
import math
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import turns

import jaxviz
from jaxviz.cpu.policy import compiler_options
from jaxviz.incremental.planning import multiply_adds
from jaxviz.jaxpr.recording import record

# Rows, inner and columns; the tall one is shaped like a convolution of many images.
PRODUCTS = {"square": (2048, 2048, 2048), "tall": (8192, 2048, 512)}
COPIED = 1 << 25  # numbers; 128 MB, more than caches hold


class Work(NamedTuple):
    """Of a path from its start to a layer: operations, bytes of parameters, bytes of the result."""

    operations: float
    parameters: float
    result: float


class Stage(NamedTuple):
    """A layer of a path.

    `run` takes nothing and evaluates the path from its start to the end of this layer; `torch` is
    the same in torch, or None. `operations` and `num_bytes` are this layer's own, or None where
    nothing is counted.
    """

    layer: str
    run: Callable[[], Any]
    operations: float | None = None
    num_bytes: float | None = None
    torch: Callable[[], Any] | None = None


def forward_work(function, images):
    """Of a function of images, an array or its shape and type; it closes over its parameters."""
    tape, constants, *_ = record(function, images)
    adds = sum(multiply_adds(step, step.output_avals[0].shape) for step in tape.steps)
    parameters = sum(math.prod(one.shape) for one in constants)
    result = math.prod(tape.aval(tape.outputs[0]).shape)
    return Work(2 * adds, 4 * parameters, 4 * result)


def _only(outputs):
    (value,) = outputs.values()
    return value


def occlusion_work(apply, params, image_shape, **places):
    """Of incremental occlusion to the one layer of `apply`, with the whole image before.

    These are the products that the method makes, which are fewer than those of whole passes.
    """
    report = jaxviz.explain_occlusion(apply, params, image_shape, score=_only, **places)
    positions = sum(report.group_sizes)
    adds = sum(step.multiply_adds * (1 + positions * step.share) for step in report.steps)
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    alone = forward_work(lambda x: _only(apply(params, x)), image)
    boxes = report.steps[-1].boxes if report.steps else [(places["window"],) * 2 + image_shape[2:]]
    of_groups = zip(report.group_sizes, boxes, strict=True)
    changed = sum(number * math.prod(box) for number, box in of_groups)
    return Work(2 * adds, alone.parameters, alone.result + 4 * changed)


def own(before, after):
    """Operations and bytes of the layer between two works."""
    read = before.result + after.parameters - before.parameters
    return {"operations": after.operations - before.operations, "num_bytes": read + after.result}


def floor(operations, num_bytes, rates):
    """Seconds, or None where nothing is counted."""
    if operations is None or num_bytes is None:
        return None
    return max(operations / rates["operations"], num_bytes / rates["bytes"])


def probes():
    """What the rates are measured by: {name: (function, operations or bytes of a call)}.

    XLA has two libraries for products, and the compiler options choose; which one is ahead depends
    on the shapes, too. The floor takes the fastest; torch's product stands beside them only.
    """
    found = {}
    for shape, sides in PRODUCTS.items():
        rows, inner, columns = sides
        matrices = jnp.ones((rows, inner)), jnp.ones((inner, columns))
        for whose, options in (("jaxviz's", compiler_options()), ("JAX's", None)):
            run = functools.partial(jax.jit(jnp.matmul, compiler_options=options), *matrices)
            found[f"{shape} product, {whose} options"] = run, 2 * math.prod(sides)
    if importlib.util.find_spec("torch"):
        from peers.torch_stages import product

        sides = PRODUCTS["square"]
        found["torch's square product"] = product(*sides), 2 * math.prod(sides)
    negative = jax.jit(jnp.negative, donate_argnums=0)  # in place, so that no page is new
    held = [jnp.ones(COPIED)]

    def copy():
        held[0] = negative(held[0])
        return held[0]

    return found | {"copy": (copy, 2 * 4 * COPIED)}


def seconds(functions, rounds):
    """{name: seconds of each round}: all once to compile, then in turns."""
    print("  compiling", flush=True)
    for function in functions.values():
        turns.timed(function)
    names, found = list(functions), {name: [] for name in functions}
    for number in range(rounds):
        print(f"  round {number + 1} of {rounds}", flush=True)
        start = number % len(names)
        for name in names[start:] + names[:start]:
            found[name].append(turns.timed(functions[name])[0])
    return found


def profile(stages, rounds):
    """Time a path to the end of each layer and return its rows, and the rates of the same rounds.

    A layer's time is the median of the path to its end less the median of the path to the end of
    the layer before, so that the rows add up to the whole; nothing is cut off at zero.
    """
    measured = probes()
    functions = {("rate", name): function for name, (function, _) in measured.items()}
    functions |= {("jaxviz", stage.layer): stage.run for stage in stages}
    functions |= {("torch", stage.layer): stage.torch for stage in stages if stage.torch}
    found = seconds(functions, rounds)
    middle = {name: statistics.median(values) for name, values in found.items()}
    speeds = {name: amount / middle["rate", name] for name, (_, amount) in measured.items()}
    products = [speed for name, speed in speeds.items() if name.endswith("options")]
    rates = {"operations": max(products), "bytes": speeds["copy"]}
    return {
        "rounds": rounds,
        "giga_per_second": {name: speed / 1e9 for name, speed in speeds.items()},
        "rows": rows(stages, middle, rates),
        "seconds": {" ".join(name): values for name, values in found.items()},
    }


def rows(stages, middle, rates):
    """{layer: figures} in milliseconds, and last the whole, `all`."""
    last = {"jaxviz": 0.0, "torch": 0.0}
    whole, found = middle["jaxviz", stages[-1].layer], {}

    def difference(who, layer):
        before, last[who] = last[who], middle[who, layer]
        return 1e3 * (last[who] - before)

    for stage in stages:
        row = {"ms": difference("jaxviz", stage.layer)}
        row["share"] = row["ms"] / (1e3 * whole)
        least = floor(stage.operations, stage.num_bytes, rates)
        if least is not None:
            row |= {"floor_ms": 1e3 * least, "times_the_floor": row["ms"] / (1e3 * least)}
            row |= {"operations": stage.operations, "bytes": stage.num_bytes}
        if stage.torch:
            row["torch_ms"] = difference("torch", stage.layer)
        found[stage.layer] = row
    counted = sum(row.get("floor_ms", 0) for row in found.values())
    found["all"] = {
        "ms": 1e3 * whole, "share": 1.0, "floor_ms": counted,
        "times_the_floor": 1e3 * whole / counted,
    }  # fmt: skip
    if last["torch"]:
        found["all"]["torch_ms"] = 1e3 * last["torch"]
    return found
