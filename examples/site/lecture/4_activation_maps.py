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
# # 4. Activation maps
#
# **The idea.** Filters of the middle layers say little. What they *do* to an image says more. Each
# channel of a layer is a map: where in this image did the channel fire?

# %%
import jaxviz
from jaxviz import analyses, draw

network = jaxviz.load("alexnet")
folder = jaxviz.example_folder()
photos = ["person/astronaut.png", "person/grace_hopper.jpg", "food/coffee.png", "farm/cow.jpg"]
images = network.preprocess([folder / photo for photo in photos])
maps = jaxviz.activation_maps(network.apply, network.params, images, layers="conv5")["conv5"]
print(maps.shape)  # images, rows, columns, channels

# %% [markdown]
# **The function.** `activation_maps` gives the maps of the layers that you name. A unit of conv5
# sees a large piece of the image; `receptive_field` says which, so that the map can be laid over
# the photograph where it belongs. Channel 124 is worth a look:

# %%
CHANNEL = 124

field = jaxviz.receptive_field(network.apply, network.params, images.shape[1:], layer="conv5")
peaks = maps[..., CHANNEL].max(axis=(1, 2))
draw.overlays(
    network.spec.preprocessing.denormalize(images),
    maps[..., CHANNEL],
    [f"{photo.split('/')[1]}, up to {peak:.1f}" for photo, peak in zip(photos, peaks)],
    [draw.map_extent(field, maps.shape[1:3])] * len(photos),
    columns=4,
    title=f"AlexNet conv5, channel {CHANNEL}",
)

# %% [markdown]
# **What you see.** The channel fires on faces and hardly elsewhere. No class of ImageNet is called
# "face": the network made a detector of faces because faces help to name other things.
#
# **One experiment.** `strongest_channels` says which channels an image excites most. Which are
# they for the coffee cup? Change the photograph, and look for a channel whose name you can guess.

# %%
analyses.activations(network, folder / "food/coffee.png", layer="conv5", top=8)

# %% [markdown]
# **Be careful.**
#
# - A channel that fires on three faces may fire on other things as well. Look for what excites it
#   in *many* images before you name it (notebook 5), also at what excites it a little.
# - All photographs above share one scale. On scales of their own, the faint maps of the coffee cup
#   would look as strong as the faces.
# - A unit of conv5 sees 163 x 163 pixels of 224 x 224. The orange spot marks the middle of what
#   it saw, not its border.
#
# **Literature.** Yosinski, Clune, Nguyen, Fuchs & Lipson 2015, *Understanding neural networks
# through deep visualization*, section 2 and figure 2, where such a face channel was described.
