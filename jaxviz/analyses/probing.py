"""How well a linear classifier tells one's own labels apart, layer by layer."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from .. import sweep
from .._checks import InputError
from .._contract import layer_names, outputs_of, selected
from .._typing import Progress
from ..networks.head_features import GRID, Head, head_features
from ..pictures.folders import Skipped
from ..pictures.sets import PictureSet
from ..techniques.faithfulness.controls import shuffled_params
from ..techniques.probes import LinearProbe, linear_probe
from .base import kind
from .collection import evenly, names_of, read_shown
from .labels import label_of_each

if TYPE_CHECKING:
    from ..networks.network import Network

_MOST_LAYERS = 8  # where none are asked for
_PIXELS = 32  # cells along a side to which raw pixels are averaged
_MOST_FOLDS = 5
THUMBNAIL = 64  # pixels of a class's picture


@kind("probe")
class ProbeAnalysis(NamedTuple):
    """How often linear classifiers of one layer each are right, on pictures left out of the fit.

    For each layer the share of right answers and its 95 % interval, of the network, and of the same
    network with its weights shuffled, where that was asked for; the same of raw pixels. `chance` is
    the share of the largest class. `layer` is the one that `predictions` and the head are of: for
    each picture the class it was given, beside the `truth`. `thumbnails` show a picture of each
    class.
    """

    network: str
    classes: tuple[str, ...]
    layers: tuple[str, ...]
    accuracy: Float[np.ndarray, " layers"]
    intervals: Float[np.ndarray, "layers 2"]
    shuffled: Float[np.ndarray, " layers"] | None
    shuffled_intervals: Float[np.ndarray, "layers 2"] | None
    pixels: float
    pixels_interval: tuple[float, float]
    chance: float
    layer: str
    truth: Int[np.ndarray, " pictures"]
    predictions: Int[np.ndarray, " pictures"]
    folder: str
    paths: Shaped[np.ndarray, "pictures"]
    thumbnails: UInt8[np.ndarray, "classes side side 3"]

    @property
    def confusion(self) -> np.ndarray:
        """How many pictures of each class (rows) were given each class (columns)."""
        number = len(self.classes)
        pairs = np.bincount(self.truth * number + self.predictions, minlength=number**2)
        return pairs.reshape(number, number)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The pictures, and the share of right answers by the layer and by what it has to beat."""
        place = self.layers.index(self.layer)
        low, high = self.intervals[place]
        facts = [
            ("pictures", f"{len(self.truth)} of {len(self.classes)} classes"),
            (self.layer, f"{self.accuracy[place]:.0%} right ({low:.0%} to {high:.0%})"),
            ("raw pixels", f"{self.pixels:.0%}"),
            ("the largest class always", f"{self.chance:.0%}"),
        ]
        if self.shuffled is not None:
            facts.insert(2, ("shuffled weights", f"{self.shuffled[place]:.0%}"))
        return facts

    @property
    def alt(self) -> str:
        """What the figure shows."""
        return (
            f"Shares of right answers by layer of {self.network}, and which of "
            f"{len(self.classes)} classes are taken for which."
        )


class Probed(NamedTuple):
    """What was found, a head of the layer that it names, and the pictures that were skipped."""

    analysis: ProbeAnalysis
    head: Head
    skipped: tuple[Skipped, ...]


