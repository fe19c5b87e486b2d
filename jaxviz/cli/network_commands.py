"""Commands on networks: what their layers are, and what their files do not say."""

import functools
import os
from pathlib import Path
from typing import Annotated

import typer

from .describing import describable, given_description
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


@app.command()
@functools.partial(describable, takes_head=False)
def describe(
    network: Annotated[
        Path, typer.Argument(help="FILE.onnx, or FILE.py with a function that makes a network.")
    ],
    title: Annotated[
        str | None, typer.Option("--title", help="Its name in captions.", show_default="the file's")
    ] = None,
) -> None:  # fmt: skip
    """Write FILE.toml beside a network's file: how pictures become images, and the classes' names.

    A file does not say these, and what is wrong gives no error, but wrong answers. So the range
    must be given, and whatever was taken from the file or left out is said.
    """
    from .._checks import InputError
    from ..networks.described import checked_description, described_in, write_description
    from ..networks.onnx.loading import fixed_size

    if not network.is_file():  # FILE.py:FUNCTION, as other commands take it
        network = Path(str(network).rpartition(":")[0] or network)
    if not network.is_file():
        raise InputError(f"{network}: no such file")
    if network.suffix.lower() not in (".onnx", ".py"):
        raise InputError(f"{network}: expected FILE.onnx or FILE.py")
    given = given_description() | ({"title": title} if title else {})
    if "labels" in given:
        given["labels"] = os.path.relpath(given["labels"], network.parent)
    target = network.with_suffix(".toml")
    if target.exists():  # what is not said now stays as it is; what is no description is refused
        given = described_in(target) | given
    size = fixed_size(network) if network.suffix.lower() == ".onnx" else None
    if size is not None and given.get("size", size) != size:
        raise InputError(f"size: {network} takes images of {size} pixels, not {given['size']}")
    if "size" not in given:
        if size is None:
            raise InputError(f"{network}: does not say the size of its images; give --size")
        given["size"] = size
        print(f"size: {size}, from the file")
    found = checked_description(given, network.parent)
    write_description(target, given)
    if "resize" not in given and found.preprocessing:
        print(f"resize: {found.preprocessing.resize}, as usual for this size")
    for key in ("mean", "std", "labels"):
        if key not in given:
            print(f"{key}: not given, so none")
    print(target)
