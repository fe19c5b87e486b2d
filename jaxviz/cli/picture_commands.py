"""Commands on a network alone or on one picture."""

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from .loading import layers_of, load_for
from .options import (
    CLASSIFIER,
    Channels,
    ClassifierName,
    Dpi,
    Layers,
    NetworkName,
    Output,
    PictureFile,
    PictureFiles,
    SaveArrays,
    Target,
    Weights,
    seed_option,
)
from .output import drawing_imported, write_analyses
from .progress import status, track


def filters(
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layers = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="Filters to show.", show_default="64 or 8")
    ] = None,
    output: Output = Path("filters.png"),
    dpi: Dpi = None,
    save_arrays: SaveArrays = False,
) -> None:
    """Filters as pictures: the first layer in color, later ones channel by channel in gray."""
    from .. import analyses

    model = load_for(network, weights, output, save_arrays)
    layers = layers_of(model, layer) or [model.role("first_layer")]
    usual = {model.spec.first_layer: 64}
    found = [analyses.filters(model, name, top=top or usual.get(name, 8)) for name in layers]
    options = {"layer": layers, "top": top}
    write_analyses(output, found, model, options, dpi=dpi, save_arrays=save_arrays)


def activations(
    picture: PictureFile,
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layers = None,
    channel: Channels = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Channels to show.")] = 9,
    output: Output = Path("activations.png"),
    dpi: Dpi = None,
    save_arrays: SaveArrays = False,
) -> None:
    """Where in this picture does each channel fire? One may find faces."""
    from .. import analyses

    model = load_for(network, weights, output, save_arrays)
    (one,) = analyses.read_pictures(model, [picture])
    layers = layers_of(model, layer) or [model.role("deep_layers")[-1]]
    found = [
        analyses.activations(model, one, name, top=top, channels=channel or ()) for name in layers
    ]
    options = {"picture": str(picture), "layer": layers, "channel": channel, "top": top}
    write_analyses(output, found, model, options, dpi=dpi, save_arrays=save_arrays)


_SIZE = "SIDE|ROWSxCOLS"


def size(text: str) -> tuple[int, int]:
    """Read a size in pixels: one side, or rows and columns."""
    sides = str(text).lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise typer.BadParameter(f"expected a size such as 32 or 32x16, got {text!r}")
    return int(sides[0]), int(sides[-1])


def occlude(
    pictures: PictureFiles,
    network: ClassifierName = None,
    weights: Weights = None,
    target: Target = None,
    window: Annotated[
        Any,
        typer.Option(
            "--window",
            parser=size,
            metavar=_SIZE,
            help="Size of what is hidden.",
            show_default="a seventh of the image's side, 32 of 224",
        ),
    ] = None,
    stride: Annotated[
        Any,
        typer.Option(
            "--stride",
            parser=size,
            metavar=_SIZE,
            help="Step between places.",
            show_default="a twenty-eighth of the image's side, 8 of 224",
        ),
    ] = None,
    fill: Annotated[
        str | None,
        typer.Option(
            "--fill",
            help="What hides: `mean` (of the training pictures), `gray`, `black`, `white`, `blur` "
            "(of this picture) or a color (`#80a0ff`).",
            show_default="mean, gray where it is not known",
        ),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            "--repeats",
            min=1,
            help="Draw so many fills instead, three or more (parts of pictures, noise, blur): the "
            "map is their mean, and hatched where it is not told from zero.",
        ),
    ] = 1,
    seed: Annotated[int, seed_option("Of the fills that are drawn.")] = 0,
    score: Annotated[
        str, typer.Option("--score", help="`log-probability`, `probability` or `logit`.")
    ] = "log-probability",
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            min=1,
            help="Variants evaluated at a time.",
            show_default="what memory allows",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            help="`bfloat16` rounds what is multiplied where the processor is faster so; the map "
            "then differs by up to one percent of its range.",
            show_default="nothing is rounded",
        ),
    ] = None,
    one_scale: Annotated[
        bool, typer.Option("--one-scale", help="Give all pictures one scale of colors.")
    ] = False,
    output: Output = Path("occlusion.png"),
    dpi: Dpi = None,
    save_arrays: SaveArrays = False,
) -> None:
    """Hide a part of each picture, watch the score, draw what mattered.

    Orange: hiding it hurt the score. Purple: it helped.
    """
    from .. import analyses

    model = load_for(network, weights, output, save_arrays, usual=CLASSIFIER)
    several = len(pictures) > 1
    with contextlib.nullcontext() if several else status("hiding parts of the picture"):
        found = analyses.occlusion(
            model, pictures, targets=target, window=window, stride=stride, fill=fill,
            repeats=repeats, seed=seed, score=score, chunk_size=batch_size, precision=precision,
            track=lambda items: drawing_imported(
                track(items, len(items), "occluding") if several else items
            ),
        )  # fmt: skip
    options = {
        "pictures": [str(one) for one in pictures], "target": target, "window": found.window,
        "stride": found.stride, "fill": found.fill, "repeats": repeats, "seed": seed,
        "score": score, "batch_size": batch_size, "precision": precision,
    }  # fmt: skip
    write_analyses(
        output, [found], model, options, dpi=dpi, save_arrays=save_arrays,
        one_scale=one_scale,
    )  # fmt: skip
