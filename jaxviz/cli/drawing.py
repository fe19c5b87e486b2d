"""The command that draws a file of analyses again, without pictures and without a network."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Dpi
from .output import claim_output, say


def draw(
    file: Annotated[
        Path,
        typer.Argument(help="What a command wrote with `--save-arrays`.", show_default=False),
    ],
    font_size: Annotated[
        float, typer.Option("--font-size", help="Of captions, in points; titles are larger.")
    ] = 8,
    font: Annotated[
        str | None,
        typer.Option("--font", help="A font of this computer.", show_default="DejaVu Sans"),
    ] = None,
    scale: Annotated[
        float, typer.Option("--scale", help="Makes the pictures larger or smaller.")
    ] = 1.0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The figure to write: .png, .pdf or .svg.",
            show_default="FILE with .png",
        ),
    ] = None,
    dpi: Dpi = None,
) -> None:
    """Draw the figure of an npz again: larger, with other letters, or as a PDF or SVG.

    Needs neither the network nor the pictures. Patches that take several pages get a file for each,
    but for a PDF. For a column of a paper, 3.3 inches wide, say
    `--scale 0.32 --font-size 6`; for a projector, `--font-size 14 --scale 1.5`.
    """
    from .._checks import InputError
    from ..analyses import load_analyses
    from ..draw import Style, pages_of, save_figures

    output = output or file.with_suffix(".png")
    claim_output(output)
    style = Style(font_size, font, scale)
    analyses, _ = load_analyses(file)
    try:
        pages = [page for analysis in analyses for page in pages_of(analysis, style=style)]
        for analysis in analyses:
            say(analysis)
    except InputError:
        raise
    except (LookupError, ValueError) as error:  # such as the number of a picture that is not there
        raise InputError(f"{file}: its arrays do not fit together ({error})") from None
    by_name: dict[Path, list[Any]] = {}
    for ending, figure in pages:
        name = output if output.suffix == ".pdf" else output.with_stem(f"{output.stem}{ending}")
        by_name.setdefault(name, []).append(figure)
    for name, figures in by_name.items():
        claim_output(name)
        print(save_figures(figures, name, dpi=dpi))
