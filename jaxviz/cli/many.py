"""Commands on many pictures."""

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    BatchSize,
    Channels,
    Folder,
    Layer,
    Layers,
    NetworkName,
    Output,
    OutputFolder,
    SaveArrays,
    Weights,
)  # fmt: skip
from .steps import load_for, read_pictures, report_skipped, say, track, write_exhibits


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

    With labeled sub-folders, says how often a neighbor is of the same kind.
    """
    from ..report import folders

    model = load_for(network, weights, output, save_arrays)
    loaded = read_pictures(model, folder)
    name = layer or model.spec.feature_layer
    total = len(loaded.paths)
    queries = [i * total // min(rows, total) for i in range(min(rows, total))]
    exhibit = folders.neighbors(
        model, loaded, name, top=top, queries=queries, batch_size=batch_size, track=track
    )
    options = {"folder": str(folder), "layer": name, "top": top, "batch_size": batch_size}
    write_exhibits(output, [exhibit], model, options, save_arrays)


def patches(
    folder: Folder,
    network: NetworkName = "alexnet",
    weights: Weights = None,
    layer: Layers = None,
    channel: Channels = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Patches for each channel.")] = 9,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Channels to show.")] = 12,
    batch_size: BatchSize = 16,
    output: OutputFolder = Path("patches"),
    save_arrays: SaveArrays = False,
) -> None:
    """What excites a channel most? A row of patches for each, out of all pictures of a folder.

    OUTPUT gets a PNG for each layer and `jaxviz.json`, which lists every patch with its picture,
    its place and its box in the original picture's pixels (top, left, bottom, right).
    """
    from ..files import claim_folder, write_arrays, write_manifest
    from ..networks.registry import load
    from ..render import save_figure
    from ..report import folders
    from ..report.exhibit import provenance

    claim_folder(output)
    model = load(network, weights=weights)
    loaded = read_pictures(model, folder)
    layers = layer or [model.spec.deep_layers[-1]]
    exhibits, records = folders.patches(
        model, loaded, layers, top=top, channels=channel or (), rows=rows,
        batch_size=batch_size, track=track,
    )  # fmt: skip
    options = {"folder": str(folder), "layer": layers, "top": top, "batch_size": batch_size}
    record = provenance(model, options)
    skipped = [one._asdict() for one in loaded.skipped]
    write_manifest(output, {"provenance": record, "patches": records, "skipped": skipped})
    for name, exhibit in zip(layers, exhibits, strict=True):
        say(exhibit)
        file = output / f"{name.replace('/', '_')}.png"
        print(save_figure(exhibit.figure, file))
        if save_arrays:
            print(write_arrays(file.with_suffix(".npz"), exhibit.arrays, record))
