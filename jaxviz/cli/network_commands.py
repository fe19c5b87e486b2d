"""Commands on networks: what their layers are, and what their files do not say."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Weights

app = typer.Typer(no_args_is_help=True, help="Describe a network's file, for what it does not say.")


def layers(
    network: Annotated[
        str | None,
        typer.Argument(
            help="A network, as for --network of the other commands.", show_default="alexnet"
        ),
    ] = None,
    weights: Weights = None,
) -> None:
    """List a network's layers: name, shape, what one unit sees, and kind."""
    from ..networks.table import layer_table
    from .loading import load_network

    print(layer_table(load_network(network, weights)))


def numbers(text: str) -> tuple[float, ...]:
    """Read numbers with commas between them."""
    try:
        return tuple(float(part) for part in str(text).split(","))
    except ValueError:
        raise typer.BadParameter(f"expected numbers such as 0.5,0.5,0.5, got {text!r}") from None


_NUMBERS = "NUMBER,..."


def _option(name: str, help_text: str) -> Any:
    return typer.Option(name, parser=numbers, metavar=_NUMBERS, help=help_text, show_default=False)


@app.command()
def describe(
    network: Annotated[
        Path, typer.Argument(help="FILE.onnx, or FILE.py with a function that makes a network.")
    ],
    value_range: Annotated[
        Any, _option("--range", "What black and white become: `0,1` or `0,255` or `-1,1`.")
    ],
    size: Annotated[
        int | None,
        typer.Option("--size", min=1, help="Height and width.", show_default="the file's"),
    ] = None,
    resize: Annotated[
        int | None,
        typer.Option(
            "--resize", min=1, help="What a picture's shorter side is resized to, before SIZE is "
            "cut out.", show_default="SIZE * 256 / 224",
        ),
    ] = None,
    mean: Annotated[Any, _option("--mean", "What is subtracted, after --range.")] = None,
    std: Annotated[Any, _option("--std", "What that is divided by.")] = None,
    channel_order: Annotated[
        str, typer.Option("--channel-order", help="`RGB`, `BGR` or `gray`.")
    ] = "RGB",
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="A text file, one class a line.", show_default=False),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", help="Its name in captions.", show_default="the file's")
    ] = None,
) -> None:  # fmt: skip
    """Write FILE.toml beside a network's file: how pictures become images, and the classes' names.

    A file does not say these, and what is wrong gives no error, but wrong answers. So the range
    must be given, and whatever was taken from the file or left out is said.
    """
    from .._checks import InputError
    from ..networks.described import preprocessing_of, read_description, write_description

    if not network.is_file():
        raise InputError(f"{network}: no such file")
    if size is None:
        size = _size_of(network)
        print(f"size: {size}, from the file")
    content = {
        "title": title, "size": size, "resize": resize, "range": value_range, "mean": mean,
        "std": std, "channel_order": channel_order, "labels":
        labels and os.path.relpath(labels, network.parent),
    }  # fmt: skip
    given = {key: value for key, value in content.items() if value is not None}
    preprocessing_of(given)
    target = network.with_suffix(".toml")
    write_description(target, given)
    found = read_description(target)
    if resize is None and found.preprocessing:
        print(f"resize: {found.preprocessing.resize}, as usual for this size")
    for key, value in (("mean", mean), ("std", std), ("labels", labels)):
        if value is None:
            print(f"{key}: not given, so none")
    print(target)


def _size_of(path: Path) -> int:
    """The height of the images that an ONNX file fixes, if it is their width, too."""
    from .._checks import InputError
    from ..networks.onnx.graph import read_graph

    if path.suffix.lower() == ".onnx":
        sizes = [size for size in read_graph(path).image[1][1:] if size and size > 4]
        if len(sizes) == 2 and sizes[0] == sizes[1]:
            return sizes[0]
    raise InputError(f"{path}: does not say the size of its images; give --size")
