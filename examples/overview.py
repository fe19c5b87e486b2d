"""The picture at the top of the README: six techniques in six rows.

    python examples/overview.py -o overview.png

Everything in it is computed here: AlexNet's filters, neighbors, maps and patches, and what mattered
for SqueezeNet's answer. Look at the fourth row: the strongest channel of the astronaut's picture
fires on faces.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxviz
from jaxviz import draw
from jaxviz.pictures.folders import find_pictures
from jaxviz.pictures.sets import load_pictures
from jaxviz.techniques.patches import crop

PICTURES = Path(__file__).parent / "images"
COLUMNS = 8


def spotlight(pixels, values):
    """The picture, dark where the values are small; a coarse map is spread over it."""
    height, width = pixels.shape[:2]
    rows = np.arange(height) * values.shape[0] // height
    cols = np.arange(width) * values.shape[1] // width
    light = np.clip(values[rows][:, cols] / values.max(), 0, 1)
    return (pixels * (0.2 + 0.8 * light[..., None])).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="overview.png")
    output = parser.parse_args().output

    network = jaxviz.load("alexnet")
    loaded = load_pictures(find_pictures([PICTURES]), network.spec.preprocessing)
    names = [path.stem for path in loaded.paths]
    pixels = loaded.pixels
    images = network.spec.preprocessing.normalize(jax.numpy.asarray(pixels))
    maps = jaxviz.activation_maps(network.apply, network.params, images, layers=["conv5", "pool5"])
    conv5, vectors = np.asarray(maps["conv5"]), maps["pool5"].reshape(len(pixels), -1)

    def row(title, tiles):
        return draw.Row(title, [draw.Tile(tile) for tile in tiles])

    first = np.asarray(jaxviz.filter_tiles(network.kernel("conv1")))
    middle = np.asarray(jaxviz.filter_slices(network.kernel("conv2")))
    query = names.index("kingfisher")
    near = jaxviz.nearest_neighbors(vectors[query : query + 1], vectors, k=COLUMNS)
    face = int(conv5[names.index("astronaut")].max(axis=(0, 1)).argmax())
    faces = np.argsort(-conv5[..., face].max(axis=(1, 2)))[:COLUMNS]

    channel = 72
    field = jaxviz.receptive_field(network.apply, network.params, (224, 224, 3), layer="conv5")
    top = jaxviz.top_patches(network.apply, network.params, [images], layers="conv5", k=COLUMNS)
    best = [np.asarray(one[channel]) for one in top["conv5"][1:]]
    patches = [crop(pixels[i], field.box(r, c)) for i, r, c in zip(*best, strict=True)]

    squeezenet = jaxviz.load("squeezenet")
    explained = []
    for name in ("chelsea", "coffee", "panda", "kingfisher"):
        image = squeezenet.preprocess([loaded.paths[names.index(name)]])
        logits = squeezenet.apply(squeezenet.params, image)["pool10"]
        result = jaxviz.occlusion_map(
            squeezenet.apply, squeezenet.params, image,
            score=jaxviz.log_probability(int(logits.argmax())),
            window=32, stride=16, fill=squeezenet.spec.mean_fill,
        )  # fmt: skip
        shown = squeezenet.spec.preprocessing.denormalize(image[0])
        explained += [shown, spotlight(shown, np.asarray(result.heatmap[0]))]

    rows = [
        row("first-layer filters", first[[3, 6, 13, 16, 20, 27, 30, 49]]),
        row("middle-layer filters", middle[0][:COLUMNS]),
        row("nearest by features", pixels[np.asarray(near.indices[0])]),
        row(f"conv5 channel {face}", [spotlight(pixels[i], conv5[i, ..., face]) for i in faces]),
        row(f"patches for channel {channel}", patches),
        row("occlusion: what mattered", explained),
    ]
    print(draw.save_figure(draw.montage(rows, tile_size=1.1), output))


if __name__ == "__main__":
    main()
