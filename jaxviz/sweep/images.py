"""Feature images of all channels of a network, in a file that grows, on all devices."""

import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import devices
from .._checks import InputError, count, number_list, random_key
from .._checks import image_shape as checked_shape
from .._contract import layer_names
from .._typing import Apply, Params, Progress
from ..files import (
    array_header,
    complete_manifest,
    json_bytes,
    map_array,
    read_manifest,
    write_manifest,
    write_whole,
)
from ..techniques.feature_images.ascent import Ascent
from ..techniques.feature_images.making import ascent_of
from ..techniques.feature_images.parametrizations import Parametrization
from ..techniques.feature_images.transformations import Transformations
from ..techniques.scores.layers import channel_mean
from .checkpoint import open_checkpoint
from .identity import identity
from .image_batches import Batch, Programs, batches_of, make_all
from .processes import ALONE, Part, wait_a_little
from .rows import RowFile, RowTable, join_rows, rows_path

KIND = "feature images"
_IMAGES, _TRACES, _INDEX = "images.npy", "traces.npy", "index.jsonl"
_MOST = 64  # images a device at a time, of which the activations of all layers are kept


class ChannelImages(NamedTuple):
    """The images that were made for channels of a layer.

    `images` are uint8 (num, height, width, samples); `channels` (num,) says for which channel each
    was made, `scores` (num,) what the channel's mean is on it, and `trace` (num, steps) what it was
    on the moved image before each step.
    """

    images: np.ndarray
    channels: np.ndarray
    scores: np.ndarray
    trace: np.ndarray


@devices.own_context()
def feature_images(
    apply: Apply,
    params: Params,
    *,
    layers: str | Sequence[str],
    key: Any,
    image_shape: Sequence[int],
    prepare: Callable[[Any], Any] | None = None,
    channels: Sequence[int] | None = None,
    negative: bool = False,
    variants: int = 1,
    diversity: float = 0.5,
    steps: int = 256,
    parametrization: str | Parametrization = "phases",
    transformations: Transformations | None = None,
    optimizer: Any = None,
    batch_size: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    part: Part = ALONE,
    progress: Progress | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, ChannelImages]:
    """Make images for the channels of layers, as `jaxviz.feature_images` does, on all devices.

    The score is `jaxviz.channel_mean`. `folder` gets images.npy, uint8 (num, height, width,
    samples), traces.npy, float32 (num, steps), index.jsonl, which says for what each was made, and
    jaxviz.json. The answer is the same to the bit for any number of devices and processes and after
    any interruption, at the same `batch_size`.

    Args:
        apply: `apply(params, images) -> {layer: activations}`.
        params: any pytree of arrays.
        layers: exact names.
        key: of all that is random, from `jax.random.key`.
        image_shape: (height, width, samples) of what `prepare` takes.
        prepare: turns pixels from 0 to 255 into what `apply` takes, as for `jaxviz.feature_images`.
        channels: for these of each layer; by default for all.
        negative: make what lowers the score instead.
        variants: images for each channel, that differ.
        diversity: how much their likeness counts against the score.
        steps: of the ascent.
        parametrization: as for `jaxviz.feature_images`, like what follows.
        transformations: how images are moved before each step.
        optimizer: of optax.
        batch_size: images made at a time on each device; by default 8 on a CPU and 64 elsewhere.
        folder: where to write; work begun there is taken up again. Without it nothing is written.
        part: which of several processes this is; they need a `folder` that all share.
        progress: called with (images done, images of this process in all).
        provenance: what the manifest shall hold beside that.

    Raises:
        InputError: as `jaxviz.feature_images`, an unknown layer, a folder that another run is
            using, or one that holds what was made otherwise; the message says what differs.

    >>> from jaxviz.sweep import feature_images
    >>> colors = lambda params, images: {"mean": images.mean(axis=(1, 2))}
    >>> made = feature_images(
    ...     colors, (), layers="mean", key=jax.random.key(0), image_shape=(8, 8, 3), steps=4
    ... )
    >>> made["mean"].images.shape, made["mean"].channels.tolist()
    ((3, 8, 8, 3), [0, 1, 2])
    """
    names, shape = layer_names(layers), checked_shape(image_shape)
    size = min(devices.batch_size(batch_size), _MOST) if batch_size is None else batch_size
    size, steps = count(size, "batch_size"), count(steps, "steps")
    variants = count(variants, "variants")
    random_key(key)
    ascents: dict[str, Ascent] = {}
    chosen: dict[str, list[int]] = {}
    for layer in names:
        score = channel_mean(layer)
        ascents[layer], number = ascent_of(
            apply, params, score=-score if negative else score, image_shape=shape, prepare=prepare,
            variants=variants, diversity=diversity, parametrization=parametrization,
            transformations=transformations, optimizer=optimizer,
        )  # fmt: skip
        chosen[layer] = number_list(channels, "channels", number)
    batches = batches_of(chosen, variants, size)
    programs = Programs(ascents, params, key, steps, -1 if negative else 1)
    options = {
        "layers": names, "channels": channels is not None and chosen, "negative": negative,
        "variants": variants, "steps": steps, "batch size": size, "image shape": shape,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
    }  # fmt: skip
    total = batches[-1].first + batches[-1].number
    start = np.zeros(total, np.float32), np.zeros((total, steps), np.float32)

    def said() -> Mapping[str, Any]:
        return identity(KIND, None, params, options, network=programs.recording(batches))

    with open_checkpoint(folder, said, part) as checkpoint:
        if checkpoint is None:
            table = RowTable(total, shape, np.uint8)
            saved = make_all(programs, batches, start, table, progress=progress)
            return _by_layer(_entries(batches, saved.state[0]), table.rows(), saved.state[1])
        folder = checkpoint.folder
        with RowFile(rows_path(folder, part), shape, np.uint8) as rows:
            make_all(programs, batches, start, rows, checkpoint=checkpoint, progress=progress)
        while (parts := checkpoint.load_all(start)) is None:
            wait_a_little()
        if part.process == 0:
            # Each part has zeros where others have what they made.
            scores, traces = (sum(values) for values in zip(*(p.state for p in parts), strict=True))
            join_rows(folder / _IMAGES, len(parts), total, shape, np.uint8)
            write_whole(folder / _TRACES, [array_header(traces.shape, "<f4"), traces.tobytes()])
            lines = [json_bytes(entry) + b"\n" for entry in _entries(batches, scores)]
            write_whole(folder / _INDEX, lines)
            record = {"kind": KIND, "complete": True, "number": total, **(provenance or {})}
            write_manifest(folder, record)
        while not read_manifest(folder).get("complete"):
            wait_a_little()
        return load_feature_images(folder)


