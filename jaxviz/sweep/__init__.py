"""Sweeps: a network run once over a picture set of any size, on all devices, never lost half-way.

`top_patches` keeps the strongest activations of every channel, `survey` also how strongly each
answers to the pictures of a label, `features` writes one vector a picture.
Their pictures come from a folder, an array, or a folder that `pack` has decoded.
`feature_images` needs none: it makes an image for every channel.
"""

from ..pictures.packed import PackedPictures as PackedPictures
from ..pictures.packed import is_packed as is_packed
from ..pictures.packed import open_packed as open_packed
from ..pictures.packed import open_pictures as open_pictures
from ..pictures.packing import pack as pack
from ..pictures.sets import ArrayPictures as ArrayPictures
from ..pictures.sets import FolderPictures as FolderPictures
from ..pictures.sets import PictureSet as PictureSet
from ..pictures.sets import folder_pictures as folder_pictures
from ..pictures.sets import load_pictures as load_pictures
from .checkpoint import restart as restart
from .features import Features as Features
from .features import features as features
from .features import is_features as is_features
from .features import load_features as load_features
from .images import ChannelImages as ChannelImages
from .images import feature_images as feature_images
from .images import load_feature_images as load_feature_images
from .patches import Swept as Swept
from .patches import top_patches as top_patches
from .processes import ALONE as ALONE
from .processes import Part as Part
from .processes import join as join
from .survey import LabelMeans as LabelMeans
from .survey import Surveyed as Surveyed
from .survey import survey as survey
