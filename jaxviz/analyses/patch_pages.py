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
    patch at most. `channels` are those drawn, and `titles` stand beside their rows. `has_places` is
    False for a layer without space. `page` counts from 1, or is 0 if it is the only one; it holds
    more than `rows_a_page` channels if several pages came at once. `imagined` are the images that
    were made for the channels drawn, if they were, and `imagined_peaks` the channels' largest
    activations on them.
    """

    network: str
    layer: str
    largest: bool
    one_each: bool
    values: Float[np.ndarray, "channels k"]
    images: Int[np.ndarray, "channels k"]
    rows: Int[np.ndarray, "channels k"]
    cols: Int[np.ndarray, "channels k"]
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
        most = self.values[self.channels].max()
        return [
            ("layer", self.layer),
            ("pictures", str(self.num_read)),
            ("patch", f"{self.size} pixels{each}"),
            ("shown", f"activations up to {number(most)}"),
        ]

    @property
    def alt(self) -> str:
        """What the figure shows."""
        return f"{len(self.channels)} rows of patches, one row for each channel of {self.layer}."

    @property
    def pages(self) -> "Iterator[PatchPage]":
        """The pages that came at once."""
        for page, first, last in numbered_pages(len(self.channels), self.rows_a_page):
            kept = slice(first, last)
            images, peaks = self.imagined, self.imagined_peaks
            yield self._replace(
                channels=self.channels[kept],
                titles=self.titles[kept],
                page=page,
                imagined=None if images is None else images[kept],
                imagined_peaks=None if peaks is None else peaks[kept],
            )

    def patches(self, channel: int) -> list[Patch]:
        """The patches of one channel, strongest first."""
        ranks = np.flatnonzero(self.images[channel] >= 0)
        fields = (self.images, self.values, self.rows, self.cols)
        columns = [ranks, *(values[channel, ranks] for values in fields)]
        return [Patch(*values) for values in zip(*(c.tolist() for c in columns), strict=True)]

    def pixels(self, patch: Patch) -> np.ndarray:
        """The pixels of a patch; what lies outside its picture is black."""
        return crop(self.shown.pixels_of(patch.picture), self.field.box(patch.row, patch.col))

    @property
    def records(self) -> list[dict[str, Any]]:
        """Where each patch that is drawn comes from, as the manifest lists them."""
        found = []
        for channel in self.channels.tolist():
            for patch in self.patches(channel):
                box = self.field.box(patch.row, patch.col)
                edges = self.shown.placement_of(patch.picture).box(box)
                found.append(
                    {
                        "layer": self.layer, "channel": channel, "rank": patch.rank,
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
    context: bool = False,
    at_once: bool = False,
) -> Iterator[PatchPage]:
    """Yield a layer's patches, page by page, so that only one page's pictures are in memory.

    `swept` is what `jaxviz.sweep.top_patches` found in `pictures`, with `largest` and `one_each`
    (there `unique_images`) as it was told. Shown are the `channels` asked for, or every one, or the
    `rows` most extreme; a page has `rows` of them, or all if they shall come `at_once`. `context`
    draws the whole pictures too, dark outside the patch.

    Raises `InputError` if a channel is not one of the layer's, or a picture cannot be read again.

    >>> import jaxviz
    >>> network, noise = jaxviz.load("alexnet"), np.random.default_rng(0)
    >>> pixels = noise.integers(0, 255, (3, 224, 224, 3), np.uint8)
    >>> pictures, prepare = jaxviz.sweep.ArrayPictures(pixels), network.preprocessing.normalize
    >>> swept = jaxviz.sweep.top_patches(
    ...     network.apply, network.params, pictures, prepare=prepare, layers="conv1", k=2
    ... )
    >>> (page,) = patch_pages(network, swept, pictures, layer="conv1", channels=[7, 9])
    >>> page.titles, [len(page.patches(channel)) for channel in page.channels.tolist()]
    (('channel 7', 'channel 9'), [2, 2])
    """
    best = TopPatches(*map(np.asarray, swept.found[choice(layer, "layer", swept.found)]))
    chosen = _chosen(best.values, channels, count(rows, "rows"), every_channel, largest)
    names = names_of(pictures.paths)
    field = receptive_field(
        network.apply, network.params, network.preprocessing.input_shape, layer=layer
    )
    for page, first, last in numbered_pages(len(chosen), len(chosen) if at_once else rows):
        on_page = np.array(chosen[first:last])
        numbers = best.images[on_page]
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
            titles=channel_titles(network, layer, on_page.tolist()),
            shown=read_shown(network, pictures, numbers[numbers >= 0].tolist(), required=True),
            rows_a_page=rows,
            page=page,
            context=context,
        )


def numbered_pages(number: int, rows: int) -> Iterator[tuple[int, int, int]]:
    """The number of each page, 0 if it is the only one, and its first and last row, half-open.

    >>> list(numbered_pages(5, 3)), list(numbered_pages(2, 3))
    ([(1, 0, 3), (2, 3, 5)], [(0, 0, 2)])
    """
    for page, first in enumerate(range(0, number, rows), start=1):
        yield page if number > rows else 0, first, min(first + rows, number)


def _chosen(
    values: np.ndarray, asked: Sequence[int], rows: int, every_channel: bool, largest: bool
) -> list[int]:
    """The channels to show: those asked for, all in order, or the most extreme."""
    if asked or every_channel:
        return checked_channels(asked, len(values)) or list(range(len(values)))
    order = np.argsort(-values[:, 0] if largest else values[:, 0], kind="stable")
    return [int(channel) for channel in order[:rows]]
