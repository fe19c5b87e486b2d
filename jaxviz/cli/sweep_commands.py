"""Commands for picture sets of any size: patches, features, pack. Run again, they continue."""

import functools
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .loading import layers_of, load_network, report_skipped
from .options import (
    Channels,
    Cluster,
    Coordinator,
    Dpi,
    Labels,
    Layer,
    Layers,
    NetworkName,
    NumProcesses,
    OutputFolder,
    PictureSetFolder,
    ProcessId,
    Restart,
    SaveArrays,
    SaveEvery,
    SweepBatchSize,
    Weights,
)
from .output import say
from .progress import counter


def patches(
    folder: PictureSetFolder,
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layers = None,
    channel: Channels = None,
    all_channels: Annotated[
        bool, typer.Option("--all-channels", help="Show every channel, on several pages.")
    ] = False,
    top: Annotated[int, typer.Option("--top", min=1, help="Patches for each channel.")] = 9,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Channels on a page.")] = 12,
    context: Annotated[
        bool,
        typer.Option("--context", help="Also draw the whole pictures, dark outside the patch."),
    ] = False,
    imagine: Annotated[
        bool,
        typer.Option(
            "--imagine",
            help="Also make an image for each channel that is shown, some seconds each: what was "
            "found, beside what was made.",
        ),
    ] = False,
    smallest: Annotated[
        bool,
        typer.Option("--smallest", help="Find the smallest activations instead of the largest."),
    ] = False,
    all_positions: Annotated[
        bool, typer.Option("--all-positions", help="Allow several patches from one picture.")
    ] = False,
    rank_by: Annotated[
        Literal["maximum", "mean"],
        typer.Option(
            "--rank-by",
            help="Rank a picture by the largest activation of a channel's map, or by its mean, "
            "which favors what fills the picture.",
        ),
    ] = "maximum",
    by_label: Annotated[
        bool,
        typer.Option(
            "--by-label",
            help="For each channel, find the patches in the pictures of each label apart.",
        ),
    ] = False,
    labels: Labels = None,
    batch_size: SweepBatchSize = None,
    output: OutputFolder = Path("patches"),
    dpi: Dpi = None,
    save_arrays: SaveArrays = False,
    save_every: SaveEvery = 100,
    restart: Restart = False,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
    cluster: Cluster = False,
) -> None:
    """Find the patches that excite each channel most, in all pictures of a folder.

    OUTPUT gets a PNG for each layer (with a number if there are several pages) and `jaxviz.json`,
    which lists every patch with its picture, its unit, and its box in the pixels of the original
    picture (top, left, bottom, right). If the command is interrupted, run it again to continue.
    """
    from .. import devices, sweep
    from .._checks import InputError, channels
    from ..analyses import (
        FeatureImageAnalysis,
        beside_patches,
        feature_images,
        patch_pages,
        provenance,
        save_analyses,
    )
    from ..analyses.labels import label_of_each
    from ..draw import pages_of, save_figure
    from ..files import file_stems, write_manifest

    part = sweep.join(
        coordinator=coordinator, num_processes=num_processes, process_id=process_id,
        cluster=cluster,
    )  # fmt: skip
    model = load_network(network, weights)
    layers = layers_of(model, layer) or [model.role("deep_layers")[-1]]
    shapes = model.layers()
    for name in set(layers) & set(shapes):  # unknown ones are named by the sweep
        channels(channel or (), shapes[name][-1])
    if labels and not by_label:
        raise InputError("labels: only --by-label needs them")
    if by_label and imagine:
        raise InputError("imagine: makes one image for a channel, which has several rows by label")
    if restart:
        sweep.restart(output, part=part)
    batch_size = devices.batch_size(batch_size)
    pictures = sweep.open_pictures(folder, model.preprocessing)
    of_pictures = label_of_each(pictures.paths, labels) if by_label else None
    with counter(", ".join(layers)) as progress:
        swept = sweep.top_patches(
            model.apply, model.params, pictures, prepare=model.preprocessing.normalize,
            layers=layers, k=top, largest=not smallest, unique_images=not all_positions,
            rank_by=rank_by, labels=of_pictures, batch_size=batch_size, folder=output,
            save_every=save_every, part=part, progress=progress,
        )  # fmt: skip
    if part.process > 0:
        return
    report_skipped(swept.skipped, [folder])
    options = {
        "folder": str(folder), "layer": layers, "top": top, "smallest": smallest,
        "all_positions": all_positions, "rank_by": rank_by, "by_label": by_label,
        "batch_size": batch_size,
    }  # fmt: skip
    record = provenance(model, options)
    read_pages = functools.partial(
        patch_pages, model, swept, pictures, channels=channel or (), rows=rows,
        every_channel=all_channels, largest=not smallest, one_each=not all_positions,
        rank_by=rank_by, context=context,
    )  # fmt: skip
    records: list[dict[str, Any]] = []
    for name, file in zip(layers, file_stems(layers), strict=True):
        stem = output / file
        made: list[FeatureImageAnalysis] = []
        for page in read_pages(layer=name):
            if imagine:
                with counter(f"{name} images") as progress:
                    made.append(
                        feature_images(
                            model,
                            layer=name,
                            channels=page.channels.tolist(),
                            negative=smallest,
                            progress=progress,
                        )
                    )
                page = beside_patches(page, made)
            if page.page <= 1:
                say(page)
            for ending, figure in pages_of(page):
                print(save_figure(figure, f"{stem}{ending}.png", dpi=dpi))
            records += page.records
        if save_arrays:
            (whole,) = read_pages(layer=name, at_once=True)
            whole = beside_patches(whole, made) if made else whole
            print(save_analyses(f"{stem}.npz", [whole], record))
    skipped = [one._asdict() for one in swept.skipped]
    write_manifest(
        output,
        {"kind": "top patches", "complete": True, "provenance": record, "patches": records,
         "skipped": skipped},
    )  # fmt: skip


