"""Commands that say by gradients, and beside them by occlusion, which pixels matter."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .loading import load_for
from .options import (
    CLASSIFIER,
    ClassifierName,
    Dpi,
    Output,
    PictureFiles,
    SaveArrays,
    Target,
    Weights,
    seed_option,
)
from .output import write_analyses
from .progress import track

_METHODS = (
    "`gradient`, `smooth-gradient`, `gradient-times-input`, `integrated-gradients`, "
    "`guided-backpropagation`, `deconvolution`, `grad-cam`, `guided-grad-cam` or `occlusion`"
)
Score = Annotated[
    str, typer.Option("--score", help="Of a class: `logit`, `log-probability` or `probability`.")
]
CamLayer = Annotated[
    str | None,
    typer.Option("--layer", help="Where Grad-CAM looks.", show_default="the last deep layer"),
]
Fill = Annotated[
    str | None,
    typer.Option(
        "--fill",
        help="What integrated gradients begin with and occlusion hides with: `mean`, `gray`, "
        "`black`, `white`, `blur` or a color.",
        show_default="mean, gray where it is not known",
    ),
]
Seed = Annotated[int, seed_option("Of the noise of `smooth-gradient`.")]


def attribute(
    pictures: PictureFiles,
    network: ClassifierName = None,
    weights: Weights = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method", help=f"{_METHODS}; may be repeated.", show_default="integrated-gradients"
        ),
    ] = None,
    target: Target = None,
    layer: CamLayer = None,
    fill: Fill = None,
    score: Score = "logit",
    seed: Seed = 0,
    output: Output = Path("attribution.png"),
    dpi: Dpi = None,
    save_arrays: SaveArrays = False,
) -> None:
    """Which pixels of each picture matter for the score, by the gradient and its kin.

    Orange: the pixel raises the score, or is one that it depends on. Purple: it lowers it.
    """
    _attribute(
        pictures, method or ["integrated-gradients"], network=network, weights=weights,
        target=target, layer=layer, fill=fill, score=score, seed=seed, output=output, dpi=dpi,
        save_arrays=save_arrays,
    )  # fmt: skip


def compare(
    pictures: PictureFiles,
    network: ClassifierName = None,
    weights: Weights = None,
    target: Target = None,
    layer: CamLayer = None,
    fill: Fill = None,
    score: Score = "logit",
    seed: Seed = 0,
    output: Output = Path("comparison.png"),
    dpi: Dpi = None,
    save_arrays: SaveArrays = False,
) -> None:
    """All methods that say which pixels matter, side by side, and occlusion beside them.

    A method that a network has not (guided backpropagation needs ReLUs) is left out and named.
    """
    _attribute(
        pictures, None, network=network, weights=weights, target=target, layer=layer, fill=fill,
        score=score, seed=seed, output=output, dpi=dpi, save_arrays=save_arrays,
    )  # fmt: skip


def _attribute(
    pictures: list[Path],
    methods: list[str] | None,
    *,
    network: str | None,
    weights: Path | None,
    output: Path,
    dpi: float | None,
    save_arrays: bool,
    target: str | None,
    **how: Any,
) -> None:
    from .. import analyses

    model = load_for(network, weights, output, save_arrays, usual=CLASSIFIER)
    found = analyses.attribution(
        model, pictures, methods=methods, targets=target,
        track=lambda items: track(items, len(items), "methods"), **how,
    )  # fmt: skip
    options = {
        "pictures": [str(one) for one in pictures], "methods": found.methods, "target": target,
        **how, "fill": found.fill,
    }  # fmt: skip
    write_analyses(output, [found], model, options, dpi=dpi, save_arrays=save_arrays)
