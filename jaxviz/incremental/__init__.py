"""Reads a network's jaxpr to recompute only what a box changes, and to find receptive fields."""

from .evaluation import WindowedOutputs as WindowedOutputs
from .evaluation import windowed_outputs as windowed_outputs
from .explanation import ExplainedStep as ExplainedStep
from .explanation import Explanation as Explanation
from .explanation import explain as explain
from .receptive_field import ReceptiveField as ReceptiveField
from .receptive_field import receptive_field as receptive_field
