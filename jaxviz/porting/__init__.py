"""Weights of other tools, as files that `load` takes; they are data, and nothing in them is run."""

from .named_arrays import port_arrays as port_arrays
from .ported import Ported as Ported
from .recognition import port_weights as port_weights
from .recognition import read_foreign as read_foreign
from .torch_checkpoint import port_torch as port_torch
