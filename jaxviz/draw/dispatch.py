"""Which function draws which analysis."""

import functools
from typing import Any

from matplotlib.figure import Figure

from ..analyses.base import register_display
from .saving import png
from .style import SCREEN, Style


@functools.singledispatch
def figure_of(analysis: Any, *, style: Style = SCREEN) -> Figure:
    """Draw any analysis that `jaxviz.analyses` makes or reads; its type says how."""
    raise TypeError(f"expected an analysis, got {type(analysis).__name__}")


register_display(lambda analysis: png(figure_of(analysis)))
