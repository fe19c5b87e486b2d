"""Exhibits of many pictures: nearest neighbors and maximally activating patches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import render
from .._checks import InputError, count
from ..activations import features
from ..images import Loaded, batches
from ..neighbors import Neighbors, label_agreement, nearest_neighbors
from ..networks.registry import Network
from ..patches import TopPatches, crop, top_patches
from ..tracing import receptive_field
from .exhibit import Exhibit, number, shown

Track = Callable[[Iterable[Any], int, str], Iterator[Any]]


def untracked(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
    """Show no progress."""
    return iter(items)


def labels_of(loaded: Loaded) -> list[str] | None:
    """Each picture's label, the name of its folder; None if all lie in one."""
    labels = [path.parent.name for path in loaded.paths]
    return labels if len(set(labels)) > 1 else None


def picture_features(
    network: Network, pixels: np.ndarray, layer: str, *, batch_size: int, track: Track = untracked
) -> np.ndarray:
    """One layer's features of all pictures, (pictures, dim)."""
    total = -(-len(pixels) // batch_size)
    found = []
    for batch in track(batches(pixels, batch_size), total, f"{layer} features"):
        padded = np.pad(batch, [(0, min(batch_size, len(pixels)) - len(batch)), *[(0, 0)] * 3])
        images = shown(network, padded)
        found.append(
            np.asarray(features(network.apply, network.params, images, layer=layer))[: len(batch)]
        )
    return np.concatenate(found)


def raw_pixels(pixels: np.ndarray) -> np.ndarray:
    """Pictures as flat vectors of values from 0 to 1, the naive thing to compare."""
    return pixels.reshape(len(pixels), -1).astype(np.float32) / 255


class Search(NamedTuple):
    """One way to look for neighbors: its name and what it found."""

    name: str
    found: Neighbors


def neighbors(
    network: Network,
    loaded: Loaded,
    layer: str,
    *,
    top: int,
    queries: Sequence[int],
    batch_size: int,
    track: Track = untracked,
) -> Exhibit:
    """For each query its nearest pictures by features, and by raw pixels for comparison."""
    if len(loaded.paths) < 2:
        raise InputError("neighbors: expected at least two pictures to compare")
    top = min(count(top, "top"), len(loaded.paths) - 1)
    labels = labels_of(loaded)
    vectors = picture_features(network, loaded.pixels, layer, batch_size=batch_size, track=track)
    searches = []
    for name, data, metric in (
        (f"{layer}, cosine", vectors, "cosine"),
        (f"{layer}, Euclidean", vectors, "euclidean"),
        ("raw pixels, Euclidean", raw_pixels(loaded.pixels), "euclidean"),
    ):
        found = nearest_neighbors(data, data, k=top, metric=metric, exclude_self=True)
        found = Neighbors(np.asarray(found.distances), np.asarray(found.indices))
        searches.append(Search(name, found))
    rows = [
        _neighbor_row(loaded, labels, query, search)
        for query in queries
        for search in (searches[0], searches[2])
    ]
    figure = render.montage(
        rows, title=f"{network.spec.title}: nearest neighbors by {layer} and by raw pixels",
        separate_first=True,
    )  # fmt: skip
    facts = [("pictures", str(len(loaded.paths)))]
    for name, found in searches if labels else []:
        nearest, among = (label_agreement(found.indices[:, :k], labels, labels) for k in (1, top))
        facts.append((f"same kind by {name}", f"{nearest:.0%} of nearest, {among:.0%} of {top}"))
    arrays: dict[str, Any] = {
        "features": vectors,
        "paths": np.array([str(p) for p in loaded.paths]),
    }
    for name, search in zip(("cosine", "euclidean", "raw_pixels"), searches, strict=True):
        arrays |= {f"{name}.{key}": value for key, value in search.found._asdict().items()}
    alt = f"For {len(queries)} pictures, a row of neighbors by {layer} above one by raw pixels."
    return Exhibit(figure, arrays, facts, alt)


def _neighbor_row(
    loaded: Loaded, labels: list[str] | None, query: int, search: Search
) -> render.Row:
    tiles = [render.Tile(loaded.pixels[query], loaded.paths[query].stem[:18])]
    for index, distance in zip(
        search.found.indices[query], search.found.distances[query], strict=True
    ):
        frame = None
        if labels:
            frame = "#e66101" if labels[index] == labels[query] else "#b8b8b8"
        caption = f"{loaded.paths[index].stem[:18]}\n{number(distance)}"
        tiles.append(render.Tile(loaded.pixels[index], caption, frame))
    return render.Row(search.name.replace(", ", "\n"), tiles)


def patches(
    network: Network,
    loaded: Loaded,
    layers: Sequence[str],
    *,
    top: int,
    channels: Sequence[int] = (),
    rows: int = 12,
    batch_size: int,
    track: Track = untracked,
) -> tuple[list[Exhibit], list[dict[str, Any]]]:
    """For each layer a montage of top patches in rows, and the record of every patch shown."""
    total = -(-len(loaded.pixels) // batch_size)
    pieces = track(batches(loaded.pixels, batch_size), total, "top patches")
    found = top_patches(
        network.apply,
        network.params,
        (shown(network, piece) for piece in pieces),
        layers=layers,
        k=min(count(top, "top"), len(loaded.pixels)),
    )
    exhibits, records = [], []
    for layer in layers:
        best = TopPatches(*(np.asarray(field) for field in found[layer]))
        chosen = _channels(best, channels, rows)
        shape = network.spec.preprocessing.input_shape
        field = receptive_field(network.apply, network.params, shape, layer=layer)
        lines = []
        for channel in chosen:
            tiles = []
            for rank in range(best.values.shape[1]):
                tile, record = _patch(loaded, best, field, channel, rank)
                tiles.append(tile)
                records.append({"layer": layer, "channel": channel, "rank": rank, **record})
            lines.append(render.Row(f"channel {channel}", tiles))
        size = f"{field.size[0]} x {field.size[1]}"
        figure = render.montage(
            lines,
            title=f"{network.spec.title} {layer}: the patches ({size} pixels) that excite it most",
        )
        facts = [
            ("layer", layer),
            ("pictures", str(len(loaded.paths))),
            ("patch", f"{size} pixels, one an image and channel"),
            ("strongest", number(best.values.max())),
        ]
        alt = f"{len(chosen)} rows of patches, one row for each channel of {layer}."
        arrays = {f"{layer}.{name}": value for name, value in best._asdict().items()}
        exhibits.append(Exhibit(figure, arrays, facts, alt))
    return exhibits, records


def _channels(best: TopPatches, asked: Sequence[int], rows: int) -> list[int]:
    most = len(best.values)
    if any(not 0 <= channel < most for channel in asked):
        raise InputError(f"channel: expected 0 to {most - 1}, got {list(asked)}")
    # The last of a row says most: the channel is excited by every picture of it.
    order = np.argsort(-best.values[:, -1], kind="stable")
    return list(asked) or order[: min(rows, most)].tolist()


def _patch(
    loaded: Loaded, best: TopPatches, field: Any, channel: int, rank: int
) -> tuple[render.Tile, dict[str, Any]]:
    index, value = int(best.images[channel, rank]), float(best.values[channel, rank])
    row, col = int(best.rows[channel, rank]), int(best.cols[channel, rank])
    box = field.box(row, col)
    patch = crop(loaded.pixels[index], box)
    path, placement = loaded.paths[index], loaded.placements[index]
    record = {
        "image": str(path), "value": value, "row": row, "col": col,
        "input_box": box, "picture_box": [round(edge, 2) for edge in placement.box(box)],
    }  # fmt: skip
    return render.Tile(patch, f"{path.stem[:14]}\n{number(value)} at {row},{col}"), record


def one_channel(
    network: Network, loaded: Loaded, layer: str, channel: int, *, top: int = 9, batch_size: int
) -> Exhibit:
    """One channel on the pictures that excite it most: what do the places have in common?"""
    flat = picture_features(network, loaded.pixels, layer, batch_size=batch_size)
    maps = flat.reshape(len(flat), *network.layers()[layer])[..., channel]
    peaks = maps.max(axis=(1, 2))
    order = np.argsort(-peaks, kind="stable")[:top].tolist()
    shape = network.spec.preprocessing.input_shape
    field = receptive_field(network.apply, network.params, shape, layer=layer)
    figure = render.overlays(
        [loaded.pixels[i] for i in order],
        [maps[i] for i in order],
        [f"{loaded.paths[i].stem[:18]}, up to {number(peaks[i])}" for i in order],
        [render.map_extent(field, maps.shape[1:])] * len(order),
        columns=5,
        title=f"{network.spec.title} {layer}, channel {channel}: the pictures that excite it most",
    )
    ranked = [(loaded.paths[i].stem, number(peaks[i])) for i in order[:3]]
    rest = [("the median picture", number(np.median(peaks)))]
    alt = f"{len(order)} pictures in gray, with orange where channel {channel} fires."
    return Exhibit(figure, {f"{layer}.{channel}.maps": maps}, ranked + rest, alt)
