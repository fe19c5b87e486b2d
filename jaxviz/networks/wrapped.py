"""What a function that stands around a network's own keeps of it."""

from typing import Any

from .._typing import Params
from .network import Network


class Wrapped:
    """The part that all such functions share: what a network's `apply` says of itself."""

    def __init__(self, network: Network) -> None:
        self._network = network
        for kept in ("note", "image_shape"):
            if hasattr(network.apply, kept):
                setattr(self, kept, getattr(network.apply, kept))

    def kernel(self, params: Params, layer: str) -> Any:
        """The weights of a convolution of the network."""
        return self._network.kernel(layer)
