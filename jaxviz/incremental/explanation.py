"""A report on what incremental evaluation does with a network, step by step."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..jaxpr.known import with_reads
from ..jaxpr.recording import record, recorded
from ..jaxpr.tape import Step
from .evaluation import Positions
from .planning import Group, groups, multiply_adds, one_group


class ExplainedStep(NamedTuple):
    """One primitive of the network.

    shape: of its whole output. boxes: of the part that is recomputed, one for each group of
    positions, empty if the step is clean. multiply_adds: of a whole pass, a position; of a loop all
    its turns, but of a `while` one, of a `cond` those of its largest branch.
    share: of these, what is computed, averaged over the positions; 0 for a clean step.
    reason: why the step is evaluated whole although less had changed before it, or "".
    """

    name: str
    shape: tuple[int, ...]
    boxes: tuple[tuple[int, ...], ...]
    multiply_adds: int
    share: float
    reason: str


class Explanation(NamedTuple):
    """steps: in order; group_sizes: positions in each group; share: of all multiply-adds."""

    steps: tuple[ExplainedStep, ...]
    group_sizes: tuple[int, ...]
    share: float

    def __str__(self) -> str:
        sizes = " + ".join(map(str, self.group_sizes))
        lines = [f"{sum(self.group_sizes)} positions, grouped as {sizes}"]
        for step in self.steps:
            if step.multiply_adds or step.reason:
                shapes = sorted({"x".join(map(str, box)) for box in step.boxes}) or ["clean"]
                lines.append(
                    f"{step.name:<22} {'x'.join(map(str, step.shape)):<16} "
                    f"{step.multiply_adds / 1e6:10.1f} M  {step.share:4.0%}  "
                    f"{', '.join(shapes)}{step.reason and '  whole: ' + step.reason}"
                )
        lines.append(f"multiply-adds computed: {self.share:.0%} of whole passes")
        return "\n".join(lines)


def _multiply_adds(step: Step, group: Group) -> int:
    if step.name == "cond" or step.name in _BODIES:
        return _whole_multiply_adds(step)
    into = group.boxes.get(step.inputs[0]) if isinstance(step.inputs[0], int) else None
    return multiply_adds(step, group.boxes[step.outputs[0]].sizes, into and into.sizes)


# The bodies of loops, which are evaluated whole, and how often each is run.
_BODIES: dict[str, Callable[[Any], list[tuple[Any, int]]]] = {
    "scan": lambda given: [(given["jaxpr"], given["length"])],
    "while": lambda given: [(given["cond_jaxpr"], 1), (given["body_jaxpr"], 1)],
}


def _whole_multiply_adds(step: Step) -> int:
    if step.name == "cond":
        return max(map(_of_body, step.params["branches"]), default=0)
    if step.name in _BODIES:
        return sum(turns * _of_body(body) for body, turns in _BODIES[step.name](step.params))
    return multiply_adds(step, step.output_avals[0].shape)


def _of_body(body: Any) -> int:
    return sum(map(_whole_multiply_adds, recorded(body).tape.steps))


def explain(
    fun: Callable[[Array], Any],
    image_shape: Sequence[int],
    tops: Sequence[int] | np.ndarray,
    lefts: Sequence[int] | np.ndarray,
    *,
    window: tuple[int, int],
    dtype: Any = jnp.float32,
) -> Explanation:
    """What `windowed_outputs` does with `fun`, images (H, W, C) of `dtype`, and these boxes.

    >>> mix = jnp.ones((3, 5))
    >>> def fun(x):
    ...     return jnp.sort(x @ mix, axis=1)
    >>> report = explain(fun, (8, 8, 3), [0, 4], [0, 4], window=(2, 2))
    >>> [(step.name, step.boxes, step.reason) for step in report.steps]
    [('dot_general', ((1, 2, 2, 5),), ''), ('sort', ((1, 8, 8, 5),), 'no rule for sort')]
    >>> report.share
    0.0625
    """
    tape = with_reads(record(fun, jax.ShapeDtypeStruct((1, *image_shape), dtype))).tape
    region = Positions(tuple(tops), tuple(lefts), window).region(image_shape[-1])
    changed = {tape.inputs[-1]: region}
    found = groups(tape, changed, one_group(tape, changed, np.arange(len(tops))))
    steps = []
    for step in tape.steps:
        shape, slot = step.output_avals[0].shape, step.outputs[0]
        active = [group for group in found if group.plan.windows[slot] is not None]
        total = _whole_multiply_adds(step)
        done = sum(len(group.positions) * _multiply_adds(step, group) for group in active)
        share = done / (total * len(tops)) if total else float(bool(active))
        reasons = [
            windows
            for group in active
            if isinstance(windows := group.plan.windows[slot], str)
            and any(
                group.boxes[operand].sizes != tape.avals[operand].shape
                for operand in step.inputs
                if isinstance(operand, int) and operand in group.boxes
            )
        ]
        sizes = tuple(group.boxes[slot].sizes for group in active)
        reason = reasons[0] if reasons else ""
        steps.append(ExplainedStep(step.name, shape, sizes, total, share, reason))
    everything = math.fsum(step.multiply_adds for step in steps)
    computed = math.fsum(step.multiply_adds * step.share for step in steps)
    return Explanation(
        tuple(steps),
        tuple(len(group.positions) for group in found),
        computed / everything if everything else 0.0,
    )
