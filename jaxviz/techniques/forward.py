"""Forward passes for loops of one's own, as fast as the techniques make them."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._checks import image_batch
from .._contract import layer_names, outputs_of, selected
from .._independence import independent
from .._typing import Apply, Images, Params
from ..cpu import policy
from ..cpu.compilation import inside_a_trace
from ..cpu.rewriting import prepared
from ..jaxpr.recording import record
from ..jaxpr.tape import value_sizes


def compiled_forward(
    apply: Apply, params: Params, *, layers: str | Sequence[str]
) -> Callable[[Images], dict[str, Any]]:
    """A function `forward(images) -> {layer: activations}` that is compiled, to be called often.

    On a CPU convolutions are rewritten as sweeps do it: those of 3 x 3 and 5 x 5 taps take fewer
    products where that pays, and what depends on the parameters alone is done once. Answers are
    those of `apply` within round-off. It is compiled anew for each shape of a batch.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays; they are read here, so change them and call this again.
        layers: exact names; what only other layers need is not computed.

    Raises:
        InputError: when `forward` is called and a layer is not among the outputs, or, on a CPU, the
            images of a batch depend on one another.

    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", section 4.1.

    >>> import numpy as np
    >>> double = lambda params, images: {"doubled": images * params}
    >>> forward = compiled_forward(double, 2.0, layers="doubled")
    >>> for batch in (np.ones((1, 2, 2, 1), np.float32), np.zeros((1, 2, 2, 1), np.float32)):
    ...     print(forward(batch)["doubled"].max())
    2.0
    0.0
    """
    names, kept = layer_names(layers), jax.device_put(params)

    def function(params: Params, images: Any) -> list[Any]:
        return selected(apply, outputs_of(apply, params, images), names, len(images))

    @functools.cache
    def program(shape: tuple[int, ...], dtype: Any) -> Callable[[Any], list[Any]]:
        prepare, run = prepared(function, kept, jax.ShapeDtypeStruct(shape, dtype), known=0)
        options = policy.compiler_options()
        return functools.partial(
            jax.jit(run, compiler_options=options), jax.jit(prepare)(kept), kept
        )

    @functools.cache
    def few(shape: tuple[int, ...], dtype: Any) -> int:
        """How many images do not leave a CPU's caches; refuse those that depend on one another."""
        independent(apply, kept, shape)
        tape = record(function, kept, jax.ShapeDtypeStruct((1, *shape), dtype)).tape
        return policy.images_together(max(value_sizes(tape), default=1))

    def forward(images: Images) -> dict[str, Any]:
        image_batch(images)
        if inside_a_trace():
            return dict(zip(names, function(kept, images), strict=True))
        whole = _is_spread(images) or not policy.on_cpu()
        together = len(images) if whole else few(images.shape[1:], images.dtype)
        parts = [images[i : i + together] for i in range(0, len(images), together)]
        found = [program(part.shape, part.dtype)(part) for part in parts]
        if len(found) > 1:
            found = [[jnp.concatenate(values) for values in zip(*found, strict=True)]]
        return dict(zip(names, found[0], strict=True))

    return forward


def _is_spread(images: Images) -> bool:
    return isinstance(images, jax.Array) and len(images.sharding.device_set) > 1
