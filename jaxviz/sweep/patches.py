"""Top patches over picture sets of any size, in memory that does not grow with them."""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import devices
from .._checks import InputError, choice, count
from .._contract import layer_names
from .._typing import Apply, Params, Progress
from ..pictures.folders import Skipped
from ..pictures.sets import PictureSet
from ..techniques.patches import (
    RANKINGS,
    TopPatches,
    empty_state,
    merge,
    num_channels,
    result,
    update,
)
from .checkpoint import open_checkpoint
from .engine import Task, sweep
from .identity import identity
from .network import array_hash, recorded
from .processes import ALONE, Part

States = list[TopPatches]  # one for each layer


class Swept(NamedTuple):
    """What a sweep found: {layer: TopPatches}, the pictures that could not be read, the labels."""

    found: dict[str, TopPatches]
    skipped: list[Skipped]
    labels: tuple[str, ...] = ()


@devices.own_context()
def top_patches(
    apply: Apply,
    params: Params,
    pictures: PictureSet,
    *,
    prepare: Callable[[Any], Any],
    layers: str | Sequence[str],
    k: int = 9,
    largest: bool = True,
    unique_images: bool = True,
    rank_by: str = "maximum",
    labels: Sequence[str] | None = None,
    batch_size: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    save_every: int = 100,
    part: Part = ALONE,
    progress: Progress | None = None,
) -> Swept:
    """Find where each channel of the asked layers is excited most, over a whole picture set.

    The answer is the same to the bit for any number of devices and processes and after any
    interruption, at the same `batch_size`.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        pictures: what to sweep over; see `folder_pictures`, `ArrayPictures`, `PackedPictures`.
        prepare: turns uint8 (batch, height, width, 3) into what `apply` takes, on the device, such
            as `network.spec.preprocessing.normalize`.
        layers: exact names.
        k: how many patches to keep for each channel.
        largest: look for the largest activations; else the smallest.
        unique_images: keep one place an image and channel; else any number.
        rank_by: "maximum" ranks pictures by the largest activation of a map, "mean" by its mean
            over all places (its sum gives the same order); the place is that of the largest.
        labels: of each picture; the best of each label are kept apart, in alphabetical order, and
            arrays are (labels, channels, k).
        batch_size: pictures evaluated at a time on each device; by default 8 on a CPU and 256
            elsewhere.
        folder: where to save the state; a sweep begun there is taken up again. Without it nothing
            is saved.
        save_every: save after this many batches.
        part: which of several processes this is; they need a `folder` that all share.
        progress: called with (pictures done, pictures of this process in all).

    Raises:
        InputError: an unknown layer, nothing readable, labels of another number, a folder that
            another run is using, or one whose sweep had other pictures, weights, functions or
            options; the message says which.

    >>> import numpy as np
    >>> from jaxviz.sweep import ArrayPictures, top_patches
    >>> pictures = ArrayPictures(np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))
    >>> same = lambda params, images: {"same": images}
    >>> swept = top_patches(
    ...     same, (), pictures, prepare=lambda x: x.astype("float32"), layers="same", k=2
    ... )
    >>> swept.found["same"].values.tolist()
    [[21.0, 9.0], [22.0, 10.0], [23.0, 11.0]]

    """
    label_names, label_numbers = numbered_labels(labels, len(pictures.paths))
    keep = KeepBest(count(k, "k"), largest, unique_images, rank_by, label_numbers)
    batch_size = devices.batch_size(batch_size)
    names = layer_names(layers)
    images = jax.ShapeDtypeStruct((batch_size, *pictures.image_shape), jnp.uint8)
    task = patches_task(keep, apply, params, images, prepare=prepare, layers=names)
    labels_hash = label_numbers and array_hash({"\n".join(label_names): np.array(label_numbers)})
    options = {
        "layers": names, "k": k, "largest": largest, "unique images": unique_images,
        "rank by": rank_by, "labels": labels_hash, "batch size": batch_size,
    }  # fmt: skip
    said = functools.partial(
        identity, "top patches", pictures, params, options, network=task.network
    )
    with open_checkpoint(folder, said, part) as checkpoint:
        parts = sweep(
            task, params, pictures, batch_size=batch_size, checkpoint=checkpoint,
            save_every=count(save_every, "save_every"), progress=progress,
        )  # fmt: skip
    states = functools.reduce(_merge, [one.state for one in parts])
    found = jax.device_get(keep.results(names, states))
    skipped = [one for part in parts for one in part.skipped.values()]
    return Swept(found, skipped, label_names)


def numbered_labels(
    labels: Sequence[str] | None, pictures: int
) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """The labels there are, and of each picture the number of its own."""
    if labels is None:
        return (), None
    if isinstance(labels, str) or not hasattr(labels, "__len__"):
        raise InputError(f"labels: expected a list, one for each picture, got {labels!r}")
    if len(labels) != pictures:
        raise InputError(f"labels: expected one for each of {pictures} pictures, got {len(labels)}")
    names = tuple(sorted({str(one) for one in labels}))
    numbers = {name: number for number, name in enumerate(names)}
    return names, tuple(numbers[str(one)] for one in labels)


@dataclass(frozen=True)
class KeepBest:
    """What to do with activations: the k best places of each channel are kept.

    `labels` has the number of each picture's label, where labels are kept apart.
    """

    k: int
    largest: bool
    unique_images: bool
    rank_by: str = "maximum"
    labels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        choice(self.rank_by, "rank_by", RANKINGS)
        if self.rank_by == "mean" and not self.unique_images:
            raise InputError(
                "rank_by: 'mean' ranks whole images, of which each counts once; leave out "
                "unique_images=False or --all-positions"
            )

    def __call__(self, states: States, activations: Any, indices: Any) -> tuple[States, Any]:
        """Take in a batch."""
        labels = None
        if self.labels is not None:
            labels = jnp.array(self.labels, jnp.int32).at[indices].get(mode="clip")
        updated = [
            update(
                state,
                values,
                indices,
                largest=self.largest,
                unique_images=self.unique_images,
                rank_by=self.rank_by,
                labels=labels,
            )
            for state, values in zip(states, activations, strict=True)
        ]
        return updated, None

    def results(self, names: Sequence[str], states: States) -> dict[str, TopPatches]:
        """What final states say, by layer."""
        found = (result(state, largest=self.largest) for state in states)
        return dict(zip(names, found, strict=True))


def patches_task(
    keep: KeepBest, apply: Apply, params: Params, images: Any, *,
    prepare: Callable[[Any], Any], layers: Sequence[str],
) -> Task:  # fmt: skip
    """The task of keeping the best places of these layers, for images like these."""
    network = recorded(apply, params, images, prepare=prepare, layers=layers)
    tape = network.tape
    outputs = [tape.aval(slot) for slot in tape.outputs]
    for layer, aval in zip(layers, outputs, strict=True):
        if 0 in aval.shape[1:] or jnp.issubdtype(aval.dtype, jnp.complexfloating):
            found = f"{aval.dtype} {tuple(aval.shape[1:])}"
            raise InputError(f"layer: expected {layer!r} to hold real numbers, got {found}")
    labels = None if keep.labels is None else max(keep.labels) + 1
    start = [
        empty_state(num_channels(aval.shape), keep.k, aval.dtype, labels=labels) for aval in outputs
    ]
    return Task(network, keep, start, _merge)


def _merge(a: States, b: States) -> States:
    return [merge(*pair) for pair in zip(a, b, strict=True)]
