"""Top patches over picture sets of any size, in memory that does not grow with them."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import devices
from .._checks import count, known_layers
from .._typing import Apply, Params, Progress
from ..pictures.folders import Skipped
from ..pictures.sets import PictureSet
from ..techniques import patches
from ..techniques.patches import TopPatches
from .checkpoint import Checkpoint
from .engine import Task, merged, sweep
from .identity import identity
from .processes import ALONE, Part


class Swept(NamedTuple):
    """What a sweep found: {layer: TopPatches} and the pictures that could not be read."""

    found: dict[str, TopPatches]
    skipped: list[Skipped]


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
    batch_size: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    save_every: int = 100,
    part: Part = ALONE,
    progress: Progress | None = None,
) -> Swept:
    """Find where each channel of the asked layers is excited most, over a whole picture set.

    The answer is that of `jaxviz.top_patches`, to round-off, for on CPUs convolutions take fewer
    products here. It is the same to the bit for any number of devices and processes and after any
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
        batch_size: pictures evaluated at a time on each device; 8 on a CPU and 256 elsewhere,
            unless said.
        folder: where to save the state; a sweep begun there is taken up again. Without it nothing
            is saved.
        save_every: save after this many batches.
        part: which of several processes this is; they need a `folder` that all share.
        progress: called with (pictures done, pictures of this process in all).

    Raises:
        InputError: an unknown layer, nothing readable, or a folder whose sweep had other pictures,
            weights or options; the message says which.

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
    count(k, "k")
    batch_size = devices.batch_size(batch_size)
    count(save_every, "save_every")
    example = jax.ShapeDtypeStruct((batch_size, *pictures.image_shape), jnp.uint8)
    images = jax.eval_shape(prepare, example)
    names = known_layers(apply, params, images, layers)

    def step(states: Any, params: Params, pixels: Any, indices: Any) -> tuple[Any, None]:
        return patches.update(
            states, params, prepare(pixels), indices,
            apply=apply, layers=names, largest=largest, unique_images=unique_images,
        ), None  # fmt: skip

    start = patches.empty_states(apply, params, images, layers=names, k=k)
    task = Task(jax.device_get(start), step, _merge)
    options = {
        "layers": names, "k": k, "largest": largest, "unique images": unique_images,
        "batch size": batch_size,
    }  # fmt: skip
    checkpoint = None
    if folder is not None:
        said = identity("top patches", pictures, params, options)
        checkpoint = Checkpoint(Path(folder), said, part)
    saved = sweep(
        task, params, pictures, batch_size=batch_size, part=part, checkpoint=checkpoint,
        save_every=save_every, progress=progress,
    )  # fmt: skip
    parts = merged(task, pictures, saved, checkpoint)
    states = functools.reduce(_merge, [one.state for one in parts])
    found = {name: patches.result(states[name], largest=largest) for name in names}
    return Swept(jax.device_get(found), [one for part in parts for one in part.skipped.values()])


def _merge(a: dict[str, TopPatches], b: dict[str, TopPatches]) -> dict[str, TopPatches]:
    return {name: patches.merge(a[name], b[name]) for name in a}
