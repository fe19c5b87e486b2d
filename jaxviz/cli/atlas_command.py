"""The command that writes an atlas: what excites every channel, as files for a browser."""

from pathlib import Path
from typing import Annotated

import typer

from .loading import layers_of, load_network, report_skipped
from .options import (
    USUAL,
    Labels,
    OutputFolder,
    Restart,
    SaveEvery,
    SweepBatchSize,
    Weights,
)
from .progress import counter


def atlas(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="A folder of pictures, or the OUTPUT of `jaxviz pack`.",
            show_default="the example photographs",
        ),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            help="A network, as in every command; may be repeated, for one page of several.",
            show_default=f"that of the weights, else {USUAL}",
        ),
    ] = None,
    weights: Weights = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", help="A layer by its exact name; may be repeated.",
            show_default="all layers",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, max=100, help="Patches for each channel.")
    ] = 9,
    imagine: Annotated[
        bool,
        typer.Option(
            "--imagine", help="Also make an image for each channel, some seconds each on a CPU."
        ),
    ] = False,
    steps: Annotated[
        int, typer.Option("--steps", min=1, help="Steps of gradient ascent, with --imagine.")
    ] = 128,
    labels: Labels = None,
    batch_size: SweepBatchSize = None,
    output: OutputFolder = Path("atlas"),
    save_every: SaveEvery = 100,
    restart: Restart = False,
) -> None:  # fmt: skip
    """Write a site of static files that shows what excites every channel of every layer.

    OUTPUT/index.html opens from the disk and from any web server. Each channel has an address:
    its patches, its filter, and how strongly it answers to each label, such as the sub-folders
    that pictures are in; labels and pictures can be searched. The size depends on the number of
    channels, not of pictures. If the command is interrupted, run it again to continue.
    """
    from .. import sweep
    from .._checks import InputError
    from ..analyses.labels import labels_of, read_labels
    from ..atlas import AtlasNetwork, write_atlas
    from ..pictures.examples import example_folder

    names: list[str | None] = [*dict.fromkeys(network or ())] or [None]
    if weights is not None and len(names) > 1:
        raise InputError("weights: are those of one network; name one --network, or leave them out")
    place = folder or example_folder()
    parts = []
    for name in names:
        model = load_network(name, weights)
        known = model.layers()
        asked = [one for one in layer or () if one in known or len(names) == 1]
        if layer and not asked:
            layers_of(model, layer)  # none is there: this says so
        pictures = sweep.open_pictures(place, model.preprocessing)
        of_pictures = read_labels(labels, pictures.paths) if labels else labels_of(pictures.paths)
        named = layers_of(model, asked) or list(known)
        parts.append(AtlasNetwork(model, named, pictures, of_pictures))
    for one in layer or ():
        if not any(one in part.layers for part in parts):
            layers_of(parts[0].network, [one])
    skipped = write_atlas(
        output, parts, top=top, imagine=imagine, steps=steps, batch_size=batch_size,
        save_every=save_every, restart=restart, counter=counter,
    )  # fmt: skip
    report_skipped(list({one.path: one for part in skipped for one in part}.values()), [place])
    for part in parts:
        shapes = part.network.layers()
        number = sum((shapes[one] or (1,))[-1] for one in part.layers)
        print(
            f"{part.network.name}: {number} channels of {len(part.layers)} layer"
            f"{'s' if len(part.layers) != 1 else ''}"
        )
    print(output / "index.html")
