"""Commands on weights files."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Weights: what is shipped, and other tools' files.")


@app.command()
def port(
    file: Annotated[
        Path,
        typer.Argument(
            help="A PyTorch state dict (`.pth`), `.caffemodel`, ONNX, Deep Compression, "
            "safetensors or npz. What it is is seen in it."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The file to write, NAME.safetensors."),
    ],
) -> None:
    """Turn another tool's weights into a file for `--weights`. Nothing in FILE is run."""
    from ..porting import port_weights

    found = port_weights(file, output)
    count = sum(tensor.size for tensor in found.tensors.values())
    print(f"{found.network}: {len(found.tensors)} tensors, {count:,} numbers")
    for key in ("format", "source_sha256"):
        print(f"  {key:<13} {found.metadata[key]}")
    if found.left_over:
        print(f"  {'left over':<13} {', '.join(found.left_over)}")
    print(output)


@app.command("list")
def list_weights() -> None:
    """What is shipped: network, layers, source, license and sha256, each file checked."""
    from ..networks.registry import load, shipped_networks

    for name in shipped_networks():
        model = load(name)
        layers = list(model.layers())
        end = f"{len(model.labels)} classes" if model.labels else "no classes"
        print(f"{name}: {layers[0]} to {layers[-1]}, {end}, intact")
        for key in ("weights", "source", "license", "sha256"):
            print(f"  {key:<8} {model.provenance[key]}")
