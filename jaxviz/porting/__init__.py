"""Weights of other tools, as files that `load` takes; they are data, and nothing in them is run."""

from .ported import Ported as Ported
