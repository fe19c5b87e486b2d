"""What excites a channel most? Its strongest patches out of a folder of photographs.

A row is a channel of AlexNet's conv2; a tile is what its unit saw, cut out of the photograph, with
its activation and its place above; black lies outside the photograph. Look for what all tiles of a
row share: a slant, a curve, a pair of colors. One patch is kept for each photograph, so a row never
shows one thing many times. With some forty photographs a row grows less pure to the right; give it
thousands.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxviz
from jaxviz import analyses, draw, sweep

LAYER, ROWS, K = "conv2", 6, 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="top_patches.png")
    output = parser.parse_args().output

    network = jaxviz.load("alexnet")
    prepare = network.spec.preprocessing
    pictures = sweep.folder_pictures(Path(__file__).parent / "images", prepare)
    swept = sweep.top_patches(
        network.apply, network.params, pictures, prepare=prepare.normalize, layers=LAYER, k=K
    )
    values = swept.found[LAYER].values
    channels = np.argsort(-values[:, -1])[:ROWS].tolist()  # those that all K photographs excite
    (page,) = analyses.patch_pages(network, swept, pictures, layer=LAYER, channels=channels)
    print(draw.save_figure(draw.figure_of(page), output))


if __name__ == "__main__":
    main()
