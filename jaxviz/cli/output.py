"""What commands write: the facts on the terminal, a figure, and the arrays behind it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..analyses import Analysis
    from ..networks.network import Network


def claim_output(output: Path, *, save_arrays: bool = False) -> None:
    """Make sure that a figure, and its arrays if asked for, may be written before work begins."""
    from ..files import claim_file, figure_ending

    figure_ending(output)
    claim_file(output)
    if save_arrays:
        claim_file(output.with_suffix(".npz"))


def drawing_imported(items: Iterable[Any]) -> Iterator[Any]:
    """Hand on the items; what draws is imported while the last one is still computed."""
    yield from items
    from ..draw import figure_of  # noqa: F401


def write_analyses(
    output: Path,
    analyses: "Sequence[Analysis]",
    model: "Network",
    options: dict[str, Any],
    *,
    dpi: float | None,
    save_arrays: bool,
    **drawn: Any,
) -> None:
    """Print the facts, write the figures as one file, and the analyses beside it if asked for.

    `drawn` are options of the functions that draw.
    """
    from ..analyses import provenance, save_analyses
    from ..draw import figure_of, save_figures

    for analysis in analyses:
        say(analysis)
    figures = [figure_of(analysis, **drawn) for analysis in analyses]
    print(save_figures(figures, output, dpi=dpi))
    if save_arrays:
        record = provenance(model, options)
        print(save_analyses(output.with_suffix(".npz"), analyses, record))


def say(analysis: "Analysis") -> None:
    """Print what can be read beside a figure."""
    for what, value in analysis.facts:
        print(f"{what}: {value}")
