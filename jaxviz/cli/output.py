"""What commands write: the facts on the terminal, a figure, and the arrays behind it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..analyses import Analysis
    from ..networks.registry import Network
    from ..report.exhibit import Exhibit


def write_exhibits(
    output: Path,
    exhibits: "Sequence[Exhibit]",
    model: "Network",
    options: dict[str, Any],
    save_arrays: bool,
) -> None:
    """Write the figures, one above the other, as one PNG, and the arrays beside it."""
    from ..draw import stacked_png
    from ..files import write_arrays, write_whole
    from ..report.exhibit import provenance

    for exhibit in exhibits:
        say(exhibit)
    print(write_whole(output, stacked_png([exhibit.figure for exhibit in exhibits])))
    if save_arrays:
        arrays = {name: value for one in exhibits for name, value in one.arrays.items()}
        record = provenance(model, options)
        print(write_arrays(output.with_suffix(".npz"), arrays, record))


def write_analyses(
    output: Path,
    analyses: "Sequence[Analysis]",
    model: "Network",
    options: dict[str, Any],
    save_arrays: bool,
) -> None:
    """Write the figures of analyses as one file, and with `save_arrays` an npz beside it."""
    from ..analyses import provenance, save_analyses
    from ..draw import figure_of, save_figures

    for analysis in analyses:
        say(analysis)
    print(save_figures([figure_of(analysis) for analysis in analyses], output))
    if save_arrays:
        record = provenance(model, options)
        print(save_analyses(output.with_suffix(".npz"), analyses, record))


def say(exhibit: "Exhibit | Analysis") -> None:
    """Print the numbers behind a figure."""
    for what, value in exhibit.facts:
        print(f"{what}: {value}")
