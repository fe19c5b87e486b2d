"""Occlusion that is coarse at first, and then finer and finer."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._checks import pair
from ..._typing import Apply, Images, Params, Score
from .mapping import measure_of
from .problem import OcclusionMap, places_of, problem_of


def progressive_occlusion(
    apply: Apply,
    params: Params,
    images: Images,
    *,
    score: Score,
    window: int | tuple[int, int],
    stride: int | tuple[int, int],
    fill: ArrayLike | Sequence[float],
    method: str = "incremental",
    chunk_size: int | None = None,
    precision: str | None = None,
) -> Iterator[tuple[tuple[int, int], OcclusionMap]]:
    """Yield a large stride (rows, cols) and its `occlusion_map`, then half of it, until `stride`.

    Each map evaluates only the places that those before did not have, so all together cost little
    more than the last alone, and the first is there soon. The arguments and the errors are those of
    `occlusion_map`. "full" is compiled once for all windows and strides, "incremental" for each.

    >>> import numpy as np
    >>> mean = lambda params, images: {"mean": images.mean(axis=(1, 2))}
    >>> maps = progressive_occlusion(mean, None, np.ones((1, 12, 12, 1), np.float32), fill=0.0,
    ...                              score=lambda outputs: outputs["mean"][:, 0], window=4,
    ...                              stride=1)
    >>> [(stride, one.scores.shape) for stride, one in maps]
    [((4, 4), (1, 3, 3)), ((2, 2), (1, 5, 5)), ((1, 1), (1, 9, 9))]
    """
    measure = measure_of(method, precision)
    sides, steps = pair(window, "window"), pair(stride, "stride")
    factor = 1
    while all(2 * factor * step <= side for step, side in zip(steps, sides, strict=True)):
        factor *= 2
    known: dict[tuple[int, int], int] = {}  # the places, in the order of `scores`
    parts: list[Any] = []
    problem = problem_of(
        apply, params, images, score=score, window=window, stride=stride, fill=fill,
        chunk_size=chunk_size, precision=precision,
    )  # fmt: skip
    while factor:
        coarse = factor * steps[0], factor * steps[1]
        _, rows, cols = places_of(problem.images.shape[1:], window, coarse)
        asked = problem._replace(rows=rows, cols=cols)
        new = [place for place in asked.grid if place not in known]
        first = len(known)
        known.update((place, first + i) for i, place in enumerate(new))
        if new:  # a small image may have no more places
            baseline, found = measure(asked, new)
            parts.append(found)
        order = jnp.asarray([known[place] for place in asked.grid])
        yield coarse, asked.result(baseline, jnp.concatenate(parts, axis=1)[:, order])
        factor //= 2