def probe(
    network: "Network",
    pictures: PictureSet,
    *,
    labels: Sequence[str] | Literal["folders"] = "folders",
    layers: str | Sequence[str] | None = None,
    shuffled: bool = True,
    seed: int = 0,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Probed:
    """Fit a linear classifier to each layer's features, and see how often it is right.

    Maps are averaged over 6 x 6 cells at most, raw pixels over 32 x 32. The accuracy is that of
    `jaxviz.linear_probe`: of pictures that were left out of the fit.

    Args:
        network: what `jaxviz.load` returns.
        pictures: such as `jaxviz.sweep.folder_pictures`.
        labels: one for each picture; by default the folders that they are in.
        layers: exact names; by default eight, evenly spread, and the feature layer.
        shuffled: whether the same network with shuffled weights is asked too: what the training
            brought.
        seed: of the shuffling.
        batch_size: pictures evaluated at a time on each device.
        progress: called with (pictures done, pictures in all), for each network.

    Returns:
        The head is that of the only layer asked for, else of the most accurate one.

    Raises:
        InputError: there are fewer than two labels, one has a single picture, all have fewer than
            three, or one of the others is not as above.

    >>> import jaxviz
    >>> pixels = np.random.default_rng(0).integers(0, 99, (6, 224, 224, 3), np.uint8)
    >>> pixels[3:] += 100
    >>> pictures = jaxviz.sweep.ArrayPictures(pixels)
    >>> found = probe(jaxviz.load("alexnet"), pictures, labels=["dark"] * 3 + ["light"] * 3,
    ...               layers="pool1", shuffled=False).analysis
    >>> found.confusion.tolist(), found.pixels
    ([[3, 0], [0, 3]], 1.0)
    """
    names = asked_layers(network, layers)
    if "head" in network.provenance:
        raise InputError("head: a probe asks the network itself; leave the head out")
    is_told = not isinstance(labels, str)
    told = [str(one) for one in labels] if is_told else label_of_each(pictures.paths)
    if len(told) != len(pictures.paths):
        raise InputError(f"labels: expected {len(pictures.paths)}, got {len(told)}")
    by_path = dict(zip(pictures.paths, told, strict=True))
    features, parts = _features(
        network, network.params, pictures, names, pixels=True, batch_size=batch_size,
        progress=progress,
    )  # fmt: skip
    kept = [by_path[path] for path in features.paths]
    members = Counter(kept)
    few = [label for label, number in members.items() if number < 2]
    if len(members) < 2 or few or max(members.values()) < 3:
        raise InputError(
            "labels: expected at least two, each of at least two pictures, and one of at least "
            "three; leave out smaller ones; got "
            f"{', '.join(f'{label} ({n})' for label, n in list(members.items())[:8])}"
        )
    classes = sorted(members)
    truth = np.array([classes.index(label) for label in kept], np.int32)
    folds = min(_MOST_FOLDS, max(members.values()))

    def fits(vectors: np.ndarray) -> dict[str, LinearProbe]:
        return {
            name: jax.device_get(linear_probe(vectors[:, part], truth, folds=folds))
            for name, part in parts.items()
        }

    found = fits(features.vectors)
    raw = found.pop("")
    random = None
    if shuffled:
        params = shuffled_params(network.params, jax.random.key(seed))
        others, parts = _features(
            network, params, pictures, names, pixels=False, batch_size=batch_size,
            progress=progress,
        )  # fmt: skip
        random = fits(others.vectors)
    best = max(names, key=lambda name: float(found[name].accuracy))
    chosen = found[best]
    first = [int(np.flatnonzero(truth == label)[0]) for label in range(len(classes))]
    analysis = ProbeAnalysis(
        network=network.spec.title,
        classes=tuple(classes),
        layers=names,
        accuracy=_accuracies(found),
        intervals=_intervals(found),
        shuffled=_accuracies(random) if random else None,
        shuffled_intervals=_intervals(random) if random else None,
        pixels=float(raw.accuracy),
        pixels_interval=(float(raw.interval[0]), float(raw.interval[1])),
        chance=max(members.values()) / len(truth),
        layer=best,
        truth=truth,
        predictions=np.asarray(chosen.predictions),
        **names_of(features.paths)._asdict(),
        thumbnails=_thumbnails(network, pictures, features.paths, first),
    )
    head = Head(
        np.asarray(chosen.weights), np.asarray(chosen.bias), best, GRID, analysis.classes,
        network.name, network.provenance.get("sha256", ""),
    )  # fmt: skip
    return Probed(analysis, head, tuple(features.skipped))


def asked_layers(network: "Network", asked: str | Sequence[str] | None) -> tuple[str, ...]:
    """The layers that are asked for; by default eight, evenly spread, and the feature layer."""
    if asked is not None:
        return layer_names(asked)
    every = list(network.layers())
    chosen = {every[place] for place in evenly(_MOST_LAYERS, len(every))}
    chosen |= {network.spec.feature_layer or every[-1]}
    return tuple(name for name in every if name in chosen)


def _features(
    network: "Network",
    params: Any,
    pictures: PictureSet,
    names: Sequence[str],
    *,
    pixels: bool,
    batch_size: int | None,
    progress: Progress | None,
) -> tuple[sweep.Features, dict[str, slice]]:
    """The features of all layers, side by side, and their places; raw pixels, if any, are ""."""
    parts: dict[str, slice] = {}

    def together(params: Any, images: Any) -> dict[str, Any]:
        outputs = outputs_of(network.apply, params, images)
        values = selected(network.apply, outputs, names, len(images))
        made = {name: head_features(one) for name, one in zip(names, values, strict=True)}
        if pixels:
            made[""] = head_features(images, _PIXELS)
        ends = np.cumsum([one.shape[1] for one in made.values()]).tolist()
        starts = [0, *ends[:-1]]
        parts.update(zip(made, map(slice, starts, ends), strict=True))
        return {"together": jnp.concatenate(list(made.values()), axis=1)}

    features = sweep.features(
        together, params, pictures, prepare=network.preprocessing.normalize, layer="together",
        batch_size=batch_size, progress=progress,
    )  # fmt: skip
    return features, parts


def _accuracies(found: dict[str, LinearProbe]) -> np.ndarray:
    return np.array([one.accuracy for one in found.values()], np.float32)


def _intervals(found: dict[str, LinearProbe]) -> np.ndarray:
    return np.array([one.interval for one in found.values()], np.float32)


def _thumbnails(
    network: "Network", pictures: PictureSet, paths: Sequence[Path], numbers: Sequence[int]
) -> np.ndarray:
    shown = read_shown(network, pictures, numbers, paths=paths)
    stack = np.stack([shown.pixels_of(number) for number in numbers]).astype(np.float32)
    side = min(THUMBNAIL, *stack.shape[1:3])
    small = head_features(stack, side).reshape(len(stack), side, side, 3)
    return np.rint(np.asarray(small)).astype(np.uint8)
