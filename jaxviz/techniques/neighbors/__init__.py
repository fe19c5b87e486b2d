"""Exact nearest neighbors: the function, its search, and the estimates that make it quick."""

from .search import METRICS as METRICS
from .search import Neighbors as Neighbors
from .search import label_agreement as label_agreement
from .search import nearest_neighbors as nearest_neighbors
