"""The atlas: what excites every channel of a network, as a folder of files for a browser.

`site` writes the folder, `layers` the files of a layer, `sheets` the pictures, of which many share
a file; `static` is the page.
"""

from .site import AtlasNetwork as AtlasNetwork
from .site import write_atlas as write_atlas
