"""What the processor can do: instructions that make one way of computing quicker than another."""

import functools
from pathlib import Path


@functools.cache
def instructions() -> frozenset[str]:
    """The names of the processor's instruction sets, as Linux lists them; none elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    listed = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return frozenset(next(listed, "").split())


def multiplies_bfloat16() -> bool:
    """Say whether the processor multiplies matrices of bfloat16 faster than those of float32."""
    return not instructions().isdisjoint(("amx_bf16", "avx512_bf16"))
