"""jaxviz shows what a convolutional network has learned.

A network is a pure function that names its activations,

    apply(params, images) -> {"conv1": (batch, height, width, channels), ...}

with `images` float32 (batch, height, width, channel), already normalized. Every technique takes
such a function, from Flax, Equinox or plain JAX, and returns arrays or a `NamedTuple` of arrays.
Data come first, options by keyword.
"""

from . import sweep as sweep
from ._checks import InputError as InputError
from ._compilation import COMPILER_OPTIONS as COMPILER_OPTIONS
from .activations import activation_maps as activation_maps
from .activations import features as features
from .activations import strongest_channels as strongest_channels
from .embedding import Projection as Projection
from .embedding import principal_components as principal_components
from .embedding import t_sne as t_sne
from .filters import filter_slices as filter_slices
from .filters import filter_tiles as filter_tiles
from .neighbors import Neighbors as Neighbors
from .neighbors import label_agreement as label_agreement
from .neighbors import nearest_neighbors as nearest_neighbors
from .networks.registry import Network as Network
from .networks.registry import load as load
from .networks.registry import networks as networks
from .networks.specs import NetworkSpec as NetworkSpec
from .occlusion import OcclusionMap as OcclusionMap
from .occlusion import explain_occlusion as explain_occlusion
from .occlusion import occlusion_map as occlusion_map
from .patches import TopPatches as TopPatches
from .patches import top_patches as top_patches
from .scores import feature_map as feature_map
from .scores import log_probability as log_probability
from .scores import logit as logit
from .scores import probability as probability
from .scores import unit as unit
from .tracing import ReceptiveField as ReceptiveField
from .tracing import receptive_field as receptive_field

__version__ = "0.1.0"
