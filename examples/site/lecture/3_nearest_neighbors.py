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
# # 3. Features of the last layer and nearest neighbors
#
# **The idea.** Take what the last layers make of an image as a vector, and ask which other images
# have vectors close to it. If the network attends to meaning, neighbors should show the same kind
# of thing, even where no pixel agrees. Compare with the neighbors by raw pixels.

# %%
import jaxviz
from jaxviz import analyses, sweep

network = jaxviz.load("alexnet")
prepare = network.spec.preprocessing
pictures = sweep.load_pictures(
    sweep.folder_pictures(jaxviz.example_folder(), prepare).paths, prepare
)
print(len(pictures.paths), "photographs")

# %% [markdown]
# **The function.** `sweep.features` writes one vector for each picture, here what AlexNet's last
# pooling layer gives, 6 x 6 x 256 numbers. `nearest_neighbors` finds the closest.
# `analyses.nearest_pictures` does both beside raw pixels, and shows itself as a figure.

# %%
features = sweep.features(
    network.apply, network.params, pictures, prepare=prepare.normalize, layer="pool5"
)
names = [path.stem for path in pictures.paths]
queries = [names.index(name) for name in ("kitten", "kingfisher", "pig")]
found = analyses.nearest_pictures(network, features, pictures, queries=queries, top=5)
found

# %% [markdown]
# **What you see.** Each query has two rows: neighbors by features, and by raw pixels. An orange
# frame marks a picture of the same kind (the name of its folder). Features find animals of the
# same kind in other poses. Pixels find pictures of the same brightness and layout.
#
# The figure shows three queries. The numbers count all of them:

# %%
for what, value in found.facts:
    print(f"{what}: {value}")

# %% [markdown]
# **One experiment.** Is a later layer always better? Ask several layers of SqueezeNet for the
# share of nearest neighbors that are of the same kind.

# %%
import numpy as np

kinds = np.array([path.parent.name for path in pictures.paths])
squeezenet = jaxviz.load("squeezenet")
normalize = squeezenet.spec.preprocessing.normalize
again = sweep.load_pictures(pictures.paths, squeezenet.spec.preprocessing)
for layer in ("pool1", "fire4/concat", "fire6/concat", "fire9/concat"):
    vectors = sweep.features(
        squeezenet.apply, squeezenet.params, again, prepare=normalize, layer=layer
    ).vectors
    near = jaxviz.nearest_neighbors(vectors, vectors, k=2, metric="cosine").indices[:, 1]
    print(f"{layer}: {np.mean(kinds[near] == kinds):.0%}")

# %% [markdown]
# **Be careful.**
#
# - "Nearest" depends on the distance. Euclidean distance is swayed by how strongly a picture
#   excites the layer; cosine distance is not.
# - Features keep what training asked for. Two breeds of dogs may be far apart, and two scenes that
#   no class tells apart may be close.
# - With forty photographs, a share is uncertain by some 8 percentage points (one standard error).
#   Give it thousands: `jaxviz neighbors FOLDER`.
#
# **Literature.** Krizhevsky, Sutskever & Hinton 2012, section 6.1 and figure 4, right.
