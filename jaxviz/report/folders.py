"""Exhibits of many pictures: nearest neighbors and maximally activating patches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import draw
from .._checks import InputError, count
from .._prefetch import prefetch
from ..incremental import receptive_field
from ..networks.registry import Network
from ..pictures.folders import FittedPicture, Loaded, Skipped, read_picture
from ..pictures.preprocessing import batches
from ..sweep import Features, PictureSet
from ..techniques.activations import features
from ..techniques.neighbors import Neighbors, label_agreement, nearest_neighbors
from ..techniques.patches import TopPatches, top_patches
from .exhibit import Exhibit, number, short, shown
from .patch_pages import Seen, chosen_channels, patch_pages

Track = Callable[[Iterable[Any], int, str], Iterator[Any]]


def untracked(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
    """Show no progress."""
    return iter(items)


def labels_of(loaded: Loaded | Features) -> list[str] | None:
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
    labels: Sequence[str] | None,
    batch_size: int,
    track: Track = untracked,
) -> Exhibit:
    """For each query its nearest pictures by features, and by raw pixels for comparison."""
    if len(loaded.paths) < 2:
        raise InputError("neighbors: expected at least two pictures to compare")
    top = min(count(top, "top"), len(loaded.paths) - 1)
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
        _neighbor_row(loaded.paths, loaded.pixels, labels, query, query, search)
        for query in queries
        for search in (searches[0], searches[2])
    ]
    figure = draw.montage(
        rows, title=f"{network.spec.title}: nearest neighbors by {layer} and by raw pixels",
        separate_first=True,
    )  # fmt: skip
    facts = [("pictures", str(len(loaded.paths)))]
    if len(queries) < len(loaded.paths):
        facts.append(("looked up here", str(len(queries))))
    for name, found in searches if labels else []:
        nearest, among = (label_agreement(found.indices[:, :k], labels, labels) for k in (1, top))
        facts.append(
            (f"same kind by {name}", f"{nearest:.0%} of the nearest, {among:.0%} of {top}")
        )
    arrays: dict[str, Any] = {
        "features": vectors,
        "paths": np.array([str(p) for p in loaded.paths]),
    }
    for name, search in zip(("cosine", "euclidean", "raw_pixels"), searches, strict=True):
        arrays |= {f"{name}.{key}": value for key, value in search.found._asdict().items()}
    alt = f"For {len(queries)} pictures, a row of neighbors by {layer} above one by raw pixels."
    return Exhibit(figure, arrays, facts, alt)


def feature_neighbors(
    network: Network,
    made: Features,
    *,
    top: int,
    queries: Sequence[int],
    metric: str = "cosine",
    pictures: PictureSet | None = None,
) -> Exhibit:
    """For each query its nearest pictures among features on disk; only what is shown is read."""
    total = len(made.paths)
    if total < 2:
        raise InputError("neighbors: expected at least two pictures to compare")
    # One more than asked for, as each query finds itself.
    top = min(count(top, "top"), total - 1)
    rows = np.asarray(queries)
    found = nearest_neighbors(made.vectors[rows], made.vectors, k=top + 1, metric=metric)
    indices, distances = (np.asarray(field) for field in (found.indices, found.distances))
    own = indices == rows[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(rows), top)
    search = Search(
        f"{made.manifest['layer']}, {metric}",
        Neighbors(distances[~own].reshape(shape), indices[~own].reshape(shape)),
    )
    shown_ones = sorted({*rows.tolist(), *search.found.indices.ravel().tolist()})
    tiles = thumbnails(network, [made.paths[index] for index in shown_ones], pictures)
    pixels = dict(zip(shown_ones, tiles, strict=True))
    labels = labels_of(made)
    lines = [
        _neighbor_row(made.paths, pixels, labels, query, place, search)
        for place, query in enumerate(rows.tolist())
    ]
    title = f"{network.spec.title}: nearest neighbors by {search.name} among {total} pictures"
    facts = [("pictures", str(total)), ("queries", str(len(rows)))]
    if labels:
        agreement = label_agreement(search.found.indices, [labels[q] for q in rows], labels)
        facts.append((f"same kind by {search.name}", f"{agreement:.0%} of {top}"))
    arrays = {"queries": rows, **search.found._asdict()}
    alt = f"For {len(rows)} pictures, a row of neighbors by {search.name}."
    figure = draw.montage(lines, title=title, separate_first=True)
    return Exhibit(figure, arrays, facts, alt)


def thumbnails(
    network: Network, paths: Sequence[Path], pictures: PictureSet | None = None
) -> list[np.ndarray]:
    """Pictures as the network gets them, from a set or from files; gray where one is gone."""
    preprocessing = network.spec.preprocessing
    gray = np.full(preprocessing.input_shape, 224, np.uint8)
    numbers = {path: i for i, path in enumerate(pictures.paths)} if pictures else {}

    def look(path: Path) -> np.ndarray:
        if pictures:
            return pictures.picture(numbers[path]).pixels
        one = read_picture(path, preprocessing)
        return gray if isinstance(one, Skipped) else one.pixels

    return list(prefetch(look, paths))


def _neighbor_row(
    paths: Sequence[Path], pixels: Any, labels: Sequence[str] | None, query: int, place: int,
    search: Search,
) -> draw.Row:  # fmt: skip
    tiles = [draw.Tile(pixels[query], short(paths[query].stem))]
    for index, distance in zip(
        search.found.indices[place], search.found.distances[place], strict=True
    ):
        frame = None
        if labels:
            frame = "#e66101" if labels[index] == labels[query] else "#b8b8b8"
        distance = round(float(distance), 6)  # of the same picture it is 0 but for round-off
        caption = f"{short(paths[index].stem)}\n{number(distance)}"
        tiles.append(draw.Tile(pixels[index], caption, frame))
    return draw.Row(search.name.replace(", ", "\n"), tiles)


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
        chosen = chosen_channels(best, channels, rows)
        (page,) = patch_pages(
            network, layer, best, lambda index: _seen(loaded, index),
            numbers=chosen, rows=len(chosen),
        )  # fmt: skip
        facts = [
            ("layer", layer),
            ("pictures", str(len(loaded.paths))),
            ("patch", f"{page.exhibit.facts[1][1]}, one an image and channel"),
            page.exhibit.facts[2],
        ]
        arrays = {f"{layer}.{name}": value for name, value in best._asdict().items()}
        exhibits.append(page.exhibit._replace(facts=facts, arrays=arrays))
        records += page.records
    return exhibits, records


def _seen(loaded: Loaded, index: int) -> Seen:
    return Seen(FittedPicture(loaded.pixels[index], loaded.placements[index]), loaded.paths[index])


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
    figure = draw.overlays(
        [loaded.pixels[i] for i in order],
        [maps[i] for i in order],
        [f"{short(loaded.paths[i].stem)}, up to {number(peaks[i])}" for i in order],
        [draw.map_extent(field, maps.shape[1:])] * len(order),
        columns=5,
        title=f"{network.spec.title} {layer}, channel {channel}: the pictures that excite it most",
    )
    ranked = [(loaded.paths[i].stem, number(peaks[i])) for i in order[:3]]
    rest = [("the median picture", number(np.median(peaks)))]
    alt = f"{len(order)} pictures in gray, with orange where channel {channel} fires."
    return Exhibit(figure, {f"{layer}.{channel}.maps": maps}, ranked + rest, alt)
