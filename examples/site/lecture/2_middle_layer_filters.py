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
# # 2. Middle-layer filters
#
# **The idea.** The second convolution does not read colors. It reads the 64 channels that the
# first one makes. A filter of it has 64 channels, and no screen shows 64 colors. What can be
# drawn is each channel by itself, in gray.

# %%
import numpy as np

import jaxviz
from jaxviz import draw

network = jaxviz.load("alexnet")
kernel = network.kernel("conv2")
print(kernel.shape)  # rows, columns, input channels, filters

# %% [markdown]
# **The function.** `filter_slices` gives a gray picture for each filter and each input channel.
# White adds to the filter's answer, black subtracts, and middle gray does nothing.

# %%
slices = np.asarray(jaxviz.filter_slices(kernel))
draw.slice_grid(slices, filters=range(6), channels=20)

# %% [markdown]
# **What you see.** Not much, and that is the lesson. A few tiles stand out of each row: the filter
# draws on few of its input channels. But what a tile *means* cannot be seen, because its weights
# multiply activations of a channel, and the tile does not show what that channel stands for.
#
# How few? Sort a filter's input channels by the sum of their squared weights, and count how many
# hold half of it all.

# %%
energy = np.square(np.asarray(kernel)).sum(axis=(0, 1))  # input channels, filters
share = np.sort(energy, axis=0)[::-1].cumsum(axis=0) / energy.sum(axis=0)
half = (share < 0.5).sum(axis=0) + 1
print(f"half of a filter's weight lies in {np.median(half):.0f} of 64 channels (median)")

# %% [markdown]
# **One experiment.** The strongest input channels of a filter have pictures: the filters of the
# first layer. Draw them beside each other. Do they share a direction or a color? Change `NUMBER`.

# %%
NUMBER = 3

strongest = np.argsort(-energy[:, NUMBER])[:8]
first = np.asarray(jaxviz.filter_tiles(network.kernel("conv1")))
draw.montage(
    [
        draw.Row("first-layer filter", [draw.Tile(first[i], str(i)) for i in strongest]),
        draw.Row(f"weights of filter {NUMBER}", [draw.Tile(slices[NUMBER, i]) for i in strongest]),
    ]
)

# %% [markdown]
# **Be careful.**
#
# - It is tempting to read stripes in a tile as "finds stripes". They are stripes of one input
#   channel's activation, not of the image.
# - One layer further even this trick fails: the inputs of conv3 are channels of conv2, which have
#   no picture. Activation maps (notebook 4), patches (5) and made images do better.
# - All channels of a filter are drawn on one scale. The filters are not: compare tiles in a row,
#   not between rows.
#
# **Literature.** Zeiler & Fergus 2014, *Visualizing and understanding convolutional networks*.
# Stanford's course CS231n, *Visualizing what ConvNets learn*.
