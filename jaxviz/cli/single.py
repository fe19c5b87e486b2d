"""Commands on a network alone or on one picture."""

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    CLASSIFIER,
    Channels,
    ClassifierName,
    Layers,
    NetworkName,
    Output,
    PictureFile,
    SaveArrays,
    Weights,
)
from .steps import load_for, read_picture, status, write_exhibits


def filters(
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layers = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="Filters to show.", show_default="64 or 8")
    ] = None,
    output: Output = Path("filters.png"),
    save_arrays: SaveArrays = False,
) -> None:
    """Filters as pictures: the first layer in color, later ones channel by channel in gray."""
    from ..report import single

    model = load_for(network, weights, output, save_arrays)
    layers = layer or [model.role("first_layer")]
    exhibits = []
    for name in layers:
        usual = 64 if name == model.role("first_layer") else 8
        exhibits.append(single.filters(model, name, top=top or usual))
    write_exhibits(output, exhibits, model, {"layer": layers, "top": top}, save_arrays)


def activations(
    picture: PictureFile,
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layers = None,
    channel: Channels = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Channels to show.")] = 9,
    output: Output = Path("activations.png"),
    save_arrays: SaveArrays = False,
) -> None:
    """Where in this picture does each channel fire? One may find faces."""
    from ..report import single

    model = load_for(network, weights, output, save_arrays)
    one = read_picture(model, picture)
    layers = layer or [model.role("deep_layers")[-1]]
    exhibits = [
        single.activations(model, one, name, top=top, channels=channel or ()) for name in layers
    ]
    options = {"picture": str(picture), "layer": layers, "channel": channel, "top": top}
    write_exhibits(output, exhibits, model, options, save_arrays)


def occlude(
    picture: PictureFile,
    network: ClassifierName = None,
    weights: Weights = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="What to explain: a class by index or name (`281`, `tabby`), or LAYER:CHANNEL "
            "(`conv5:124`), a feature map.",
            show_default="the most probable class",
        ),
    ] = None,
    window: Annotated[int, typer.Option("--window", min=1, help="Side of what is hidden.")] = 32,
    stride: Annotated[int, typer.Option("--stride", min=1, help="Step between places.")] = 8,
    fill: Annotated[
        str,
        typer.Option(
            "--fill",
            help="What hides: `mean` (of the training pictures), `gray`, `black`, `white`, `blur` "
            "(of this picture) or a color (`#80a0ff`).",
        ),
    ] = "mean",
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
    output: Output = Path("occlusion.png"),
    save_arrays: SaveArrays = False,
) -> None:
    """Hide a part of the picture, watch the score, draw what mattered.

    Orange: hiding it hurt the score. Purple: it helped.
    """
    from ..report import single

    model = load_for(network, weights, output, save_arrays, usual=CLASSIFIER)
    one = read_picture(model, picture)
    with status("hiding parts of the picture"):
        exhibit = single.occlusion(
            model, [one], targets=[target], window=window, stride=stride, fill=fill, kind=score,
            chunk_size=batch_size,
        )  # fmt: skip
    options = {
        "picture": str(picture), "target": target, "window": window, "stride": stride,
        "fill": fill, "score": score, "batch_size": batch_size,
    }  # fmt: skip
    write_exhibits(output, [exhibit], model, options, save_arrays)
