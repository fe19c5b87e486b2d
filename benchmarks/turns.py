"""Contestants take turns, so that whatever slows the machine slows all of them."""

import statistics
import time
from typing import Any, NamedTuple

import jax
import numpy as np

COMPILE_EVENTS = (
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)
_compiling = [0.0]
_firsts = [0.0]


def _listen(event, seconds, **_):
    if event in COMPILE_EVENTS:
        _compiling[0] += seconds


jax.monitoring.register_event_duration_secs_listener(_listen)


class Timed(NamedTuple):
    """What a contestant returns that knows better when its work began and ended."""

    seconds: float
    answer: Any


def clock():
    """Seconds that first contestants have taken in rounds so far; pytest-benchmark's timer."""
    return _firsts[0]


def timed(function):
    """Seconds until the answer is there, seconds spent compiling, and the answer."""
    compiled, start = _compiling[0], time.perf_counter()
    answer = jax.block_until_ready(function())
    seconds, compiling = time.perf_counter() - start, _compiling[0] - compiled
    if isinstance(answer, Timed):
        seconds, answer = answer
    return seconds, compiling, answer


def in_turns(contestants, rounds, benchmark):
    """Run each once to compile, then all in turns; a dict of figures for each contestant.

    The first contestant is the one the others are compared with: `ratio` is how many times as long
    another took in the same round, so above 1 the first is faster. `benchmark`, the fixture of
    pytest-benchmark, calls the rounds and by `clock` records the first contestant's seconds.
    """
    jax.clear_caches()
    figures, answers = {}, {}
    for name, function in contestants.items():
        first, compiling, _ = timed(function)
        figures[name] = {"first_call_seconds": first, "compile_seconds": compiling, "seconds": []}
    names = list(contestants)
    ours = figures[names[0]]["seconds"]

    def take_turns():
        begin = len(ours) % len(names)
        for name in names[begin:] + names[:begin]:
            seconds, compiling, answers[name] = timed(contestants[name])
            figures[name]["seconds"].append(seconds)
            figures[name]["recompile_seconds"] = compiling
        _firsts[0] += ours[-1]

    benchmark.pedantic(take_turns, rounds=rounds)
    for name, one in figures.items():
        one |= spread(one["seconds"], "seconds")
        if name != names[0]:
            one |= spread([b / a for a, b in zip(ours, one["seconds"], strict=True)], "ratio")
            one |= difference(answers[names[0]], answers[name])
    return figures


BATCHES = (8, 16, 32, 64)


def fastest_batch(function):
    """Which of `BATCHES` a function of the batch size is fastest with, each tried once, warm."""

    def seconds(batch):
        function(batch)
        return timed(lambda: function(batch))[0]

    return min(BATCHES, key=seconds)


def spread(values, name):
    """Median, extremes and the distance between the quartiles."""
    quartiles = statistics.quantiles(values, method="inclusive") if len(values) > 1 else [0, 0, 0]
    return {
        f"{name}_median": statistics.median(values), f"{name}_least": min(values),
        f"{name}_most": max(values), f"{name}_iqr": quartiles[2] - quartiles[0],
    }  # fmt: skip


def difference(ours, theirs):
    """The largest difference of two answers, where they are numbers."""
    if ours is None or theirs is None:
        return {}
    a, b = (np.asarray(answer, np.float64) for answer in (ours, theirs))
    return {
        "largest_difference": float(np.abs(a - b).max()), "largest_answer": float(np.abs(a).max())
    }  # fmt: skip
