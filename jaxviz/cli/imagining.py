"""The command that makes images which excite channels."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .loading import layers_of, load_network
from .options import (
    CLASSIFIER,
    USUAL,
    Cluster,
    Coordinator,
    Dpi,
    Layers,
    NetworkName,
    NumProcesses,
    OutputFolder,
    ProcessId,
    Restart,
    SaveArrays,
    Weights,
    seed_option,
)
from .output import say
from .progress import counter

_SHOWN = 12  # channels, where none are asked for


def imagine(
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layers = None,
    channel: Annotated[
        list[int] | None,
        typer.Option(
            "--channel",
            help="Make an image for this channel; may be repeated.",
            show_default=f"the first {_SHOWN}",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="Make an image for this class, by index or name; may be repeated.",
            show_default=False,
        ),
    ] = None,
    all_channels: Annotated[
        bool, typer.Option("--all-channels", help="Make an image for every channel.")
    ] = False,
    variants: Annotated[
        int, typer.Option("--variants", min=1, help="Images for each channel, that differ.")
    ] = 1,
    negative: Annotated[
        bool, typer.Option("--negative", help="Make what lowers a channel instead.")
    ] = False,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of gradient ascent.")] = 256,
    parametrization: Annotated[
        Literal["phases", "fourier", "pixels"],
        typer.Option(
            "--parametrization",
            help="What is changed: the `phases` of the spectrum of photographs, the whole "
            "`fourier` spectrum (stronger activations, louder colors), or single `pixels`.",
        ),
    ] = "phases",
    seed: Annotated[int, seed_option("Of all that is random.")] = 0,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of images on a page.")] = 8,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            min=1,
            help="Images made at a time on each device.",
            show_default="8 on a CPU, 64 elsewhere",
        ),
    ] = None,
    output: OutputFolder = Path("imagined"),
    dpi: Dpi = None,
    save_arrays: SaveArrays = False,
    restart: Restart = False,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
    cluster: Cluster = False,
) -> None:
    """Make images that excite channels or classes most, by gradient ascent from noise.

    OUTPUT gets a PNG for each layer (with a number if there are several pages). With
    `--all-channels` it also gets a folder for each layer, with the images themselves in
    `images.npy` and what each was made for in `index.jsonl`; if the command is interrupted, run it
    again to continue.
    """
    from .. import sweep
    from .._checks import InputError, number_list
    from ..analyses import feature_images, provenance, save_analyses
    from ..draw import pages_of, save_figure
    from ..files import claim_folder, file_stems, read_manifest, write_manifest
    from ..sweep.processes import wait_a_little

    part = sweep.join(
        coordinator=coordinator, num_processes=num_processes, process_id=process_id,
        cluster=cluster,
    )  # fmt: skip
    if sum(map(bool, (channel, target, all_channels))) > 1:
        raise InputError("channel, class, all-channels: name one of them")
    model = load_network(network, weights, usual=CLASSIFIER if target else USUAL)
    layers = layers_of(model, layer)
    if target:
        if layer:
            raise InputError("layer: classes have their own; leave it out")
        layers = [model.role("logits")]
        channel = [model.class_index(one) for one in target]
    layers = layers or [model.role("deep_layers")[-1]]
    shapes = model.layers()
    for name in layers:
        if channel and name in shapes:
            number_list(channel, "channels", shapes[name][-1])
    if part.processes > 1 and not all_channels:
        raise InputError("all-channels: several processes share out all channels; leave out others")
    kind = {"kind": "imagined"}
    if part.process == 0:
        found_kind = read_manifest(claim_folder(output)).get("kind", kind["kind"])
        if found_kind != kind["kind"]:
            raise InputError(f"{output}: holds {found_kind}; name another folder")
        output.mkdir(parents=True, exist_ok=True)
        write_manifest(output, kind)
    while part.process > 0 and read_manifest(output) != kind:
        wait_a_little()
    for name, file in zip(layers, file_stems(layers), strict=True):
        folder = output / file
        if restart and all_channels:
            sweep.restart(folder, part=part)
        usual = range(min(_SHOWN, shapes[name][-1])) if name in shapes else ()
        with counter(name) as progress:
            found = feature_images(
                model, layer=name, channels=channel or (() if all_channels else usual),
                variants=variants, negative=negative, steps=steps,
                parametrization=parametrization, seed=seed, rows=rows, batch_size=batch_size,
                folder=folder if all_channels else None, part=part, progress=progress,
            )  # fmt: skip
        if part.process > 0:
            continue
        say(found)
        for ending, figure in pages_of(found):
            print(save_figure(figure, f"{folder}{ending}.png", dpi=dpi))
        if save_arrays:
            options = {
                "layer": name, "channels": channel, "variants": variants, "negative": negative,
                "steps": steps, "parametrization": parametrization, "seed": seed,
            }  # fmt: skip
            print(save_analyses(f"{folder}.npz", [found], provenance(model, options)))
