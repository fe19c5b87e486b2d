"""jaxviz shows what a convolutional network has learned.

A network is a pure function that names its activations,

    apply(params, images) -> {"conv1": (batch, height, width, channels), ...}

with `images` float32 (batch, height, width, channel), already normalized. Every technique takes
such a function, from Flax, Equinox or plain JAX, and returns arrays or a `NamedTuple` of arrays.
Data come first, options by keyword.
"""

import lazy_loader

__version__ = "0.1.0"

# Each public name is imported when it is asked for; where it comes from, __init__.pyi says.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
