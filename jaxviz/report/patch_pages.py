"""Pages of maximally activating patches: only the pictures of one page are held at a time."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from .. import draw
from .._checks import channels
from .._prefetch import prefetch
from ..incremental import receptive_field
from ..networks.network import Network
from ..pictures.folders import FittedPicture
from ..techniques.patches import TopPatches, crop
from .exhibit import Exhibit, number, short

_DIMMED = 0.3


class Seen(NamedTuple):
    """A picture that patches are cut from, and its path."""

    picture: FittedPicture
    path: Path


class Page(NamedTuple):
    """Rows of patches, the same in their pictures if asked for, and a record of each patch."""

    exhibit: Exhibit
    context: Figure | None
    records: list[dict[str, Any]]


def patch_pages(
    network: Network,
    layer: str,
    best: TopPatches,
    look: Callable[[int], Seen],
    *,
    numbers: Sequence[int],
    rows: int,
    context: bool = False,
    largest: bool = True,
) -> Iterator[Page]:
    """Yield pages of `rows` channels each; `look` finds a picture, `numbers` are the channels."""
    shape = network.preprocessing.input_shape
    field = receptive_field(network.apply, network.params, shape, layer=layer)
    size = f"{field.size[0]} x {field.size[1]}"
    has_places = len(network.layers()[layer]) == 3
    what = "excite it most" if largest else "excite it least"
    title = f"{network.spec.title} {layer}: the patches ({size} pixels) that {what}"
    for start in range(0, len(numbers), rows):
        chosen = numbers[start : start + rows]
        indices = np.unique(best.images[chosen])
        wanted = [int(index) for index in indices if index >= 0]
        seen = dict(zip(wanted, prefetch(look, wanted), strict=True))
        lines, wholes, records = [], [], []
        for channel in chosen:
            patches, pictures = [], []
            for rank in np.flatnonzero(best.images[channel] >= 0):
                index, row, col = (int(values[channel, rank]) for values in best[1:])
                value = float(best.values[channel, rank])
                (pixels, placement), path = seen[index]
                box = field.box(row, col)
                place = f" at {row},{col}" if has_places else ""
                caption = f"{short(path.stem)}\n{number(value)}{place}"
                patches.append(draw.Tile(crop(pixels, box), caption))
                pictures.append(
                    draw.Tile(_dimmed(pixels, field.box(row, col, clipped=True)), caption)
                )
                records.append(
                    {
                        "layer": layer, "channel": channel, "rank": int(rank), "image": str(path),
                        "value": value, "row": row, "col": col, "input_box": box,
                        "picture_box": [round(edge, 2) for edge in placement.box(box)],
                    }
                )  # fmt: skip
            is_class = layer == network.spec.logits
            name = network.label(channel) if is_class else f"channel {channel}"
            lines.append(draw.Row(name, patches))
            wholes.append(draw.Row(name, pictures))
        facts = [
            ("layer", layer),
            ("patch", f"{size} pixels"),
            ("shown", f"activations up to {number(best.values[chosen].max())}"),
        ]
        alt = f"{len(chosen)} rows of patches, one row for each channel of {layer}."
        exhibit = Exhibit(draw.montage(lines, title=title), {}, facts, alt)
        whole = draw.montage(wholes, title=f"{title}, in their pictures") if context else None
        yield Page(exhibit, whole, records)


def _dimmed(pixels: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The whole picture, dark outside a (top, left, bottom, right) box inside it."""
    top, left, bottom, right = box
    dark = (pixels * _DIMMED).astype(np.uint8)
    dark[top:bottom, left:right] = pixels[top:bottom, left:right]
    return dark


def chosen_channels(
    best: TopPatches,
    asked: Sequence[int],
    rows: int,
    *,
    everything: bool = False,
    largest: bool = True,
) -> list[int]:
    """The channels to show: those asked for, all in order, or the `rows` most extreme."""
    most = len(best.values)
    if asked or everything:
        return channels(asked, most) or list(range(most))
    order = np.argsort(-best.values[:, 0] if largest else best.values[:, 0], kind="stable")
    return [int(channel) for channel in order[: min(rows, most)]]
