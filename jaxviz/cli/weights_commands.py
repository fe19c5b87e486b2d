"""The commands `jaxviz weights`: list, get, verify, show and port weights files."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .progress import byte_counter

if TYPE_CHECKING:
    from ..networks.sources import Official
    from ..networks.weights_files import WeightsHeader

app = typer.Typer(no_args_is_help=True, help="List, fetch, check and convert weights files.")

_NAMES_OR_FILES = "Names that `jaxviz weights list` shows, or safetensors files."


@app.command("list")
def list_weights() -> None:
    """List the weights that are shipped, fetched or can be fetched: source, license, accuracy."""
    from ..networks.places import cache_folder, cached_file, cached_weights, shipped_folder
    from ..networks.sources import MEASURED, OFFICIAL, file_digest

    print("Shipped with jaxviz:")
    for path in sorted(shipped_folder().glob("*.safetensors")):
        facts = {"accuracy": MEASURED.get(path.stem, "")}
        _print_file(path.stem, path, {**facts, "sha256": file_digest(path, "sha256")})
    fetched = {name: cached_file(name) for name in OFFICIAL if cached_file(name).is_file()}
    if fetched:
        print(f"\nFetched, in {cache_folder()}:")
    for name, path in fetched.items():
        network = OFFICIAL[name].network
        choice = "full" if cached_weights(network) == path else str(path)
        use = f"--network {network} --weights {choice}"
        _print_file(name, path, {"use": use}, OFFICIAL[name])
    if len(fetched) < len(OFFICIAL):
        print("\nComplete; fetch them with `jaxviz weights get NAME`:")
    for name in OFFICIAL:
        if name not in fetched:
            _print_official(name, OFFICIAL[name])
    print("\nUnless noted, the authors measured the accuracy on ImageNet's validation pictures.")


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
    """Fetch complete weights from their authors' site, check them and convert them.

    They are kept in your cache folder (or in JAXVIZ_CACHE). If the download is interrupted, run
    the same command again: it continues where it stopped.
    """
    from ..networks.places import cached_weights
    from ..networks.sources import OFFICIAL
    from ..porting import download_weights

    with byte_counter(name) as progress:
        path = download_weights(
            name, progress=progress, say=lambda line: print(line, file=sys.stderr)
        )
    network = OFFICIAL[name].network
    choice = "full" if cached_weights(network) == path else path
    print(path)
    print(f"use them with: --network {network} --weights {choice}")


@app.command()
def verify(
    weights: Annotated[
        list[str] | None,
        typer.Argument(help=_NAMES_OR_FILES, show_default="all that is shipped or fetched"),
    ] = None,
) -> None:
    """Check that weights are complete and undamaged; the exit code is 1 if any are not."""
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
    """Show where a weights file comes from, and the shape of every tensor."""
    from ..networks.weights_files import read_header

    for path in _files(weights):
        header = read_header(path)
        print(f"{_plain(path)}: {_amount(header)}\n")
        _print_facts(dict(sorted(header.metadata.items())))
        print()
        _print_facts({name: " x ".join(map(str, shape)) for name, shape in header.shapes.items()})
        print()


@app.command()
def port(
    file: Annotated[
        Path,
        typer.Argument(
            help="A PyTorch state dict (`.pth`), a `.caffemodel`, an ONNX model, a file of Deep "
            "Compression, safetensors or npz. The format is recognized by the content.",
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
        typer.Option(help="The network, if FILE fits several.", show_default=False),
    ] = None,
) -> None:
    """Convert another tool's weights into a file for `--weights`. No code in FILE is run."""
    from ..porting import port_weights

    ported = port_weights(file, output, network=network)
    count = sum(tensor.size for tensor in ported.tensors.values())
    print(f"{ported.network}: {len(ported.tensors)} tensors, {count:,} numbers")
    for key in ("format", "source_sha256"):
        print(f"  {key:<13} {ported.metadata[key]}")
    if ported.left_over:
        print(f"  {'left over':<13} {_plain(', '.join(ported.left_over))}")
    print(output)


def _files(name: str) -> list[Path]:
    """The shipped and fetched files of this name; else the name is the path of a file."""
    from .._checks import InputError
    from ..networks.places import cached_file, shipped_folder
    from ..networks.sources import OFFICIAL

    paths = [shipped_folder() / f"{name}.safetensors", cached_file(name)]
    files = [path for path in paths if path.is_file()]
    if files and "/" not in name:
        return files
    if name in OFFICIAL and not Path(name).exists():
        raise InputError(f"weights: {name} is not here; fetch it with: jaxviz weights get {name}")
    return [Path(name)]


def _print_file(
    name: str, path: Path, facts: Mapping[str, str], official: "Official | None" = None
) -> None:
    from .._checks import InputError
    from ..networks.weights_files import read_header

    try:
        header = read_header(path)
    except InputError as error:
        print(f"\n{name}: damaged")
        return _print_facts({"file": str(path), "error": str(error)})
    metadata = header.metadata
    classes = "1000 classes" if (1000,) in header.shapes.values() else "without classes"
    print(f"\n{name}: {classes}, {_amount(header)}")
    made = (
        [f"{metadata['source_file']} (sha256 {metadata.get('source_sha256')})"]
        if "source_file" in metadata
        else []
    )
    accuracy = ""
    if official:
        # The user may have ported another file to this place.
        genuine = official.digest == metadata.get("source_sha256")
        genuine = genuine or official.address == metadata.get("address")
        made.append("the official file" if genuine else "not known to be the official file")
        accuracy = official.accuracy if genuine else ""
    return _print_facts(
        {
            "file": f"{path} ({_size(path.stat().st_size)})", "source": metadata.get("source", ""),
            "address": metadata.get("address", ""), "license": metadata.get("license", ""),
            "made from": ", ".join(made), "accuracy": accuracy, **facts,
        }
    )  # fmt: skip


def _print_official(name: str, official: "Official") -> None:
    print(f"\n{name}: {official.title}")
    kind = {"git": "git blob"}.get(official.digest_kind, official.digest_kind)
    _print_facts(
        {
            "address": official.address,
            "size": ("" if official.num_bytes else "up to ") + _size(official.most_bytes),
            "license": official.license, "accuracy": official.accuracy, kind: official.digest,
        }
    )  # fmt: skip


def _print_facts(facts: Mapping[str, str]) -> None:
    """Print one fact a line; leave out empty ones."""
    width = max(map(len, facts), default=0)
    for what, value in facts.items():
        if value:
            print(f"  {_plain(what):<{width}}  {_plain(value)}")


def _plain(text: object) -> str:
    """Text from a file, without the control characters that a terminal would obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(text))


def _amount(header: "WeightsHeader") -> str:
    return f"{len(header.shapes)} tensors, {header.num_numbers:,} numbers"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
