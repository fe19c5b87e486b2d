"""Names for the arrays and functions that the whole package speaks of."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Float, UInt8

Array: TypeAlias = jax.Array | np.ndarray
Images: TypeAlias = Float[Array, "batch height width channel"]
Pixels: TypeAlias = UInt8[np.ndarray, "height width samples"]
Fitted: TypeAlias = UInt8[np.ndarray, "crop crop samples"]
Params: TypeAlias = Any  # any pytree of arrays
Outputs: TypeAlias = Mapping[str, Any]
Apply: TypeAlias = Callable[[Any, Any], Outputs]
Score: TypeAlias = Callable[[Outputs], Any]
Progress: TypeAlias = Callable[[int, int], None]  # pictures done, pictures in all
