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
# # 5. Maximally activating patches
#
# **The idea.** Run many images through the network and keep, for each channel, the places where it
# fired most. Cut out what the unit saw there. What all these patches share is what the channel
# looks for.

# %%
import numpy as np

import jaxviz
from jaxviz import analyses, sweep

network = jaxviz.load("alexnet")
prepare = network.spec.preprocessing
pictures = sweep.folder_pictures(jaxviz.example_folder(), prepare)

# %% [markdown]
# **The function.** `sweep.top_patches` goes through a folder of any size in memory that does not
# grow, and keeps the `k` best places for every channel of the layers that you name.

# %%
swept = sweep.top_patches(
    network.apply,
    network.params,
    pictures,
    prepare=prepare.normalize,
    layers=("conv2", "conv5"),
    k=7,
)
values = swept.found["conv2"].values
print(values.shape)  # channels, patches

# %%
steady = np.argsort(-values[:, -1])[:5].tolist()  # channels that all seven patches excite
(page,) = analyses.patch_pages(network, swept, pictures, layer="conv2", channels=steady)
page

# %% [markdown]
# **What you see.** Each row is a channel, each tile what its unit saw, with the activation above.
# In conv2 the tiles of a row share a slant, a curve or a pair of colors.
#
# **One experiment.** Is channel 124 of conv5 a detector of faces? Its patches come from the
# photographs that excite it most. With only a few people among the photographs, the row must
# change at some place: which is the first tile that is no face, and by how much weaker is it?

# %%
(page,) = analyses.patch_pages(network, swept, pictures, layer="conv5", channels=[124])
page

# %% [markdown]
# **Be careful.**
#
# - The best patches show the extreme. A channel may do its work at half that strength, on other
#   things. `jaxviz explore` and `jaxviz atlas` show the tenths of its range.
# - With forty photographs a row grows less pure to the right. Papers use the 50,000 images of
#   ImageNet's validation set. `jaxviz patches FOLDER` takes a million.
# - One patch is kept for each photograph, so that a row does not show one thing many times.
#   `unique_images=False` keeps all places.
#
# **Literature.** Girshick, Donahue, Darrell & Malik 2014 (R-CNN), section 3.1 and figure 3. Zeiler
# & Fergus 2014, figure 2. Borowski et al. 2021, *Exemplary natural images explain CNN activations
# better than state-of-the-art feature visualization*.
