"""Sweeps: a network run once over a picture set of any size, on all devices, never lost half-way.

`top_patches` keeps the strongest activations of every channel. Pictures come from a folder
(`folder_pictures`) or an array (`ArrayPictures`).
"""

from .patches import Swept as Swept
from .patches import top_patches as top_patches
from .pictures import ArrayPictures as ArrayPictures
from .pictures import FolderPictures as FolderPictures
from .pictures import PictureSet as PictureSet
from .pictures import folder_pictures as folder_pictures
from .processes import Part as Part
from .processes import join as join
