"""Commands on many pictures."""

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    BatchSize,
    Folder,
    Layer,
    NetworkName,
    Output,
    OutputFolder,
    SaveArrays,
    Weights,
)  # fmt: skip
from .steps import load_for, read_pictures, report_skipped, track, write_exhibits


def tour(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Photographs or folders of them.", show_default="the example photographs"
        ),
    ] = None,
    network: NetworkName = "alexnet",
    weights: Weights = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="Class to explain.", show_default="each picture's best"),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Neighbors and patches a row.")] = 6,
    batch_size: BatchSize = 16,
    output: OutputFolder = Path("tour"),
) -> None:
    """All six techniques on one self-contained page, OUTPUT/index.html.

    Filters, maps, patches and features are NETWORK's; if its weights end before the classes, those
    are SqueezeNet's.
    """
    from ..networks.registry import load
    from ..report.tour import write_tour

    first = load(network, weights=weights)
    classifier = first if first.spec.logits else load("squeezenet")
    page, skipped = write_tour(
        output, pictures or [], first, classifier,
        target=target, top=top, batch_size=batch_size, track=track,
    )  # fmt: skip
    report_skipped(skipped)
    print(f"{page}: open it in a browser")


def neighbors(
    folder: Folder,
    network: NetworkName = "alexnet",
    weights: Weights = None,
    layer: Layer = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Neighbors to find for each.")] = 6,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Pictures to look up.")] = 6,
    batch_size: BatchSize = 16,
    output: Output = Path("neighbors.png"),
    save_arrays: SaveArrays = False,
) -> None:
    """Which pictures does a layer take for alike, and which do raw pixels?

    With labeled sub-folders, says how often a neighbor is of the same kind. FOLDER may also be one
    that `jaxviz features` wrote, of any size.
    """
    from .. import sweep
    from ..report import folders

    model = load_for(network, weights, output, save_arrays)
    if sweep.is_features(folder):
        made = sweep.load_features(folder)
        total = len(made.paths)
        queries = [i * total // min(rows, total) for i in range(min(rows, total))]
        exhibit = folders.feature_neighbors(model, made, top=top, queries=queries)
        options = {"folder": str(folder), "layer": made.manifest["layer"], "top": top}
        write_exhibits(output, [exhibit], model, options, save_arrays)
        return
    loaded = read_pictures(model, folder)
    name = layer or model.spec.feature_layer
    total = len(loaded.paths)
    queries = [i * total // min(rows, total) for i in range(min(rows, total))]
    exhibit = folders.neighbors(
        model, loaded, name, top=top, queries=queries, batch_size=batch_size, track=track
    )
    options = {"folder": str(folder), "layer": name, "top": top, "batch_size": batch_size}
    write_exhibits(output, [exhibit], model, options, save_arrays)
