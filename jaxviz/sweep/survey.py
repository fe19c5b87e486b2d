"""What each channel answers to in a picture set: its top patches and its mean for each label."""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import devices
from .._checks import count
from .._contract import layer_names
from .._typing import Apply, Params, Progress
from ..files import read_arrays, remove_remains, write_arrays
from ..pictures.folders import Skipped
from ..pictures.sets import PictureSet
from ..techniques.patches import TopPatches
from .checkpoint import open_checkpoint
from .engine import sweep
from .identity import identity
from .network import array_hash
from .patches import KeepBest, States, numbered_labels, patches_task
from .processes import ALONE

_SUMS = "sums-{number}.npz"


class LabelMeans(NamedTuple):
    """How strongly channels answer, by a picture's largest activation of each.

    `mean` and `deviation` (channels,) are over all pictures, `by_label` (labels, channels) has the
    means over the pictures of each label. A picture of which that is not finite counts as 0.
    """

    mean: np.ndarray
    deviation: np.ndarray
    by_label: np.ndarray

    @property
    def association(self) -> np.ndarray:
        """By how many standard deviations a label's mean is above that of all, (labels, channels).

        >>> one = np.ones(1)
        >>> LabelMeans(one, 2 * one, np.array([[1.0], [5.0]])).association.tolist()
        [[0.0], [2.0]]
        """
        still = self.deviation == 0
        return (self.by_label - self.mean) / np.where(still, 1, self.deviation) * ~still


class Surveyed(NamedTuple):
    """What a survey found, by layer, and the pictures that could not be read.

    `counts` (labels,) are the pictures of each label that were read; without labels there is one
    count, of all.
    """

    found: dict[str, TopPatches]
    means: dict[str, LabelMeans]
    skipped: list[Skipped]
    labels: tuple[str, ...]
    counts: np.ndarray


@devices.own_context()
def survey(
    apply: Apply,
    params: Params,
    pictures: PictureSet,
    *,
    prepare: Callable[[Any], Any],
    layers: str | Sequence[str],
    k: int = 9,
    labels: Sequence[str] | None = None,
    batch_size: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    save_every: int = 100,
    progress: Progress | None = None,
) -> Surveyed:
    """Find every channel's top patches, and how strongly it answers to each label, in one pass.

    Memory depends on channels and labels, not on the number of pictures. The answer is the same to
    the bit for any number of devices and after any interruption, at the same `batch_size`.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        pictures: what to sweep over, as for `top_patches`.
        prepare: as for `top_patches`.
        layers: exact names.
        k: how many patches to keep for each channel.
        labels: of each picture.
        batch_size: pictures evaluated at a time on each device.
        folder: where to save the state; a survey begun there is taken up again.
        save_every: save after this many batches.
        progress: called with (pictures done, pictures in all).

    Raises:
        InputError: as `top_patches`.

    >>> from jaxviz.sweep import ArrayPictures
    >>> pictures = ArrayPictures(np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))
    >>> same = lambda params, images: {"same": images}
    >>> surveyed = survey(
    ...     same, (), pictures, prepare=lambda x: x.astype("float32"), layers="same",
    ...     labels=["dark", "light"], k=1,
    ... )
    >>> surveyed.means["same"].by_label.tolist()
    [[9.0, 10.0, 11.0], [21.0, 22.0, 23.0]]
    """
    label_names, numbers = numbered_labels(labels, len(pictures.paths))
    keep = KeepBest(count(k, "k"), largest=True, unique_images=True)
    batch_size = devices.batch_size(batch_size)
    names = layer_names(layers)
    images = jax.ShapeDtypeStruct((batch_size, *pictures.image_shape), jnp.uint8)
    task = patches_task(keep, apply, params, images, prepare=prepare, layers=names)
    task = task._replace(take=_Survey(keep, numbers))
    labels_hash = numbers and array_hash({"\n".join(label_names): np.array(numbers)})
    options = {"layers": names, "k": k, "labels": labels_hash, "batch size": batch_size}
    said = functools.partial(identity, "survey", pictures, params, options, network=task.network)
    channels = [len(state.values) for state in task.start]
    with open_checkpoint(folder, said, part=ALONE) as checkpoint:
        place = checkpoint.folder if checkpoint else None
        sums = _Sums(len(label_names) or 1, sum(channels), place)
        (saved,) = sweep(
            task, params, pictures, batch_size=batch_size, checkpoint=checkpoint,
            save_every=count(save_every, "save_every"), rows=sums, progress=progress,
        )  # fmt: skip
        sums.truncate(saved.rows)  # where the sweep had ended before, none were added here
    found = jax.device_get(keep.results(names, saved.state))
    means = dict(zip(names, sums.means(channels), strict=True))
    return Surveyed(found, means, list(saved.skipped.values()), label_names, sums.counts)


