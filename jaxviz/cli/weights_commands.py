"""Commands on weights files."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .steps import byte_counter

if TYPE_CHECKING:
    from ..networks.sources import Official
    from ..networks.weights_files import WeightsHeader

app = typer.Typer(
    no_args_is_help=True, help="Weights: what is shipped, what can be had, and other tools' files."
)

_NAMES_OR_FILES = "Names that `jaxviz weights list` shows, or safetensors files."


@app.command("list")
def list_weights() -> None:
    """What is shipped, what has been fetched, and what can be: source, license, accuracy."""
    from ..networks.places import cache_folder, cached_file, cached_weights, shipped_folder
    from ..networks.sources import MEASURED, OFFICIAL, file_digest

    print("Shipped with jaxviz:")
    for path in sorted(shipped_folder().glob("*.safetensors")):
        facts = {"accuracy": MEASURED.get(path.stem, "")}
        _say_file(path.stem, path, {**facts, "sha256": file_digest(path, "sha256")})
    there = {name: cached_file(name) for name in OFFICIAL if cached_file(name).is_file()}
    if there:
        print(f"\nFetched, in {cache_folder()}:")
    for name, path in there.items():
        network = OFFICIAL[name].network
        taken = "full" if cached_weights(network) == path else str(path)
        use = f"--network {network} --weights {taken}"
        _say_file(name, path, {"use": use}, OFFICIAL[name])
    if len(there) < len(OFFICIAL):
        print("\nComplete, to be had with `jaxviz weights get NAME`:")
    for name in OFFICIAL:
        if name not in there:
            _say_official(name, OFFICIAL[name])
    print("\nAccuracy without further words is its authors', on ImageNet's validation pictures.")


@app.command()
def get(
    name: Annotated[
        str,
        typer.Argument(
            help="`alexnet` (torchvision's, 244 MB), `caffe_alexnet` (the 96-filter network of the "
            "2012 paper, 244 MB), `caffe_alexnet-compressed` (pruned and quantized, 9 MB), "
            "`caffe_alexnet-onnx` or `caffenet`.",
            show_default=False,
        ),
    ],
) -> None:
    """Fetch complete weights from their authors' site, check them and make them ready for use.

    They are kept in the user's cache folder (or in JAXVIZ_CACHE). After an interruption, the same
    command goes on.
    """
    from ..networks.places import cached_weights
    from ..networks.sources import OFFICIAL
    from ..porting import download_weights

    with byte_counter(name) as progress:
        path = download_weights(
            name, progress=progress, say=lambda line: print(line, file=sys.stderr)
        )
    network = OFFICIAL[name].network
    found = "full" if cached_weights(network) == path else path
    print(path)
    print(f"use them with: --network {network} --weights {found}")


@app.command()
def verify(
    weights: Annotated[
        list[str] | None,
        typer.Argument(help=_NAMES_OR_FILES, show_default="all that is shipped or fetched"),
    ] = None,
) -> None:
    """Read weights again from end to end: are they intact, and all there? If not, exit code 1."""
    from .._checks import InputError
    from ..networks.loading import verify_weights
    from ..networks.places import cache_folder, shipped_folder

    folders = (shipped_folder(), cache_folder())
    everything = [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]
    damaged = False
    for path in [path for one in weights for path in _files(one)] if weights else everything:
        try:
            network = verify_weights(path)
        except InputError as error:
            print(f"jaxviz: {error}", file=sys.stderr)
            damaged = True
        else:
            print(f"{_plain(path)}: intact, for {network}")
    if damaged:
        raise typer.Exit(1)


@app.command()
def show(
    weights: Annotated[
        str, typer.Argument(help="A name that `jaxviz weights list` shows, or FILE.")
    ],
) -> None:
    """What a weights file holds: where it is from, and every tensor with its shape."""
    from ..networks.weights_files import read_header

    for path in _files(weights):
        header = read_header(path)
        print(f"{_plain(path)}: {_amount(header)}\n")
        _say(dict(sorted(header.metadata.items())))
        print()
        _say({name: " x ".join(map(str, shape)) for name, shape in header.shapes.items()})
        print()


@app.command()
def port(
    file: Annotated[
        Path,
        typer.Argument(
            help="A PyTorch state dict (`.pth`), a `.caffemodel`, an ONNX model, a file of Deep "
            "Compression, safetensors or npz. What it is is seen in it.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The file to write, NAME.safetensors.", show_default=False
        ),
    ],
    network: Annotated[
        str | None,
        typer.Option(help="Which network it is, where FILE fits several.", show_default=False),
    ] = None,
) -> None:
    """Turn another tool's weights into a file for `--weights`. Nothing in FILE is run."""
    from ..porting import port_weights

    found = port_weights(file, output, network=network)
    count = sum(tensor.size for tensor in found.tensors.values())
    print(f"{found.network}: {len(found.tensors)} tensors, {count:,} numbers")
    for key in ("format", "source_sha256"):
        print(f"  {key:<13} {found.metadata[key]}")
    if found.left_over:
        print(f"  {'left over':<13} {_plain(', '.join(found.left_over))}")
    print(output)


