"""For some pictures of a collection, the pictures nearest to them by features and by raw pixels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from .._checks import InputError, count
from ..pictures.sets import ArrayPictures, PictureSet
from ..sweep import Features
from ..techniques.neighbors import label_agreement, nearest_neighbors
from .base import kind
from .collection import ShownPictures, evenly, names_of, read_shown
from .labels import labels_of

if TYPE_CHECKING:
    from ..networks.network import Network


class NearestRows(NamedTuple):
    """The nearest pictures of each picture searched for, nearest first."""

    distances: Float[np.ndarray, "searched top"]
    indices: Int[np.ndarray, "searched top"]

    def of(self, rows: np.ndarray) -> "NearestRows":
        """Those of some pictures alone."""
        return NearestRows(self.distances[rows], self.indices[rows])


@kind("nearest pictures")
class NearestPictures(NamedTuple):
    """The nearest pictures of some pictures of a collection, by one layer's features.

    `queries` are the pictures looked up, and `indices` and `distances` their nearest ones by the
    cosine of the features. The rest is there if the pictures were in memory: the `features` of all,
    and the nearest pictures of all by `cosine`, by `euclidean` distance and by `raw_pixels`.
    `labels` are None where pictures have none.
    """

    network: str
    layer: str
    folder: str
    paths: Shaped[np.ndarray, "pictures"]
    labels: Shaped[np.ndarray, "pictures"] | None
    queries: Int[np.ndarray, "rows"]
    distances: Float[np.ndarray, "rows top"]
    indices: Int[np.ndarray, "rows top"]
    shown: ShownPictures
    features: Float[np.ndarray, "pictures dim"] | None = None
    cosine: NearestRows | None = None
    euclidean: NearestRows | None = None
    raw_pixels: NearestRows | None = None

    @property
    def rows(self) -> dict[str, NearestRows]:
        """The nearest pictures of the queries, by what is compared, as the figure shows them."""
        found = {f"{self.layer}, cosine": NearestRows(self.distances, self.indices)}
        if self.raw_pixels:
            found["raw pixels, Euclidean"] = self.raw_pixels.of(self.queries)
        return found

    @property
    def facts(self) -> list[tuple[str, str]]:
        """How many pictures there are, and how often a neighbor has the same label."""
        number, looked_up = len(self.paths), len(self.queries)
        facts = [("pictures", str(number))]
        if looked_up < number:
            facts.append(("looked up here", str(looked_up)))
        if self.labels is None:
            return facts
        everything = {
            f"{self.layer}, cosine": self.cosine,
            f"{self.layer}, Euclidean": self.euclidean,
            "raw pixels, Euclidean": self.raw_pixels,
        }
        searches = everything if self.cosine else self.rows
        searched = self.labels if self.cosine else self.labels[self.queries]
        for name, found in searches.items():
            if found is None:
                continue
            top = found.indices.shape[1]
            nearest, among = (
                label_agreement(found.indices[:, :k], searched, self.labels) for k in (1, top)
            )
            said = f"{nearest:.0%} of nearest neighbors, {among:.0%} of the {top} nearest"
            facts.append((f"same kind by {name}", said))
        return facts

    @property
    def alt(self) -> str:
        """What the figure shows."""
        below = " above one by raw pixels" if self.raw_pixels else ""
        return f"For {len(self.queries)} pictures, a row of neighbors by {self.layer}{below}."


def nearest_pictures(
    network: "Network",
    features: Features,
    pictures: PictureSet,
    *,
    queries: Sequence[int] | None = None,
    top: int = 6,
    labels: Sequence[str] | Literal["folders"] | None = "folders",
) -> NearestPictures:
    """Find the nearest pictures of some, among all that have features.

    `features` are `jaxviz.sweep.features` of `pictures`, whose pixels are shown. If these are in
    memory (`ArrayPictures`), every picture is looked up, and by raw pixels as well; else only the
    `queries`, which are numbers of rows and by default six, evenly spread. `labels` are by default
    the names of the pictures' folders.

    Raises `InputError` if there is only one picture.

    >>> import jaxviz
    >>> network, noise = jaxviz.load("alexnet"), np.random.default_rng(0)
    >>> pixels = noise.integers(0, 255, (3, 224, 224, 3), np.uint8)
    >>> pictures, prepare = jaxviz.sweep.ArrayPictures(pixels), network.preprocessing.normalize
    >>> features = jaxviz.sweep.features(
    ...     network.apply, network.params, pictures, prepare=prepare, layer="pool1"
    ... )
    >>> nearest_pictures(network, features, pictures, top=2).indices.shape
    (3, 2)
    """
    vectors, total = features.vectors, len(features.paths)
    if total < 2:
        raise InputError("neighbors: expected at least two pictures to compare")
    top = min(count(top, "top"), total - 1)
    rows = np.array(evenly(6, total) if queries is None else queries, np.int64)
    everything: dict[str, Any] = {}
    if isinstance(pictures, ArrayPictures) and pictures.paths == features.paths:
        numbers = np.arange(total)
        pixels = pictures.pixels.reshape(total, -1).astype(np.float32) / 255
        everything = {
            "features": vectors,
            "cosine": _nearest_others(vectors, numbers, top, "cosine"),
            "euclidean": _nearest_others(vectors, numbers, top, "euclidean"),
            "raw_pixels": _nearest_others(pixels, numbers, top, "euclidean"),
        }
        found = everything["cosine"].of(rows)
    else:
        found = _nearest_others(vectors, rows, top, "cosine")
    in_rows = [found.indices]
    if everything:
        in_rows.append(everything["raw_pixels"].indices[rows])
    numbers_shown = np.concatenate([rows, *map(np.ravel, in_rows)]).tolist()
    if isinstance(labels, str):
        labels = labels_of(features.paths)
    return NearestPictures(
        network.spec.title,
        features.manifest["layer"],
        *names_of(features.paths),
        None if labels is None else np.array(labels),
        rows,
        found.distances,
        found.indices,
        read_shown(network, pictures, numbers_shown, paths=features.paths),
        **everything,
    )


def _nearest_others(vectors: np.ndarray, rows: np.ndarray, top: int, metric: str) -> NearestRows:
    """The `top` nearest vectors of each of some rows, without the row itself."""
    found = nearest_neighbors(vectors[rows], vectors, k=top, metric=metric, own=rows)
    return NearestRows(*(np.asarray(values) for values in found))
