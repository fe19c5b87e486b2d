"""The command line. Options mean the same everywhere; what they cost is imported when used."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .images import Loaded
    from .networks.registry import Network
    from .report.exhibit import Exhibit, Picture

app = typer.Typer(
    name="jaxviz",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="See what a convolutional network has learned.\n\n"
    "Start with **jaxviz tour**, which shows all six techniques on one page; the other commands "
    "show one technique each, on your own pictures. Each writes a PNG (`--output`) and, with "
    "`--save-arrays`, the raw numbers beside it as an npz.",
)
weights_app = typer.Typer(no_args_is_help=True, help="Weights: what is shipped, and from where.")
app.add_typer(weights_app, name="weights")

PictureFile = Annotated[Path, typer.Argument(help="A photograph.", show_default=False)]
Folder = Annotated[
    Path,
    typer.Argument(
        help="A folder of pictures; the name of a sub-folder is the label of what is in it.",
        show_default=False,
    ),
]
NetworkName = Annotated[
    str, typer.Option("--network", help="`alexnet` (conv1 to pool5) or `squeezenet` (complete).")
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="A safetensors file to use instead of the shipped one, such as a complete AlexNet.",
        show_default=False,
    ),
]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", help="A layer by its exact name; may be repeated.", show_default=False),
]
Layer = Annotated[
    str | None, typer.Option("--layer", help="A layer by its exact name.", show_default=False)
]
Channels = Annotated[
    list[int] | None,
    typer.Option(
        "--channel", help="Show this channel; may be repeated.", show_default="the strongest"
    ),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, help="Pictures (or variants) evaluated at a time.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="The folder to write into.")]
SaveArrays = Annotated[
    bool, typer.Option("--save-arrays", help="Write the raw numbers too, as an npz beside it.")
]


def main() -> None:
    """Run the command line: a user's mistake is one line on standard error and exit code 2."""
    from ._checks import InputError

    try:
        app(prog_name="jaxviz")
    except InputError as error:
        print(f"jaxviz: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # what the file system refuses: a name too long, no permission
        print(f"jaxviz: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("jaxviz: interrupted; nothing was written half", file=sys.stderr)
        raise SystemExit(130) from None


def _version(asked: bool) -> bool:
    if asked:
        from . import __version__

        print(f"jaxviz {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
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
    from .networks.registry import load
    from .report.tour import write_tour

    first = load(network, weights=weights)
    classifier = first if first.spec.logits else load("squeezenet")
    page, skipped = write_tour(
        output, pictures or [], first, classifier,
        target=target, top=top, batch_size=batch_size, track=_track,
    )  # fmt: skip
    _report_skipped(skipped)
    print(f"{page}: open it in a browser")


@app.command()
def filters(
    network: NetworkName = "alexnet",
    weights: Weights = None,
    layer: Layers = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="Filters to show.", show_default="64 or 8")
    ] = None,
    output: Output = Path("filters.png"),
    save_arrays: SaveArrays = False,
) -> None:
    """Filters as pictures: the first layer in color, later ones channel by channel in gray."""
    from .report import single

    model = _load(network, weights, output, save_arrays)
    layers = layer or [model.spec.first_layer]
    exhibits = []
    for name in layers:
        usual = 64 if name == model.spec.first_layer else 8
        exhibits.append(single.filters(model, name, top=top or usual))
    _write(output, exhibits, model, {"layer": layers, "top": top}, save_arrays)


@app.command()
def activations(
    picture: PictureFile,
    network: NetworkName = "alexnet",
    weights: Weights = None,
    layer: Layers = None,
    channel: Channels = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Channels to show.")] = 9,
    output: Output = Path("activations.png"),
    save_arrays: SaveArrays = False,
) -> None:
    """Where in this picture does each channel fire? One may find faces."""
    from .report import single

    model = _load(network, weights, output, save_arrays)
    one = _picture(model, picture)
    layers = layer or [model.spec.deep_layers[-1]]
    exhibits = [
        single.activations(model, one, name, top=top, channels=channel or ()) for name in layers
    ]
    options = {"picture": str(picture), "layer": layers, "channel": channel, "top": top}
    _write(output, exhibits, model, options, save_arrays)


@app.command()
def occlude(
    picture: PictureFile,
    network: NetworkName = "squeezenet",
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
    batch_size: BatchSize = 32,
    output: Output = Path("occlusion.png"),
    save_arrays: SaveArrays = False,
) -> None:
    """Hide a part of the picture, watch the score, draw what mattered.

    Orange: hiding it hurt the score. Purple: it helped.
    """
    from .report import single

    model = _load(network, weights, output, save_arrays)
    one = _picture(model, picture)
    with _status("hiding parts of the picture"):
        exhibit = single.occlusion(
            model, [one], targets=[target], window=window, stride=stride, fill=fill, kind=score,
            chunk_size=batch_size,
        )  # fmt: skip
    options = {
        "picture": str(picture), "target": target, "window": window, "stride": stride,
        "fill": fill, "score": score, "batch_size": batch_size,
    }  # fmt: skip
    _write(output, [exhibit], model, options, save_arrays)


@app.command()
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
    from .report import folders

    model = _load(network, weights, output, save_arrays)
    loaded = _pictures(model, folder)
    name = layer or model.spec.feature_layer
    total = len(loaded.paths)
    queries = [i * total // min(rows, total) for i in range(min(rows, total))]
    exhibit = folders.neighbors(
        model, loaded, name, top=top, queries=queries, batch_size=batch_size, track=_track
    )
    options = {"folder": str(folder), "layer": name, "top": top, "batch_size": batch_size}
    _write(output, [exhibit], model, options, save_arrays)


@app.command()
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
    from .files import claim_folder, write_arrays, write_manifest
    from .networks.registry import load
    from .render import save_figure
    from .report import folders
    from .report.exhibit import provenance

    claim_folder(output)
    model = load(network, weights=weights)
    loaded = _pictures(model, folder)
    layers = layer or [model.spec.deep_layers[-1]]
    exhibits, records = folders.patches(
        model, loaded, layers, top=top, channels=channel or (), rows=rows,
        batch_size=batch_size, track=_track,
    )  # fmt: skip
    options = {"folder": str(folder), "layer": layers, "top": top, "batch_size": batch_size}
    record = provenance(model, options)
    skipped = [one._asdict() for one in loaded.skipped]
    write_manifest(output, {"provenance": record, "patches": records, "skipped": skipped})
    for name, exhibit in zip(layers, exhibits, strict=True):
        _say(exhibit)
        file = output / f"{name.replace('/', '_')}.png"
        print(save_figure(exhibit.figure, file))
        if save_arrays:
            print(write_arrays(file.with_suffix(".npz"), exhibit.arrays, record))


@weights_app.command("list")
def list_weights() -> None:
    """What is shipped: network, layers, source, license and sha256, each file checked."""
    from .networks.registry import load, networks

    for name in networks():
        model = load(name)
        layers = list(model.layers())
        end = f"{len(model.labels)} classes" if model.labels else "no classes"
        print(f"{name}: {layers[0]} to {layers[-1]}, {end}, intact")
        for key in ("weights", "source", "license", "sha256"):
            print(f"  {key:<8} {model.provenance[key]}")


def _load(network: str, weights: Path | None, output: Path, save_arrays: bool) -> "Network":
    """Load a network, after making sure that its results may be written."""
    from ._checks import InputError
    from .files import claim_file
    from .networks.registry import load

    if output.suffix.lower() != ".png":
        raise InputError(f"output: expected a name that ends in .png, got {output}")
    claim_file(output)
    if save_arrays:
        claim_file(output.with_suffix(".npz"))
    return load(network, weights=weights)


def _picture(model: "Network", path: Path) -> "Picture":
    from .images import decode
    from .report.exhibit import Picture

    return Picture(path.stem, model.spec.preprocessing.fit(decode(path)))


def _pictures(model: "Network", folder: Path) -> "Loaded":
    from .images import find_pictures, load_pictures

    paths = find_pictures([folder])
    loaded = load_pictures(_track(paths, len(paths), "reading"), model.spec.preprocessing)
    _report_skipped(loaded.skipped)
    return loaded


def _report_skipped(skipped: Sequence[Any]) -> None:
    for one in skipped:
        print(f"skipped {one.path}: {one.reason}", file=sys.stderr)


def _write(
    output: Path,
    exhibits: "Sequence[Exhibit]",
    model: "Network",
    options: dict[str, Any],
    save_arrays: bool,
) -> None:
    """Write the figures, one above the other, as one PNG, and the arrays beside it."""
    from .files import write_arrays, write_whole
    from .render import stacked_png
    from .report.exhibit import provenance

    for exhibit in exhibits:
        _say(exhibit)
    print(write_whole(output, stacked_png([exhibit.figure for exhibit in exhibits])))
    if save_arrays:
        arrays = {name: value for one in exhibits for name, value in one.arrays.items()}
        record = provenance(model, options)
        print(write_arrays(output.with_suffix(".npz"), arrays, record))


def _say(exhibit: "Exhibit") -> None:
    for what, value in exhibit.facts:
        print(f"{what}: {value}")


def _track(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
    """A progress bar on standard error, and none where that is no terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return iter(
        track(items, title, total=total, console=console, transient=True,
              disable=not console.is_terminal)
    )  # fmt: skip


def _status(title: str) -> Any:
    from rich.console import Console

    return Console(stderr=True).status(title)
