"""Commands on many pictures."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .options import (
    CLASSIFIER,
    USUAL,
    BatchSize,
    Folder,
    Layer,
    NetworkName,
    Output,
    OutputFolder,
    PictureSetFolder,
    SaveArrays,
    SweepBatchSize,
    Weights,
)
from .steps import (
    counter,
    load_for,
    load_network,
    read_pictures,
    report_skipped,
    track,
    write_exhibits,
)
from .sweeps import open_pictures

if TYPE_CHECKING:
    from ..networks.network import Network
    from ..sweep import Features, PictureSet


@contextlib.contextmanager
def features_of(
    model: "Network", folder: Path, layer: str | None, *, batch_size: int | None
) -> Iterator[tuple["Features", "PictureSet | None"]]:
    """Features that lie in `folder`, or that are made of its pictures and go again."""
    from .. import sweep

    if sweep.is_features(folder):
        yield sweep.load_features(folder), None
        return
    name = layer or model.role("feature_layer")
    pictures = open_pictures(folder, model.preprocessing)
    with tempfile.TemporaryDirectory() as temporary:
        with counter(f"{name} features") as progress:
            made = sweep.features(
                model.apply, model.params, pictures, layer=name, batch_size=batch_size,
                prepare=model.preprocessing.normalize, folder=temporary, progress=progress,
            )  # fmt: skip
        report_skipped(made.skipped)
        yield made, pictures


def tour(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Photographs or folders of them.", show_default="the example photographs"
        ),
    ] = None,
    network: NetworkName = None,
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

    Filters, maps, patches and features are NETWORK's, and so are the classes if complete weights
    are named or have been fetched with `jaxviz weights get`; else those are SqueezeNet's.
    """
    from ..networks.loading import FULL
    from ..networks.places import cached_weights
    from ..report.tour import write_tour

    if weights is None and cached_weights(network or USUAL):
        weights = Path(FULL)
    first = load_network(network, weights)
    classifier = first if first.spec.logits else load_network(CLASSIFIER, None)
    page, skipped = write_tour(
        output, pictures or [], first, classifier,
        target=target, top=top, batch_size=batch_size, track=track,
    )  # fmt: skip
    report_skipped(skipped)
    print(f"{page}: open it in a browser")


def neighbors(
    folder: Folder,
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layer = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Neighbors to find for each.")] = 6,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Pictures to look up.")] = 6,
    batch_size: BatchSize = 16,
    output: Output = Path("neighbors.png"),
    save_arrays: SaveArrays = False,
) -> None:
    """Which pictures does a layer take for alike, and which do raw pixels?

    With labeled sub-folders, says how often a neighbor is of the same kind. FOLDER may also be one
    that `jaxviz pack` or `jaxviz features` wrote, of any size.
    """
    from .. import sweep
    from ..report import folders

    model = load_for(network, weights, output, save_arrays)
    if sweep.is_features(folder) or sweep.is_packed(folder):
        with features_of(model, folder, layer, batch_size=batch_size) as (made, own):
            total = len(made.paths)
            queries = [i * total // min(rows, total) for i in range(min(rows, total))]
            exhibit = folders.feature_neighbors(model, made, top=top, queries=queries, pictures=own)
            options = {"folder": str(folder), "layer": made.manifest["layer"], "top": top}
            write_exhibits(output, [exhibit], model, options, save_arrays)
        return
    loaded = read_pictures(model, folder)
    name = layer or model.role("feature_layer")
    total = len(loaded.paths)
    queries = [i * total // min(rows, total) for i in range(min(rows, total))]
    exhibit = folders.neighbors(
        model, loaded, name, top=top, queries=queries, labels=folders.labels_of(loaded),
        batch_size=batch_size, track=track,
    )  # fmt: skip
    options = {"folder": str(folder), "layer": name, "top": top, "batch_size": batch_size}
    write_exhibits(output, [exhibit], model, options, save_arrays)


def map(  # noqa: A001
    folder: PictureSetFolder,
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layer = None,
    method: Annotated[
        Literal["pca", "tsne"],
        typer.Option("--method", help="`pca`, or `tsne`, which needs scikit-learn."),
    ] = "pca",
    pictures: Annotated[
        int, typer.Option("--pictures", min=1, help="Pictures to draw; the others are dots.")
    ] = 300,
    batch_size: SweepBatchSize = None,
    output: Output = Path("map.png"),
    save_arrays: SaveArrays = False,
) -> None:
    """A map of a folder: pictures that a layer takes for alike lie close together.

    FOLDER may also be one that `jaxviz pack` or `jaxviz features` wrote.
    """
    from ..report.folders import thumbnails
    from ..report.maps import map_exhibit
    from ..techniques.embedding import principal_components, t_sne

    model = load_for(network, weights, output, save_arrays)
    with features_of(model, folder, layer, batch_size=batch_size) as (made, source):
        facts = []
        if method == "pca":
            found = principal_components(made.vectors, k=2)
            points = found.points
            facts = [("variance shown", f"{found.shares.sum():.0%}")]
        else:
            points = t_sne(made.vectors)
        name, total = made.manifest["layer"], len(made.paths)
        shown = [i * total // min(pictures, total) for i in range(min(pictures, total))]
        tiles = thumbnails(model, [made.paths[i] for i in shown], source)
        title = f"{model.spec.title} {name}: {total} pictures by {method}"
        exhibit = map_exhibit(points, tiles, shown, title=title, facts=facts)
        options = {"folder": str(folder), "layer": name, "method": method}
        write_exhibits(output, [exhibit], model, options, save_arrays)
