"""Products of numbers that are rounded to bfloat16, summed in float32."""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax


def rounded(numbers: Array) -> Array:
    """In bfloat16. The barrier keeps XLA from rounding again at each use."""
    return lax.optimization_barrier(numbers.astype(jnp.bfloat16))


def rounded_product(numbers: Array, matrix: Array, contracted: Any) -> Array:
    """`lax.dot_general` of float32 or bfloat16 `numbers` and a rounded `matrix`, in float32."""
    return lax.dot_general(rounded(numbers), matrix, contracted, preferred_element_type=jnp.float32)
