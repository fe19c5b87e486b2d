"""Commands that run over picture sets of any size; started again, they go on where they were."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    USUAL,
    Cluster,
    Coordinator,
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
from .steps import counter, load_network, report_skipped, say

if TYPE_CHECKING:
    from ..pictures.preprocessing import Preprocessing
    from ..sweep import PictureSet


def open_pictures(folder: Path, preprocessing: "Preprocessing") -> "PictureSet":
    """A folder of pictures or a packed one."""
    from .. import sweep

    if sweep.is_packed(folder):
        return sweep.open_packed(folder, preprocessing)
    return sweep.folder_pictures(folder, preprocessing)


def patches(
    folder: PictureSetFolder,
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layers = None,
    channel: Annotated[
        list[int] | None,
        typer.Option(
            "--channel", help="Show this channel; may be repeated.", show_default="the strongest"
        ),
    ] = None,
    all_channels: Annotated[
        bool, typer.Option("--all-channels", help="Show every channel, on several pages.")
    ] = False,
    top: Annotated[int, typer.Option("--top", min=1, help="Patches for each channel.")] = 9,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Channels on a page.")] = 12,
    context: Annotated[
        bool,
        typer.Option("--context", help="Draw also the whole pictures, dark outside the patch."),
    ] = False,
    smallest: Annotated[
        bool, typer.Option("--smallest", help="Look for the smallest activations.")
    ] = False,
    all_positions: Annotated[
        bool, typer.Option("--all-positions", help="Take any number of patches from a picture.")
    ] = False,
    batch_size: SweepBatchSize = None,
    output: OutputFolder = Path("patches"),
    save_arrays: SaveArrays = False,
    save_every: SaveEvery = 100,
    restart: Restart = False,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
    cluster: Cluster = False,
) -> None:
    """What excites a channel most? A row of patches for each, out of all pictures of a folder.

    OUTPUT gets a PNG for each layer and `jaxviz.json`, which lists every patch with its picture,
    its place and its box in the original picture's pixels (top, left, bottom, right). The state is
    saved there on the way: after an interruption, the same command goes on.
    """
    from .. import devices, sweep
    from .._checks import channels
    from ..draw import save_figure
    from ..files import write_arrays, write_manifest
    from ..report.exhibit import provenance
    from ..report.patch_pages import Seen, chosen_channels, patch_pages

    part = sweep.join(
        coordinator=coordinator, num_processes=num_processes, process_id=process_id,
        cluster=cluster,
    )  # fmt: skip
    model = load_network(network, weights)
    layers = layer or [model.role("deep_layers")[-1]]
    shapes = model.layers()
    for name in set(layers) & set(shapes):  # unknown ones are named by the sweep
        channels(channel or (), shapes[name][-1])
    if restart:
        sweep.restart(output)
    batch_size = devices.batch_size(batch_size)
    pictures = open_pictures(folder, model.preprocessing)
    with counter(", ".join(layers)) as progress:
        swept = sweep.top_patches(
            model.apply, model.params, pictures, prepare=model.preprocessing.normalize,
            layers=layers, k=top, largest=not smallest, unique_images=not all_positions,
            batch_size=batch_size, folder=output, save_every=save_every, part=part,
            progress=progress,
        )  # fmt: skip
    if part.process > 0:
        return
    report_skipped(swept.skipped)
    print(f"pictures: {len(pictures.paths) - len(swept.skipped)}")

    records: list[dict[str, Any]] = []
    options = {
        "folder": str(folder), "layer": layers, "top": top, "smallest": smallest,
        "all_positions": all_positions, "batch_size": batch_size,
    }  # fmt: skip
    record = provenance(model, options)
    for name in layers:
        best = swept.found[name]
        chosen = chosen_channels(
            best, channel or (), rows, everything=all_channels, largest=not smallest
        )
        pages = patch_pages(
            model, name, best, lambda index: Seen(pictures.picture(index), pictures.paths[index]),
            numbers=chosen, rows=rows, context=context, largest=not smallest,
        )  # fmt: skip
        stem = name.replace("/", "_")
        several = len(chosen) > rows
        for number, page in enumerate(pages, start=1):
            if number == 1:
                say(page.exhibit)
            tail = f"-{number:02d}" if several else ""
            print(save_figure(page.exhibit.figure, output / f"{stem}{tail}.png"))
            if page.context is not None:
                print(save_figure(page.context, output / f"{stem}-context{tail}.png"))
            records += page.records
        if save_arrays:
            arrays = {f"{name}.{field}": values for field, values in best._asdict().items()}
            print(write_arrays(output / f"{stem}.npz", arrays, record))
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
    """One feature vector for every picture of a folder, in a file that is mapped into memory.

    OUTPUT gets `features.npy`, float32 (pictures, dim), which NumPy and faiss read; `index.jsonl`,
    whose lines name its rows; and `jaxviz.json`. `jaxviz neighbors` and `jaxviz map` take OUTPUT
    in place of the pictures. After an interruption, the same command goes on.
    """
    from .. import devices, sweep
    from ..report.exhibit import provenance

    part = sweep.join(
        coordinator=coordinator, num_processes=num_processes, process_id=process_id,
        cluster=cluster,
    )  # fmt: skip
    model = load_network(network, weights)
    name = layer or model.role("feature_layer")
    if restart:
        sweep.restart(output)
    batch_size = devices.batch_size(batch_size)
    pictures = open_pictures(folder, model.preprocessing)
    options = {"folder": str(folder), "layer": name, "batch_size": batch_size}
    with counter(f"{name} features") as progress:
        made = sweep.features(
            model.apply, model.params, pictures, prepare=model.preprocessing.normalize,
            layer=name, folder=output, batch_size=batch_size, save_every=save_every, part=part,
            progress=progress, provenance=provenance(model, options),
        )  # fmt: skip
    if part.process == 0:
        report_skipped(made.skipped)
        number, dim = made.vectors.shape
        print(f"features: {number} x {dim}")
        print(output / "features.npy")


def pack(
    folder: PictureSetFolder,
    network: Annotated[
        str, typer.Option("--network", help="Whose preprocessing the pictures get.")
    ] = USUAL,
    output: OutputFolder = Path("packed"),
    restart: Restart = False,
) -> None:
    """Decode a folder's pictures once, so that later sweeps need not.

    OUTPUT holds the pictures as NETWORK takes them (150 kB each) and stands for the folder in
    every sweep. After an interruption, the same command goes on.
    """
    from .. import sweep
    from ..networks.loading import load

    preprocessing = load(network).preprocessing
    if restart:
        sweep.restart(output)
    pictures = sweep.folder_pictures(folder, preprocessing)
    with counter("packing") as progress:
        packed = sweep.pack(pictures, folder=output, preprocessing=preprocessing, progress=progress)
    report_skipped(list(packed.skipped.values()))
    print(f"pictures: {len(packed.paths) - len(packed.skipped)}")
    print(output)
