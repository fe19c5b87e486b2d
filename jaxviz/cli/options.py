"""Arguments and options that several commands share; they mean the same everywhere."""

from pathlib import Path
from typing import Annotated, Any

import typer

USUAL, CLASSIFIER = "alexnet", "efficientnet_lite0"  # the networks of commands that are told none

PictureFile = Annotated[Path, typer.Argument(help="A photograph.", show_default=False)]
PictureFiles = Annotated[
    list[Path], typer.Argument(help="A photograph, or several.", show_default=False)
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="What to explain: a class by index or name (`281`, `tabby`), or LAYER:CHANNEL "
        "(`conv5:124`), a feature map.",
        show_default="the most probable class",
    ),
]
PictureSetFolder = Annotated[
    Path,
    typer.Argument(
        help="A folder of pictures, or the OUTPUT of `jaxviz pack`.", show_default=False
    ),
]
_NETWORKS = (
    "`alexnet` (conv1 to pool5), `squeezenet` or `efficientnet_lite0` (both complete); with "
    "weights that were fetched or ported, also `caffe_alexnet` or `caffenet`; or one of your own: "
    "FILE.onnx, FILE.py:FUNCTION or MODULE:FUNCTION (see `jaxviz network describe`)."
)
_SHOWN = "that of the weights, else {}"
NetworkName = Annotated[
    str | None, typer.Option("--network", help=_NETWORKS, show_default=_SHOWN.format(USUAL))
]
ClassifierName = Annotated[
    str | None, typer.Option("--network", help=_NETWORKS, show_default=_SHOWN.format(CLASSIFIER))
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="A safetensors file to use instead of the shipped one; or `full`, for the complete "
        "ones that `jaxviz weights get` has fetched.",
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
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="A CSV of picture names and labels.",
        show_default="the folders that pictures are in",
    ),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, help="Pictures (or variants) evaluated at a time.")
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="The figure to write: .png, .pdf or .svg."),
]
Dpi = Annotated[
    float | None,
    typer.Option("--dpi", min=1, help="Pixels an inch of the figure.", show_default="110"),
]


def _folder(path: Path) -> Path:
    if path.suffix.lower() in (".png", ".pdf", ".svg", ".npy", ".npz") and not path.exists():
        raise typer.BadParameter(f"expected a folder's name, got that of a file, {path}")
    return path


OutputFolder = Annotated[
    Path, typer.Option("--output", "-o", callback=_folder, help="The folder to write into.")
]
SaveArrays = Annotated[
    bool,
    typer.Option(
        "--save-arrays",
        help="Write an npz beside the figure, with its numbers and pictures; `jaxviz draw` reads "
        "it.",
    ),
]
SweepBatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        help="Pictures evaluated at a time on each device.",
        show_default="8 on a CPU, 256 elsewhere",
    ),
]
SaveEvery = Annotated[
    int, typer.Option("--save-every", min=1, help="Save the state after this many batches.")
]
Restart = Annotated[
    bool,
    typer.Option(
        "--restart", help="Discard the unfinished or finished work in OUTPUT and start over."
    ),
]
Coordinator = Annotated[
    str | None,
    typer.Option(
        "--coordinator",
        help="HOST:PORT of process 0, to run several processes that share OUTPUT.",
        show_default=False,
    ),
]
NumProcesses = Annotated[
    int | None,
    typer.Option("--num-processes", min=1, help="The number of processes.", show_default=False),
]
ProcessId = Annotated[
    int | None,
    typer.Option(
        "--process-id", min=0, help="The number of this process, from 0.", show_default=False
    ),
]
Cluster = Annotated[
    bool,
    typer.Option(
        "--cluster", help="Get these three from Slurm, Open MPI, Kubernetes or a TPU pod."
    ),
]


def seed_option(help: str) -> Any:  # noqa: A002
    """The option that settles what is random."""
    return typer.Option("--seed", min=0, max=2**32 - 1, help=help)
