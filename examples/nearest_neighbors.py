"""Which photographs does AlexNet take for alike, and which do raw pixels?

Each query has two rows: its neighbors by the network's last pooling layer, and by plain pixels. An
orange frame marks a neighbor of the same kind (the name of its folder). Look at what the wrong ones
share with the query: features confuse things that look alike, pixels find like brightness and
layout. The printed shares count all pictures, not only the rows shown.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxviz
from jaxviz import draw
from jaxviz.pictures.folders import find_pictures
from jaxviz.pictures.sets import load_pictures

QUERIES = ("kitten", "kingfisher", "pig")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="nearest_neighbors.png")
    output = parser.parse_args().output

    network = jaxviz.load("alexnet")
    loaded = load_pictures(
        find_pictures([Path(__file__).parent / "images"]), network.spec.preprocessing
    )
    names = [path.stem for path in loaded.paths]
    kinds = [path.parent.name for path in loaded.paths]
    images = network.preprocess(list(loaded.pixels))
    vectors = {
        "pool5": jaxviz.features(network.apply, network.params, images, layer="pool5"),
        "raw pixels": loaded.pixels.reshape(len(names), -1).astype(np.float32),
    }
    rows = {}
    for title, vector in vectors.items():
        found = jaxviz.nearest_neighbors(vector, vector, k=5, metric="cosine", exclude_self=True)
        share = jaxviz.label_agreement(found.indices[:, :1], kinds, kinds)
        print(f"{title}: the nearest picture is of the same kind for {share:.0%}")
        for query in map(names.index, QUERIES):
            tiles = [draw.Tile(loaded.pixels[query], names[query])]
            for i in found.indices[query].tolist():
                frame = "#e66101" if kinds[i] == kinds[query] else "#b8b8b8"
                tiles.append(draw.Tile(loaded.pixels[i], names[i], frame))
            rows[query, title] = draw.Row(title, tiles)

    figure = draw.montage(
        [rows[key] for key in sorted(rows)],
        title="Nearest by AlexNet pool5 and by raw pixels (orange frame: the same kind)",
        separate_first=True,
    )
    print(draw.save_figure(figure, output))


if __name__ == "__main__":
    main()
