"""A report on what incremental evaluation does with a network, step by step."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .incremental import Positions
from .planning import boxes, groups, multiply_adds, plan
from .tape import record


class ExplainedStep(NamedTuple):
    """One primitive of the network.

    shape: of its whole output. boxes: of the part that is recomputed, one for each group of
    positions, empty if the step is clean. multiply_adds: of a whole pass, a position.
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
        lines = [f"{sum(self.group_sizes)} positions in {len(self.group_sizes)} groups"]
        for step in self.steps:
            if step.multiply_adds or step.reason:
                sizes = sorted({"x".join(map(str, box)) for box in step.boxes}) or ["clean"]
                lines.append(
                    f"{step.name:<22} {'x'.join(map(str, step.shape)):<16} "
                    f"{step.multiply_adds / 1e6:10.1f} M  {step.share:4.0%}  "
                    f"{', '.join(sizes)}{step.reason and '  whole: ' + step.reason}"
                )
        lines.append(f"multiply-adds computed: {self.share:.0%} of whole passes")
        return "\n".join(lines)


def explain(
    fun: Callable[[Array], Any],
    image_shape: Sequence[int],
    tops: Sequence[int] | np.ndarray,
    lefts: Sequence[int] | np.ndarray,
    *,
    window: tuple[int, int],
) -> Explanation:
    """What `windowed_outputs` does with `fun`, images of shape (H, W, C), and these boxes.

    >>> def fun(x):
    ...     return jnp.sort(x[:, ::2].mean((1, 2)))
    >>> print(explain(fun, (8, 8, 3), [0, 4], [0, 4], window=(2, 2)))
    2 positions in 1 groups
    multiply-adds computed: 0% of whole passes
    """
    tape = record(fun, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)).tape
    region = Positions(tuple(tops), tuple(lefts), window).region(image_shape[-1])
    walk = plan(tape, {tape.inputs[-1]: region})
    rows = groups(tape, walk.regions, len(tops))
    outlines = [boxes(tape, walk.regions, index) for index in rows]
    steps = []
    for step, windows in zip(tape.steps, walk.windows, strict=True):
        shape = step.output_avals[0].shape
        slot = step.outputs[0]
        sizes = tuple(outline[slot].sizes for outline in outlines) if windows is not None else ()
        total = multiply_adds(step, shape)
        computed = sum(
            len(index) * multiply_adds(step, box) for index, box in zip(rows, sizes, strict=False)
        )
        share = computed / (total * len(tops)) if total else float(bool(sizes))
        whole_before = all(
            outline[s].sizes == tape.avals[s].shape
            for outline in outlines
            for s in step.inputs
            if isinstance(s, int) and s in outline
        )
        reason = windows if isinstance(windows, str) and not whole_before else ""
        steps.append(ExplainedStep(step.name, shape, sizes, total, share, reason))
    everything = math.fsum(step.multiply_adds for step in steps)
    computed = math.fsum(step.multiply_adds * step.share for step in steps)
    return Explanation(
        tuple(steps), tuple(map(len, rows)), computed / everything if everything else 0.0
    )
