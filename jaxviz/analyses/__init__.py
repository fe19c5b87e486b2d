"""Analyses: what a technique finds in one network and its pictures, ready to be drawn and kept.

`jaxviz.draw.figure_of` draws each of them, and a notebook shows each by itself.
"""

from .activations import ActivationAnalysis as ActivationAnalysis
from .activations import activations as activations
from .attribution import METHODS as METHODS
from .attribution import AttributionAnalysis as AttributionAnalysis
from .attribution import attribution as attribution
from .base import Analysis as Analysis
from .base import Picture as Picture
from .base import provenance as provenance
from .base import read_pictures as read_pictures
from .base import shown as shown
from .channel_pictures import ChannelPictures as ChannelPictures
from .channel_pictures import channel_pictures as channel_pictures
from .channels import ChannelMaxima as ChannelMaxima
from .channels import ColorResponse as ColorResponse
from .channels import Tenths as Tenths
from .channels import channel_maxima as channel_maxima
from .channels import color_response as color_response
from .channels import in_gray as in_gray
from .channels import tenths as tenths
from .feature_images import FeatureImageAnalysis as FeatureImageAnalysis
from .feature_images import beside_patches as beside_patches
from .feature_images import feature_images as feature_images
from .filters import FilterAnalysis as FilterAnalysis
from .filters import filters as filters
from .nearest_pictures import NearestPictures as NearestPictures
from .nearest_pictures import nearest_pictures as nearest_pictures
from .occlusion import OcclusionAnalysis as OcclusionAnalysis
from .occlusion import occlusion as occlusion
from .occlusion import usual_fill as usual_fill
from .patch_pages import PatchPage as PatchPage
from .patch_pages import patch_pages as patch_pages
from .picture_map import PictureMap as PictureMap
from .picture_map import picture_map as picture_map
from .probing import ProbeAnalysis as ProbeAnalysis
from .probing import Probed as Probed
from .probing import probe as probe
from .stored import load_analyses as load_analyses
from .stored import save_analyses as save_analyses
from .targets import top_classes as top_classes
