"""Arrays to pictures: grids, overlays, montages. The only room that knows matplotlib.

Figures are built without pyplot, so nothing global changes and any thread may draw. Orange is
what is strong or hurts, purple its opposite (`PuOr`), which color-blind readers tell apart. Signed
scales are symmetric about zero.
"""

from .dispatch import figure_of as figure_of
from .figure import png as png
from .figure import save_figure as save_figure
from .figure import stacked_png as stacked_png
from .grids import Row as Row
from .grids import Tile as Tile
from .grids import montage as montage
from .grids import slice_grid as slice_grid
from .grids import tile_grid as tile_grid
from .maps import Heatmap as Heatmap
from .maps import heatmap_rows as heatmap_rows
from .maps import map_extent as map_extent
from .maps import overlays as overlays
from .style import Style as Style
