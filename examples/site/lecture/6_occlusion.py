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
# # 6. Occlusion
#
# **The idea.** Which part of the photograph made the network say what it said? Cover a part with
# the mean color of the training images and see how much less probable the answer becomes. Do so
# for every place, and draw the drop.

# %%
import numpy as np

import jaxviz
from jaxviz import draw

network = jaxviz.load("squeezenet")
photo = jaxviz.example_folder() / "dog" / "german_shepherd.jpg"
images = network.preprocess([photo])
logits = jaxviz.features(network.apply, network.params, images, layer="pool10")
best = int(logits[0].argmax())
print(network.label(best))

# %% [markdown]
# **The function.** `occlusion_map` evaluates all windows in one pass. It reads the network's
# program and recomputes only what each window can change, which gives the same numbers several
# times faster than whole passes.


# %%
def covered_with(fill):
    return jaxviz.occlusion_map(
        network.apply,
        network.params,
        images,
        score=jaxviz.log_probability(best),
        window=32,
        stride=16,
        fill=fill,
    )


result = covered_with(network.spec.mean_fill)
pixels = network.spec.preprocessing.denormalize(images[0])
probability = np.exp(float(result.baseline[0]))
row = draw.Heatmap(pixels, result.heatmap[0], f"{network.label(best)}, {probability:.0%}", (32, 32))
draw.heatmap_rows([row], unit="drop of log probability (nats)")

# %% [markdown]
# **What you see.** Orange marks places where hiding made the answer less probable, purple where it
# made it more so. A drop of 0.7 nats halves the probability.
#
# **One experiment.** Does it depend on what covers the photograph? Gray, black and white are all
# "nothing", but not to the network. How well do the maps agree?

# %%
colors = {"mean": (124, 117, 104), "black": (0, 0, 0), "white": (255, 255, 255)}
maps = {}
for name, color in colors.items():
    pixel = np.array(color, np.uint8).reshape(1, 1, 1, 3)
    fill = network.spec.preprocessing.normalize(pixel)[0, 0, 0]
    maps[name] = covered_with(fill).heatmap[0]

for name in ("black", "white"):
    agreement = np.corrcoef(np.ravel(maps["mean"]), np.ravel(maps[name]))[0, 1]
    print(f"mean and {name}: correlation {agreement:.2f}")

draw.heatmap_rows(
    [
        draw.Heatmap(pixels, heatmap, f"covered with {name}", (32, 32), colors[name])
        for name, heatmap in maps.items()
    ],
    unit="drop of log probability (nats)",
)

# %% [markdown]
# **Be careful.**
#
# - The map is as coarse as its window. A small window misses what is spread out: if two ears mean
#   "dog", hiding one changes little.
# - The covered image is unlike any image of the training. Some of the drop is due to that.
#   `jaxviz occlude PHOTO --repeats 16` covers with many fills and hatches what cannot be told from
#   zero; `occlusion_statistics` gives the errors.
# - A probability cannot fall by much if it was small, and a sure answer hardly moves at first.
#   Log probabilities show both. `logit` asks about the class alone, whatever the others do.
#
# **Literature.** Zeiler & Fergus 2014, section 4.2 and figure 7. Fong & Vedaldi 2017,
# *Interpretable explanations of black boxes by meaningful perturbation*.