def _files(name: str) -> list[Path]:
    """The files of a name, shipped and fetched; or the file that it is the path of."""
    from .._checks import InputError
    from ..networks.places import cached_file, shipped_folder
    from ..networks.sources import OFFICIAL

    places = [shipped_folder() / f"{name}.safetensors", cached_file(name)]
    found = [path for path in places if path.is_file()]
    if found and "/" not in name:
        return found
    if name in OFFICIAL and not Path(name).exists():
        raise InputError(f"weights: {name} is not here; get it with: jaxviz weights get {name}")
    return [Path(name)]


def _say_file(
    name: str, path: Path, facts: Mapping[str, str], official: "Official | None" = None
) -> None:
    from .._checks import InputError
    from ..networks.weights_files import read_header

    try:
        header = read_header(path)
    except InputError as error:
        print(f"\n{name}: damaged")
        return _say({"file": str(path), "error": str(error)})
    said = header.metadata
    classes = "1000 classes" if (1000,) in header.shapes.values() else "without classes"
    print(f"\n{name}: {classes}, {_amount(header)}")
    made = (
        [f"{said['source_file']} (sha256 {said.get('source_sha256')})"]
        if "source_file" in said
        else []
    )
    accuracy = ""
    if official:
        # Who ports a file by hand into this place may have taken another.
        genuine = official.digest == said.get("source_sha256")
        genuine = genuine or official.address == said.get("address")
        made.append("the official file" if genuine else "not known to be the official file")
        accuracy = official.accuracy if genuine else ""
    return _say(
        {
            "file": f"{path} ({_size(path.stat().st_size)})", "source": said.get("source", ""),
            "address": said.get("address", ""), "license": said.get("license", ""),
            "made from": ", ".join(made), "accuracy": accuracy, **facts,
        }
    )  # fmt: skip


def _say_official(name: str, official: "Official") -> None:
    print(f"\n{name}: {official.title}")
    kind = {"git": "git blob"}.get(official.digest_kind, official.digest_kind)
    _say(
        {
            "address": official.address,
            "size": ("" if official.num_bytes else "up to ") + _size(official.most_bytes),
            "license": official.license, "accuracy": official.accuracy, kind: official.digest,
        }
    )  # fmt: skip


def _say(facts: Mapping[str, str]) -> None:
    """Facts below each other; what is empty is left out."""
    width = max(map(len, facts), default=0)
    for what, value in facts.items():
        if value:
            print(f"  {_plain(what):<{width}}  {_plain(value)}")


def _plain(text: object) -> str:
    """Text of a stranger's file, without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(text))


def _amount(header: "WeightsHeader") -> str:
    return f"{len(header.shapes)} tensors, {header.num_numbers:,} numbers"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
