"""Pages of patches: for each channel of a layer, the places that excite it most in a collection."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from .._checks import channels as checked_channels
from .._checks import choice, count
from ..incremental import ReceptiveField, receptive_field
from ..pictures.sets import PictureSet
from ..sweep import Swept
from ..techniques.patches import TopPatches, crop
from .base import channel_titles, kind, number
from .collection import ShownPictures, names_of, read_shown

if TYPE_CHECKING:
    from ..networks.network import Network


class Patch(NamedTuple):
    """One patch of a channel: its rank, its picture's number, and the unit with its activation."""

    rank: int
    picture: int
    value: float
    row: int
    col: int


@kind(
    "patch page",
    values="{layer}.values", images="{layer}.images", rows="{layer}.rows", cols="{layer}.cols",
)  # fmt: skip
class PatchPage(NamedTuple):
    """The strongest patches of a layer's channels, and the pictures that some of them are cut from.

    `values`, `images`, `rows` and `cols` are the layer's `TopPatches`; `images` are places in
    `paths`, of which `num_read` could be read. `one_each` says that a picture gave a channel one
    patch at most, `rank_by` whether a picture is ranked by its "maximum" or "mean". Of each row
    drawn, `channels` has the channel and `titles` what stands beside it; where the pictures'
    `labels` are kept apart, `label_numbers` has the label. `has_places` is
    False for a layer without space. `page` counts from 1, or is 0 if it is the only one; it holds
    more than `rows_a_page` channels if several pages came at once. `imagined` are the images that
    were made for the channels drawn, if they were, and `imagined_peaks` the channels' largest
    activations on them.
    """

    network: str
    layer: str
    largest: bool
    one_each: bool
    values: Float[np.ndarray, "*labels channels k"]
    images: Int[np.ndarray, "*labels channels k"]
    rows: Int[np.ndarray, "*labels channels k"]
    cols: Int[np.ndarray, "*labels channels k"]
    has_places: bool
    field: ReceptiveField
    folder: str
    paths: Shaped[np.ndarray, "pictures"]
    num_read: int
    channels: Int[np.ndarray, "chosen"]
    titles: tuple[str, ...]
    shown: ShownPictures
    rows_a_page: int
    page: int
    context: bool
    rank_by: str = "maximum"
    labels: tuple[str, ...] = ()
    label_numbers: Int[np.ndarray, "chosen"] | None = None
    imagined: UInt8[np.ndarray, "chosen height width 3"] | None = None
    imagined_peaks: Float[np.ndarray, "chosen"] | None = None

    @property
    def size(self) -> str:
        """A patch's size."""
        return f"{self.field.size[0]} x {self.field.size[1]}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The layer, how many pictures there are, and the size of a patch."""
        each = ", one an image and channel" if self.one_each else ""
        what, how = ("patch", f"{self.size} pixels{each}"), "activations"
        if self.rank_by == "mean":
            what, how = ("ranked by", "the mean of a channel's map"), "means"
        most = max(values[0] for values, *_ in map(self._fields_of, range(len(self.channels))))
        return [
            ("layer", self.layer),
            ("pictures", str(self.num_read)),
            what,
            ("shown", f"{how} up to {number(most)}"),
        ]

    @property
    def alt(self) -> str:
        """What the figure shows."""
        each = "channel and label" if self.labels else "channel"
        return f"{len(self.channels)} rows of patches, one row for each {each} of {self.layer}."

    @property
    def pages(self) -> "Iterator[PatchPage]":
        """The pages that came at once."""
        for page, first, last in numbered_pages(len(self.channels), self.rows_a_page):
            kept = slice(first, last)
            of_rows = ("channels", "titles", "label_numbers", "imagined", "imagined_peaks")
            values = {name: getattr(self, name) for name in of_rows}
            own: dict[str, Any] = {
                name: value if value is None else value[kept] for name, value in values.items()
            }
            yield self._replace(**own, page=page)

    def _fields_of(self, row: int) -> list[np.ndarray]:
        """Values, images, rows and columns of the patches in a row that is drawn."""
        place: tuple[int, ...] = (int(self.channels[row]),)
        if self.label_numbers is not None:
            place = (int(self.label_numbers[row]), *place)
        fields = [field[place] for field in (self.values, self.images, self.rows, self.cols)]
        return [field[fields[1] >= 0] for field in fields]

    def patches(self, row: int) -> list[Patch]:
        """The patches in one of the rows drawn, counted from 0, strongest first."""
        values, images, rows, cols = (field.tolist() for field in self._fields_of(row))
        ranks = range(len(values))
        return [Patch(*one) for one in zip(ranks, images, values, rows, cols, strict=True)]

    def pixels(self, patch: Patch) -> np.ndarray:
        """The pixels of a patch; what lies outside its picture is black."""
        return crop(self.shown.pixels_of(patch.picture), self.field.box(patch.row, patch.col))

    @property
    def records(self) -> list[dict[str, Any]]:
        """Where each patch that is drawn comes from, as the manifest lists them."""
        found = []
        for row, channel in enumerate(self.channels.tolist()):
            label = {}
            if self.label_numbers is not None:
                label = {"label": self.labels[self.label_numbers[row]]}
            for patch in self.patches(row):
                box = self.field.box(patch.row, patch.col)
                edges = self.shown.placement_of(patch.picture).box(box)
                found.append(
                    {
                        "layer": self.layer, "channel": channel, **label, "rank": patch.rank,
                        "image": str(Path(self.folder) / self.paths[patch.picture]),
                        "value": patch.value, "row": patch.row, "col": patch.col,
                        "input_box": box, "picture_box": [round(edge, 2) for edge in edges],
                    }
                )  # fmt: skip
        return found


