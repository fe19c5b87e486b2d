# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. First-layer filters
#
# **The idea.** The first convolution of a network multiplies small pieces of the image with its
# filters and adds up. A filter has as many channels as the image, three, so it is a small color
# picture itself. The sum is largest for a piece of image that looks like the filter: the picture
# of a filter *is* a picture of what it looks for.

# %%
import jaxviz
from jaxviz import draw

network = jaxviz.load("alexnet")
kernel = network.kernel("conv1")
print(kernel.shape)  # rows, columns, colors, filters

# %% [markdown]
# **The function.** `filter_tiles` turns weights into pictures. A weight of zero becomes middle
# gray, and the largest weight of each filter becomes black or full color, so that color and sign
# can be read off.

# %%
tiles = jaxviz.filter_tiles(kernel)
pictures = [draw.Tile(tile, str(number)) for number, tile in enumerate(tiles)]
draw.tile_grid(pictures, columns=16)

# %% [markdown]
# **What you see.** Most filters are gray and striped: they find edges and gratings, each of one
# direction and one width. Others are soft blobs of color. Hardly any is both. Nobody designed
# them. Networks with other architectures and other training pictures learn similar ones, which
# is one reason why a first layer can be taken over for a new task (transfer learning).
#
# The gray filters can be told from the colorful ones by a number: how much a filter's three
# channels differ from their mean.

# %%
import numpy as np

weights = np.asarray(kernel)
gray = weights.mean(axis=2, keepdims=True)
color = np.square(weights - gray).sum(axis=(0, 1, 2)) / np.square(weights).sum(axis=(0, 1, 2))
print(f"{(color < 0.1).sum()} of {len(color)} filters are gray, {(color > 0.5).sum()} are color")

# %% [markdown]
# **One experiment.** Does a filter fire where the image looks like it? Take filter 3 and see.
# Then change `NUMBER` and look for filters that answer to the edges of the other direction.

# %%
NUMBER = 3

photo = jaxviz.example_folder() / "building" / "brandenburg_gate.jpg"
images = network.preprocess([photo])
maps = jaxviz.activation_maps(network.apply, network.params, images, layers="conv1")["conv1"]
field = jaxviz.receptive_field(network.apply, network.params, images.shape[1:], layer="conv1")
draw.overlays(
    network.spec.preprocessing.denormalize(images),
    maps[..., NUMBER],
    [f"filter {NUMBER}"],
    [draw.map_extent(field, maps.shape[1:3])],
    columns=1,
)

# %% [markdown]
# **Be careful.**
#
# - The filters are drawn on separate scales by default. A filter that the network hardly uses
#   looks as strong as any other. `scaling="shared"` draws all on one scale. Try it.
# - The gray of a tile depends on the scaling. With `scaling="range"` each tile is stretched from
#   its smallest weight to its largest, and gray no longer means zero.
# - A noisy tile can come from too little training, too little regularization, or a filter that is
#   never used ("dead").
#
# **Literature.** Krizhevsky, Sutskever & Hinton 2012, *ImageNet classification with deep
# convolutional neural networks*, figure 3 (96 filters; the network here, torchvision's, has 64).
# Yosinski, Clune, Bengio & Lipson 2014, *How transferable are features in deep neural networks?*
