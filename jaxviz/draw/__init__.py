"""Draw arrays and analyses as matplotlib Figures, and save them as PNG, PDF or SVG.

`figure_of(analysis)` draws what `jaxviz.analyses` computed; `tile_grid`, `montage`, `overlays` and
`heatmap_rows` draw arrays of your own. Every function takes a `style`, for a column of a paper or a
projector, and returns a Figure that a notebook shows and `save_figure` writes.

Figures are built without pyplot, so nothing global changes and any thread may draw. Orange is
what is strong or hurts, purple its opposite (`PuOr`), which color-blind readers tell apart. Signed
scales are symmetric about zero.
"""

from .attributions import attributions as attributions
from .collections import made_images as made_images
from .collections import pages_of as pages_of
from .dispatch import figure_of as figure_of
from .grids import Row as Row
from .grids import Tile as Tile
from .grids import montage as montage
from .grids import slice_grid as slice_grid
from .grids import tile_grid as tile_grid
from .map_figure import drawn_map as drawn_map
from .maps import Heatmap as Heatmap
from .maps import heatmap_rows as heatmap_rows
from .maps import map_extent as map_extent
from .maps import overlays as overlays
from .network_analyses import activations as activations
from .network_analyses import filters as filters
from .network_analyses import occlusion as occlusion
from .probe_figure import probe_accuracies as probe_accuracies
from .saving import png as png
from .saving import save_figure as save_figure
from .saving import save_figures as save_figures
from .saving import stacked_png as stacked_png
from .saving import svg as svg
from .style import Style as Style
