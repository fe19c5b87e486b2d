# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Gallery
#
# One picture for each thing that jaxviz can do, and the lines that made it. All pictures on this
# page are made by these lines when the site is built.

# %%
import numpy as np

import jaxviz
from jaxviz import analyses, draw, sweep

alexnet = jaxviz.load("alexnet")
squeezenet = jaxviz.load("squeezenet")
photos = jaxviz.example_folder()
coffee, macaw = photos / "food" / "coffee.png", photos / "bird" / "macaw.jpg"

# %% [markdown]
# ## First-layer filters

# %%
analyses.filters(alexnet, "conv1", top=64)

# %% [markdown]
# ## Middle-layer filters

# %%
analyses.filters(alexnet, "conv2", top=5)

# %% [markdown]
# ## Activation maps
#
# The photograph in gray, with orange where a channel fires; the strongest channels first.

# %%
analyses.activations(alexnet, photos / "person" / "astronaut.png", layer="conv5", top=8)

# %% [markdown]
# ## Maximally activating patches

# %%
prepare = alexnet.spec.preprocessing
pictures = sweep.folder_pictures(photos, prepare)
swept = sweep.top_patches(
    alexnet.apply, alexnet.params, pictures, prepare=prepare.normalize, layers="conv3", k=7
)
strong = np.argsort(-swept.found["conv3"].values[:, -1])[:4].tolist()
(page,) = analyses.patch_pages(alexnet, swept, pictures, layer="conv3", channels=strong)
page

# %% [markdown]
# ## Nearest neighbors, by features and by raw pixels

# %%
loaded = sweep.load_pictures(pictures.paths, prepare)
vectors = sweep.features(
    alexnet.apply, alexnet.params, loaded, prepare=prepare.normalize, layer="pool5"
)
analyses.nearest_pictures(alexnet, vectors, loaded, queries=[0, 12, 30], top=5)

# %% [markdown]
# ## A map of pictures
#
# Pictures that are alike for the network lie close together (principal components; t-SNE with
# `method="tsne"`).

# %%
analyses.picture_map(alexnet, vectors, loaded)

# %% [markdown]
# ## Occlusion

# %%
analyses.occlusion(squeezenet, [macaw], window=48, stride=16)

# %% [markdown]
# ## Occlusion with many fills
#
# Hatched places cannot be told from zero.

# %%
analyses.occlusion(squeezenet, [macaw], window=48, stride=24, repeats=8)

# %% [markdown]
# ## Methods by gradient beside occlusion

# %%
analyses.attribution(squeezenet, [macaw])

# %% [markdown]
# ## Made images
#
# What excites a channel most, found by gradient ascent from noise.

# %%
analyses.feature_images(alexnet, layer="conv5", channels=[124, 72, 5], steps=64)

# %% [markdown]
# ## A channel beside its patches

# %%
channel = [strong[0]]
made = [analyses.feature_images(alexnet, layer="conv3", channels=channel, steps=64)]
(page,) = analyses.patch_pages(alexnet, swept, pictures, layer="conv3", channels=channel)
analyses.beside_patches(page, made)

# %% [markdown]
# ## A probe: which layer tells kinds apart?

# %%
kinds = sweep.folder_pictures(photos, squeezenet.spec.preprocessing)
analyses.probe(
    squeezenet, kinds, layers=["pool1", "fire4/concat", "fire6/concat", "fire9/concat"]
).analysis

# %% [markdown]
# ## From coarse to fine
#
# `progressive_occlusion` yields maps as they become finer, so that a page can show the first at
# once.

# %%
images = squeezenet.preprocess([macaw])
best = int(jaxviz.features(squeezenet.apply, squeezenet.params, images, layer="pool10")[0].argmax())
pixels = squeezenet.spec.preprocessing.denormalize(images[0])
rows = [
    draw.Heatmap(pixels, found.heatmap[0], f"{found.scores[0].size} places", (48, 48))
    for _, found in jaxviz.progressive_occlusion(
        squeezenet.apply,
        squeezenet.params,
        images,
        score=jaxviz.log_probability(best),
        window=48,
        stride=16,
        fill=squeezenet.spec.mean_fill,
    )
]
draw.heatmap_rows(rows, unit="drop of log probability (nats)")
