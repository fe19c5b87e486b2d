"""The analyses of one network and its pictures, as exhibits."""

from typing import Any

from .. import analyses, draw
from ..analyses import top_classes as top_classes
from .exhibit import Exhibit


def _exhibit(analysis: Any, arrays: dict[str, Any]) -> Exhibit:
    return Exhibit(draw.figure_of(analysis), arrays, analysis.facts, analysis.alt)


def filters(*given: Any, **options: Any) -> Exhibit:
    """`jaxviz.analyses.filters`."""
    return _exhibit(analyses.filters(*given, **options), {})


def activations(*given: Any, **options: Any) -> Exhibit:
    """`jaxviz.analyses.activations`."""
    found = analyses.activations(*given, **options)
    return _exhibit(found, {f"{found.layer}.maps": found.maps})


def occlusion(*given: Any, **options: Any) -> Exhibit:
    """`jaxviz.analyses.occlusion`."""
    return _exhibit(analyses.occlusion(*given, **options), {})
