"""Exact nearest neighbors: the public functions, the search, and the estimates it starts from."""

from .nearest import METRICS as METRICS
from .nearest import Neighbors as Neighbors
from .nearest import label_agreement as label_agreement
from .nearest import nearest_neighbors as nearest_neighbors
