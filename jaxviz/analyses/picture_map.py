"""A map of a collection: pictures whose features are alike lie close together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image

from .._checks import choice
from ..pictures.sets import PictureSet
from ..sweep import Features
from ..techniques.embedding import principal_components, t_sne
from .base import kind
from .collection import ShownPictures, evenly, names_of, read_shown
from .labels import labels_of

if TYPE_CHECKING:
    from ..networks.network import Network

METHODS = ("pca", "tsne")
THUMBNAIL = 56  # pixels


@kind("picture map")
class PictureMap(NamedTuple):
    """A point in the plane for each picture of a collection.

    `shares` are those of the variance along the two axes, None for t-SNE; `shown` are the pictures
    drawn at their points, with small pixels. `labels` are None where pictures have none.
    """

    network: str
    layer: str
    method: str
    folder: str
    paths: Shaped[np.ndarray, "pictures"]
    labels: Shaped[np.ndarray, "pictures"] | None
    points: Float[np.ndarray, "pictures 2"]
    shares: Float[np.ndarray, "2"] | None
    shown: ShownPictures

    @property
    def facts(self) -> list[tuple[str, str]]:
        """How many pictures there are, and the share of the variance that the map shows."""
        facts = [("pictures", str(len(self.paths)))]
        if self.shares is not None:
            facts.append(("variance shown", f"{self.shares.sum():.0%}"))
        return facts

    @property
    def alt(self) -> str:
        """What the figure shows."""
        number = len(self.shown.numbers)
        return f"A map of {len(self.paths)} pictures, {number} of them drawn where they lie."


def picture_map(
    network: "Network",
    features: Features,
    pictures: PictureSet,
    *,
    method: str = "pca",
    num_shown: int = 300,
    labels: Sequence[str] | Literal["folders"] | None = "folders",
) -> PictureMap:
    """Lay a collection out in the plane by its features.

    `features` are `jaxviz.sweep.features` of `pictures`; `num_shown` of these, evenly spread, are
    drawn, and the others are dots. `method` is "pca", or "tsne", which needs scikit-learn. `labels`
    are by default the folders the pictures are in.
    """
    shares = None
    if choice(method, "method", METHODS) == "pca":
        points, shares = principal_components(features.vectors, k=2)
    else:
        points = t_sne(features.vectors)
    numbers = evenly(num_shown, len(features.paths))
    shown = read_shown(network, pictures, numbers, paths=features.paths)
    if isinstance(labels, str):
        labels = labels_of(features.paths)
    return PictureMap(
        network.spec.title,
        features.manifest["layer"],
        method,
        *names_of(features.paths),
        None if labels is None else np.array(labels),
        points,
        shares,
        shown._replace(pixels=np.stack([thumbnail(pixels) for pixels in shown.pixels])),
    )


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """A picture as small as a map draws it."""
    small = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return np.asarray(small)