@dataclass(frozen=True)
class _Survey:
    """What to do with activations: keep the best, and pass on the largest of each picture."""

    keep: KeepBest
    labels: tuple[int, ...] | None

    def __call__(self, states: States, activations: Any, indices: Any) -> tuple[States, Any]:
        """Take in a batch; a row is the number of a picture's label and its channels' maxima."""
        states, _ = self.keep(states, activations, indices)
        labels = jnp.zeros(len(indices), jnp.int32)
        if self.labels is not None:
            labels = jnp.array(self.labels, jnp.int32).at[indices].get(mode="clip")
        rows = [labels[:, None]]
        for values in activations:
            channels = values.shape[-1] if values.ndim > 1 else 1
            rows.append(values.reshape(len(indices), -1, channels).max(axis=1))
        return states, jnp.concatenate([row.astype(jnp.float32) for row in rows], axis=1)


class _Sums:
    """Sums of the rows of a survey, one picture after the other, so that they never round anew."""

    def __init__(self, labels: int, channels: int, folder: Path | None) -> None:
        self._folder = folder
        self.counts = np.zeros(labels, np.int64)
        self._sums = np.zeros((labels, channels))
        self._squares = np.zeros(channels)
        self._saved = 0  # how many rows the sums have that were saved last

    def append(self, rows: np.ndarray) -> None:
        """Add rows."""
        values = np.where(np.isfinite(rows), rows, 0).astype(np.float64)
        for label, maxima in zip(rows[:, 0].astype(int).tolist(), values[:, 1:], strict=True):
            self.counts[label] += 1
            self._sums[label] += maxima
            self._squares += maxima**2

    def sync(self) -> int:
        """Save the sums beside those that were saved last, which the checkpoint still counts on."""
        number = int(self.counts.sum())
        if self._folder:
            arrays = {"counts": self.counts, "sums": self._sums, "squares": self._squares}
            write_arrays(self._folder / _SUMS.format(number=number), arrays, {"number": number})
            needed = {_SUMS.format(number=one) for one in (self._saved, number)}
            for path in self._folder.glob(_SUMS.format(number="*")):
                if path.name not in needed:
                    path.unlink(missing_ok=True)
            self._saved = number
        return number

    def truncate(self, number: int) -> None:
        """Go back to the sums of the first `number` rows."""
        if number == self.counts.sum() or self._folder is None:
            return
        remove_remains(self._folder, _SUMS.format(number="*"))
        if number == 0:
            self.counts[:], self._sums[:], self._squares[:] = 0, 0, 0
            return
        arrays, _ = read_arrays(self._folder / _SUMS.format(number=number))
        self.counts, self._sums, self._squares = (
            arrays[name] for name in ("counts", "sums", "squares")
        )
        self._saved = number

    def means(self, channels: Sequence[int]) -> list[LabelMeans]:
        """The means of layers that have so many channels."""
        total = self.counts.sum()
        mean = self._sums.sum(axis=0) / total
        deviation = np.sqrt(np.maximum(self._squares / total - mean**2, 0))
        # What is left of equal numbers by rounding is no deviation.
        deviation[deviation < 1e-6 * np.abs(mean)] = 0
        by_label = self._sums / np.maximum(self.counts, 1)[:, None]
        ends = np.cumsum(channels)[:-1]
        parts = (np.split(array, ends, axis=-1) for array in (mean, deviation, by_label))
        return [LabelMeans(*one) for one in zip(*parts, strict=True)]