def patch_pages(
    network: "Network",
    swept: Swept,
    pictures: PictureSet,
    *,
    layer: str,
    channels: Sequence[int] = (),
    rows: int = 12,
    every_channel: bool = False,
    largest: bool = True,
    one_each: bool = True,
    rank_by: str = "maximum",
    context: bool = False,
    at_once: bool = False,
) -> Iterator[PatchPage]:
    """Yield a layer's patches, page by page, so that only one page's pictures are in memory.

    `swept` is what `jaxviz.sweep.top_patches` found in `pictures`, with `largest`, `one_each`
    (there `unique_images`) and `rank_by` as it was told. Shown are the `channels` asked for, or
    every one, or the most extreme, of which `rows` rows fit on a page; a channel has a row, or one
    for each label. All come on one page if they shall come `at_once`. `context` draws the whole
    pictures too, dark outside the patch.

    Raises `InputError` if a channel is not one of the layer's, or a picture cannot be read again.

    >>> import jaxviz
    >>> network, noise = jaxviz.load("alexnet"), np.random.default_rng(0)
    >>> pixels = noise.integers(0, 255, (3, 224, 224, 3), np.uint8)
    >>> pictures, prepare = jaxviz.sweep.ArrayPictures(pixels), network.preprocessing.normalize
    >>> swept = jaxviz.sweep.top_patches(
    ...     network.apply, network.params, pictures, prepare=prepare, layers="conv1", k=2
    ... )
    >>> (page,) = patch_pages(network, swept, pictures, layer="conv1", channels=[7, 9])
    >>> page.titles, [len(page.patches(row)) for row in range(len(page.channels))]
    (('channel 7', 'channel 9'), [2, 2])
    """
    best = TopPatches(*map(np.asarray, swept.found[choice(layer, "layer", swept.found)]))
    per_channel = len(swept.labels) or 1
    rows = max(count(rows, "rows") // per_channel, 1) * per_channel  # whole channels on a page
    asked = None if every_channel and not channels else rows // per_channel
    chosen = _chosen(best, channels, asked, largest)
    names = names_of(pictures.paths)
    field = receptive_field(
        network.apply, network.params, network.preprocessing.input_shape, layer=layer
    )
    for page, first, last in numbered_pages(len(chosen), len(chosen) if at_once else rows):
        on_page, label_numbers = chosen[first:last].T
        titles = channel_titles(network, layer, on_page.tolist())
        places: tuple[np.ndarray, ...] = (on_page,)
        if swept.labels:
            named = zip(titles, label_numbers, strict=True)
            titles = tuple(f"{title}\n{swept.labels[label]}" for title, label in named)
            places = label_numbers, on_page
        numbers = best.images[places]
        yield PatchPage(
            network=network.spec.title,
            layer=layer,
            largest=largest,
            one_each=one_each,
            values=best.values,
            images=best.images,
            rows=best.rows,
            cols=best.cols,
            has_places=len(network.layers()[layer]) == 3,
            field=field,
            folder=names.folder,
            paths=names.paths,
            num_read=len(pictures.paths) - len(swept.skipped),
            channels=on_page,
            titles=titles,
            shown=read_shown(network, pictures, numbers[numbers >= 0].tolist(), required=True),
            rows_a_page=rows,
            page=page,
            context=context,
            rank_by=rank_by,
            labels=swept.labels,
            label_numbers=label_numbers if swept.labels else None,
        )


def numbered_pages(number: int, rows: int) -> Iterator[tuple[int, int, int]]:
    """The number of each page, 0 if it is the only one, and its first and last row, half-open.

    >>> list(numbered_pages(5, 3)), list(numbered_pages(2, 3))
    ([(1, 0, 3), (2, 3, 5)], [(0, 0, 2)])
    """
    for page, first in enumerate(range(0, number, rows), start=1):
        yield page if number > rows else 0, first, min(first + rows, number)


def _chosen(best: TopPatches, asked: Sequence[int], most: int | None, largest: bool) -> np.ndarray:
    """The rows to show, (rows, 2): channels and their labels, 0 where there are none.

    The channels are those asked for, the `most` extreme, or all in order; of each, the labels come
    in the order of their strongest patch, without those of which no picture could be read.
    """
    extremes = -best.values[..., 0] if largest else best.values[..., 0]
    extremes = extremes.reshape(-1, extremes.shape[-1])  # (labels, channels)
    number = extremes.shape[1]
    chosen = checked_channels(asked, number) or list(range(number))
    if most is not None and not asked:
        chosen = np.argsort(extremes.min(axis=0), kind="stable")[:most].tolist()
    there = (best.images[..., 0] >= 0).reshape(extremes.shape)
    rows = [
        (channel, label)
        for channel in chosen
        for label in np.argsort(extremes[:, channel], kind="stable").tolist()
        if there[label, channel] or len(extremes) == 1
    ]
    return np.array(rows)