def _entries(batches: Sequence[Batch], scores: np.ndarray) -> list[dict[str, Any]]:
    """For each image its layer, channel and score."""
    found = [(one.layer, channel) for one in batches for channel in one.channels[: one.number]]
    return [
        {"layer": layer, "channel": int(channel), "score": float(score)}
        for (layer, channel), score in zip(found, scores, strict=True)
    ]


def _by_layer(
    entries: Sequence[Mapping[str, Any]], images: np.ndarray, traces: np.ndarray
) -> dict[str, ChannelImages]:
    found, first = {}, 0
    for layer, group in itertools.groupby(entries, lambda entry: entry["layer"]):
        own = list(group)
        kept = slice(first, first + len(own))
        found[layer] = ChannelImages(
            images[kept],
            np.array([entry["channel"] for entry in own]),
            np.array([entry["score"] for entry in own], np.float32),
            traces[kept],
        )
        first += len(own)
    return found


def load_feature_images(folder: str | os.PathLike[str]) -> dict[str, ChannelImages]:
    """Open a complete folder of feature images, whose pixels are mapped into memory.

    Raises `InputError` if it is none, is not complete, or a file of it is missing or damaged.
    """
    folder = Path(folder)
    complete_manifest(folder, KIND)
    images, traces = map_array(folder / _IMAGES), map_array(folder / _TRACES)
    try:
        entries = [json.loads(line) for line in (folder / _INDEX).read_bytes().splitlines()]
        if not len(entries) == len(images) == len(traces):
            raise ValueError("of other length than the images")
        return _by_layer(entries, images, traces)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / _INDEX}: missing or damaged ({error})") from None
