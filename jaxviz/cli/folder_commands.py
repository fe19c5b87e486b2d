"""Commands on folders of pictures: the tour, nearest neighbors, and a map."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .describing import given_head
from .loading import (
    layers_of,
    load_for,
    load_network,
    read_pictures,
    report_skipped,
    stored_features,
)
from .options import (
    CLASSIFIER,
    USUAL,
    BatchSize,
    Dpi,
    Labels,
    Layer,
    NetworkName,
    Output,
    OutputFolder,
    SaveArrays,
    SweepBatchSize,
    Weights,
)
from .output import write_analyses
from .progress import counter, track

if TYPE_CHECKING:
    from ..networks.network import Network
    from ..sweep import Features, PictureSet

_IN_MEMORY = 2**30  # bytes of pixels, some 7,000 pictures

FolderOrFeatures = Annotated[
    Path,
    typer.Argument(
        help="A folder of pictures, or the OUTPUT of `jaxviz pack` or `jaxviz features`. The "
        "folder a picture is in is its label.",
        show_default=False,
    ),
]


def _features_of(
    model: "Network", folder: Path, layer: str | None, batch_size: int | None
) -> tuple["Features", "PictureSet"]:
    """The features of a folder, read or computed, and its pictures, in memory if they are few."""
    import numpy as np

    from .. import sweep
    from .._contract import known_layers

    preprocessing = model.preprocessing
    if sweep.is_features(folder):
        features = stored_features(model, folder)
        return features, sweep.FolderPictures(features.paths, preprocessing)
    (name,) = layers_of(model, layer and [layer]) or [model.role("feature_layer")]
    image = np.zeros((1, *preprocessing.input_shape), np.float32)
    known_layers(model.apply, model.params, image, name)  # before the pictures are read
    pictures = sweep.open_pictures(folder, preprocessing)
    size = len(pictures.paths) * math.prod(pictures.image_shape)
    if isinstance(pictures, sweep.FolderPictures) and size <= _IN_MEMORY:
        pictures = read_pictures(model, pictures.paths)
    with counter(f"{name} features") as progress:
        features = sweep.features(
            model.apply, model.params, pictures, prepare=preprocessing.normalize, layer=name,
            batch_size=batch_size, progress=progress,
        )  # fmt: skip
    report_skipped(features.skipped, [folder])
    return features, pictures


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
        typer.Option(
            "--target",
            help="The class to explain.",
            show_default="each picture's most probable one",
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Neighbors and patches in a row.")] = 6,
    batch_size: BatchSize = 16,
    output: OutputFolder = Path("tour"),
) -> None:
    """Show all six techniques on one self-contained page, OUTPUT/index.html.

    Filters, maps, patches and features are those of NETWORK. So are the classes if its weights are
    complete (named with `--weights`, or fetched with `jaxviz weights get`); otherwise
    EfficientNet-Lite0 names the classes.
    """
    from ..networks.loading import FULL, load
    from ..networks.places import cached_weights
    from ..report.tour import write_tour

    if weights is None and given_head() is None and cached_weights(network or USUAL):
        weights = Path(FULL)
    first = load_network(network, weights)
    classifier = first if first.spec.logits else load(CLASSIFIER)
    page, skipped = write_tour(
        output, pictures or [], first, classifier,
        target=target, top=top, batch_size=batch_size, track=track,
    )  # fmt: skip
    report_skipped(skipped, pictures or [])
    print(f"{page}: open it in a browser")


def neighbors(
    folder: FolderOrFeatures,
    network: NetworkName = None,
    weights: Weights = None,
    layer: Layer = None,
    top: Annotated[
        int, typer.Option("--top", min=1, help="Neighbors to find for each picture.")
    ] = 6,
    rows: Annotated[
        int, typer.Option("--rows", min=1, help="Pictures whose neighbors are shown.")
    ] = 6,
    picture: Annotated[
        list[Path] | None,
        typer.Option(
            "--picture",
            help="A picture of FOLDER whose neighbors to show; may be repeated.",
            show_default="some, evenly spread",
        ),
    ] = None,
    labels: Labels = None,
    batch_size: BatchSize = 16,
    output: Output = Path("neighbors.png"),
    dpi: Dpi = None,
    save_arrays: SaveArrays = False,
) -> None:
    """Find each picture's nearest neighbors, by a layer's features and by raw pixels.

    If pictures are in several folders, the command also says how often a neighbor is from the
    same one. Raw pixels are compared only for a folder of pictures, up to some 7,000. If the
    features do not fit in memory, run `jaxviz features` first and name its OUTPUT.
    """
    from ..analyses import nearest_pictures
    from ..analyses.collection import evenly, numbers_of
    from ..analyses.labels import read_labels

    model = load_for(network, weights, output, save_arrays)
    features, pictures = _features_of(model, folder, layer, batch_size)
    spread = evenly(rows, len(features.paths))
    queries = numbers_of(picture, features.paths) if picture else spread
    found = nearest_pictures(
        model, features, pictures, queries=queries, top=top,
        labels=read_labels(labels, features.paths) if labels else "folders",
    )  # fmt: skip
    options = {"folder": str(folder), "layer": found.layer, "top": top, "batch_size": batch_size}
    write_analyses(output, [found], model, options, dpi=dpi, save_arrays=save_arrays)


def map(  # noqa: A001
    folder: FolderOrFeatures,
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
    labels: Labels = None,
    batch_size: SweepBatchSize = None,
    output: Output = Path("map.png"),
    dpi: Dpi = None,
    save_arrays: SaveArrays = False,
) -> None:
    """Draw a map on which pictures with similar features lie close together.

    If the features do not fit in memory, run `jaxviz features` first and name its OUTPUT.
    """
    from ..analyses import picture_map
    from ..analyses.labels import read_labels

    model = load_for(network, weights, output, save_arrays)
    features, source = _features_of(model, folder, layer, batch_size)
    found = picture_map(
        model, features, source, method=method, num_shown=pictures,
        labels=read_labels(labels, features.paths) if labels else "folders",
    )  # fmt: skip
    options = {"folder": str(folder), "layer": found.layer, "method": method}
    write_analyses(output, [found], model, options, dpi=dpi, save_arrays=save_arrays)
