"""Which photographs are alike for AlexNet, and which by their raw pixels?

Each query has two rows: its neighbors by the network's last pooling layer, and by plain pixels. An
orange frame marks a neighbor of the same kind (the name of its folder). Look at what the wrong ones
share with the query: features confuse things that look alike, pixels find like brightness and
layout. The printed shares count all pictures, not only the rows shown.
"""

import argparse
from pathlib import Path

import jaxviz
from jaxviz import analyses, draw, sweep

QUERIES = ("kitten", "kingfisher", "pig")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="nearest_neighbors.png")
    output = parser.parse_args().output

    network = jaxviz.load("alexnet")
    prepare = network.spec.preprocessing
    paths = sweep.folder_pictures(Path(__file__).parent / "images", prepare).paths
    pictures = sweep.load_pictures(paths, prepare)
    features = sweep.features(
        network.apply, network.params, pictures, prepare=prepare.normalize, layer="pool5"
    )
    names = [path.stem for path in pictures.paths]
    queries = [names.index(name) for name in QUERIES]
    found = analyses.nearest_pictures(network, features, pictures, queries=queries, top=5)
    for what, value in found.facts:
        print(f"{what}: {value}")
    print(draw.save_figure(draw.figure_of(found), output))


if __name__ == "__main__":
    main()
