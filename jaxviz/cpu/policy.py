"""Which backend runs: the one place that asks."""

import jax


def on_cpu() -> bool:
    """Say whether computations run on a CPU unless another device is named."""
    return jax.default_backend() == "cpu"