def features(
    folder: PictureSetFolder,
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layer = None,
    batch_size: SweepBatchSize = None,
    output: OutputFolder = Path("features"),
    save_every: SaveEvery = 100,
    restart: Restart = False,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
    cluster: Cluster = False,
) -> None:
    """Write the features of every picture in a folder: one vector each, of one layer.

    OUTPUT gets `features.npy`, float32 (pictures, dim), which NumPy and faiss read; `index.jsonl`,
    which names the picture of each row; and `jaxviz.json`. `jaxviz neighbors` and `jaxviz map`
    accept OUTPUT instead of the pictures. If the command is interrupted, run it again to continue.
    """
    from .. import devices, sweep
    from ..analyses import provenance

    part = sweep.join(
        coordinator=coordinator, num_processes=num_processes, process_id=process_id,
        cluster=cluster,
    )  # fmt: skip
    model = load_network(network, weights)
    (name,) = layers_of(model, layer and [layer]) or [model.role("feature_layer")]
    if restart:
        sweep.restart(output, part=part)
    batch_size = devices.batch_size(batch_size)
    pictures = sweep.open_pictures(folder, model.preprocessing)
    options = {"folder": str(folder), "layer": name, "batch_size": batch_size}
    with counter(f"{name} features") as progress:
        made = sweep.features(
            model.apply, model.params, pictures, prepare=model.preprocessing.normalize,
            layer=name, folder=output, batch_size=batch_size, save_every=save_every, part=part,
            progress=progress, provenance=provenance(model, options),
        )  # fmt: skip
    if part.process == 0:
        report_skipped(made.skipped, [folder])
        number, dim = made.vectors.shape
        print(f"features: {number} x {dim}")
        print(output / "features.npy")


def pack(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures.", show_default=False)],
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            help="A network that shall take the pictures; may be repeated.",
            show_default="those that are shipped",
        ),
    ] = None,
    output: OutputFolder = Path("packed"),
    restart: Restart = False,
) -> None:
    """Decode a folder's pictures once, so that later commands need not.

    OUTPUT holds of each picture what the networks take, 155 kB, or the whole picture where that is
    less; every command that takes a folder of pictures accepts it. If the command is interrupted,
    run it again to continue.
    """
    from rich.filesize import decimal

    from .. import sweep
    from ..networks.catalog import networks, shipped_networks, usual_preprocessing
    from ..networks.opening import open_network
    from ..pictures.packing import free_bytes, most_bytes
    from ..pictures.preprocessing import shared_preprocessing

    preprocessing = shared_preprocessing(
        {
            name: usual_preprocessing(name)
            if name in networks()
            else open_network(name).preprocessing
            for name in network or shipped_networks()
        }
    )
    if restart:
        sweep.restart(output)
    pictures = sweep.folder_pictures(folder, preprocessing)
    most = decimal(most_bytes(len(pictures.paths), preprocessing))
    print(f"packing {len(pictures.paths):,} pictures, at most {most}")
    print(f"free there: {decimal(free_bytes(output))}")
    with counter("packing") as progress:
        packed = sweep.pack(pictures, folder=output, preprocessing=preprocessing, progress=progress)
    report_skipped(list(packed.skipped.values()), [folder])
    print(f"pictures: {len(packed.paths) - len(packed.skipped)}")
    print(output)
