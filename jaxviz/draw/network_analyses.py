"""Figures of what one network does: its filters, its activations on a picture, occlusion."""

from matplotlib.figure import Figure

from ..analyses.activations import ActivationAnalysis
from ..analyses.filters import FilterAnalysis
from ..analyses.occlusion import OcclusionAnalysis
from .dispatch import figure_of
from .grids import Tile, slice_grid, tile_grid
from .maps import Heatmap, heatmap_rows, map_extent, overlays
from .style import SCREEN, Style


@figure_of.register(FilterAnalysis)
def filters(analysis: FilterAnalysis, *, style: Style = SCREEN) -> Figure:
    """A grid of a first layer's filters in color, or a row of gray slices for each filter.

    >>> import jaxviz
    >>> analysis = jaxviz.analyses.filters(jaxviz.load("alexnet"), "conv1", top=8)
    >>> len(filters(analysis).axes[0].images)
    8
    """
    number, inputs = analysis.num_filters, analysis.size[2]
    height, width, _ = analysis.size
    title = (
        f"{analysis.network} {analysis.layer}: {number} of {len(analysis.weights)} filters, "
        f"{height} x {width}"
    )
    if analysis.form == "filters":
        tiles = [Tile(tile, str(i)) for i, tile in enumerate(analysis.weights[:number])]
        title += " pixels in gray" if inputs == 1 else " pixels in color"
        return tile_grid(tiles, columns=min(16, number), title=title, style=style)
    channels = analysis.num_channels
    title += f", {channels} of {inputs} input channels each"
    return slice_grid(
        analysis.weights, filters=range(number), channels=channels,
        headings=analysis.channel_names, title=title, style=style,
    )  # fmt: skip


@figure_of.register(ActivationAnalysis)
def activations(analysis: ActivationAnalysis, *, style: Style = SCREEN) -> Figure:
    """The picture, and for each channel the picture in gray with orange where the channel fires.

    >>> import jaxviz, numpy as np
    >>> picture = np.zeros((300, 300, 3), np.uint8)
    >>> analysis = jaxviz.analyses.activations(jaxviz.load("alexnet"), picture, "conv5", top=2)
    >>> len(activations(analysis).axes)  # and the color bar
    4
    """
    number = len(analysis.channels) + 1
    return overlays(
        [analysis.pixels] * number,
        [None, *(analysis.maps[..., channel] for channel in analysis.channels)],
        ["the picture", *analysis.captions],
        [map_extent(analysis.field, analysis.maps.shape[:2])] * number,
        columns=min(5, number),
        title=f"{analysis.network} {analysis.layer} on {analysis.picture}",
        style=style,
    )


@figure_of.register(OcclusionAnalysis)
def occlusion(
    analysis: OcclusionAnalysis, *, one_scale: bool = False, style: Style = SCREEN
) -> Figure:
    """A row for each picture: itself, what hiding did, and what mattered.

    `one_scale` gives all pictures the same scale, by which they can be compared.

    >>> import jaxviz, numpy as np
    >>> network, gray = jaxviz.load("squeezenet"), np.full((300, 300, 3), 128, np.uint8)
    >>> analysis = jaxviz.analyses.occlusion(network, [gray], window=113, stride=113)
    >>> len(occlusion(analysis).axes)  # and the color bar
    5
    """
    captions = zip(analysis.pictures, analysis.answers, strict=True)
    told = [None] * len(analysis.pictures) if analysis.distinct is None else analysis.distinct
    rows = [
        Heatmap(pixels, heatmap, f"{picture}: {answer}", analysis.window, fill, distinct)
        for pixels, heatmap, fill, (picture, answer), distinct in zip(
            analysis.pixels, analysis.heatmap, analysis.fill_pixels, captions, told, strict=True
        )
    ]
    height, width = analysis.window
    down, right = analysis.stride
    step = f"{down}" if down == right else f"{down} x {right}"
    return heatmap_rows(
        rows,
        unit=analysis.unit,
        least_scale=analysis.least_scale,
        one_scale=one_scale,
        title=f"{analysis.network}: window {height} x {width}, stride {step}, "
        + (
            f"fill {analysis.fill}"
            if analysis.repeats == 1
            else f"mean of {analysis.repeats} fills; hatched: not told from zero"
        ),
        style=style,
    )
