"""The command that fits linear classifiers of one's own labels, layer by layer."""

from pathlib import Path
from typing import Annotated

import typer

from .loading import layers_of, load_for, report_skipped
from .options import (
    Dpi,
    Labels,
    Layers,
    NetworkName,
    Output,
    PictureSetFolder,
    SaveArrays,
    SweepBatchSize,
    Weights,
    seed_option,
)
from .output import write_analyses
from .progress import counter


def probe(
    folder: PictureSetFolder,
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layers = None,
    labels: Labels = None,
    shuffled: Annotated[
        bool,
        typer.Option(
            "--shuffled/--no-shuffled",
            help="Also ask the network with its weights shuffled: what did training bring?",
        ),
    ] = True,
    seed: Annotated[int, seed_option("Of the shuffling.")] = 0,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            help="Keep the classifier of the best layer, or of the only one that is named, as "
            "HEAD.safetensors; every command then takes `--head HEAD.safetensors`.",
            show_default=False,
        ),
    ] = None,
    batch_size: SweepBatchSize = None,
    output: Output = Path("probe.png"),
    dpi: Dpi = None,
    save_arrays: SaveArrays = False,
) -> None:
    """How well does each layer tell your own kinds of pictures apart?

    The sub-folders of FOLDER are the labels; twenty pictures each are plenty. A linear classifier
    is fitted to each layer's features, and asked about pictures that it was not fitted to.
    """
    from .. import sweep
    from .._checks import InputError
    from ..analyses import probe as probed
    from ..analyses.labels import read_labels
    from ..files import claim_file
    from ..networks.heads import save_head

    if save is not None:
        if save.suffix != ".safetensors":
            raise InputError(f"save: expected a name that ends in .safetensors, got {save}")
        claim_file(save)
    model = load_for(network, weights, output, save_arrays)
    layers = layers_of(model, layer) or None
    pictures = sweep.open_pictures(folder, model.preprocessing)
    with counter("features") as progress:
        found = probed(
            model, pictures, labels=read_labels(labels, pictures.paths) if labels else "folders",
            layers=layers, shuffled=shuffled, seed=seed, batch_size=batch_size, progress=progress,
        )  # fmt: skip
    report_skipped(list(found.skipped), [folder])
    options = {
        "folder": str(folder), "layer": layers, "labels": labels and str(labels),
        "shuffled": shuffled, "seed": seed,
    }  # fmt: skip
    write_analyses(output, [found.analysis], model, options, dpi=dpi, save_arrays=save_arrays)
    if save is not None:
        print(f"{save_head(save, found.head)}: {found.head.layer} of {model.spec.title}")
