"""What a network's jaxpr tells: which pixels a unit sees."""

from .receptive_field import ReceptiveField as ReceptiveField
from .receptive_field import receptive_field as receptive_field
