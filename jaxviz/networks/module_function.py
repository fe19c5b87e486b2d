"""A Flax NNX module as the pure function that our own networks hand to the techniques."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from .._typing import Outputs, Params
from ..cpu.compilation import compiled


@dataclasses.dataclass(frozen=True)
class ModuleFunction:
    """A module's function; equal for equal networks, so that compiled code is found again.

    `note` says why layers that one would look for are missing, and how to get them.
    """

    build: Callable[..., nnx.Module]
    note: str = ""

    @functools.cached_property
    def _split(self) -> tuple[Any, Any]:
        return nnx.split(nnx.eval_shape(lambda: self.build(rngs=nnx.Rngs(0))))

    @property
    def shapes(self) -> dict[str, Any]:
        """The parameters' shapes, as a nested dict."""
        return nnx.to_pure_dict(self._split[1])

    def __call__(self, params: Params, images: Any) -> Outputs:
        """Evaluate the network: compiled, and on CPUs rewritten, outside of any trace."""
        return _compiled(self)(params, images)

    def plain(self, params: Params, images: Any) -> Outputs:
        """Evaluate the network as it is written."""
        graph, state = self._split
        filled = jax.tree.map(lambda leaf: leaf, state)
        nnx.replace_by_pure_dict(filled, params)
        return nnx.merge(graph, filled)(images)


@functools.cache
def _compiled(function: ModuleFunction) -> Callable[[Params, Any], Outputs]:
    return compiled(function.plain)
