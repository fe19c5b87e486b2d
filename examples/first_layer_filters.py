"""AlexNet's first layer: 64 filters of 11 x 11 pixels, drawn as small color pictures.

Middle gray is a weight of zero; a filter answers most to a piece of image that looks like it. Look
for striped tiles (edges and gratings, each of one direction and width), for soft blobs of color
without stripes, and for how seldom a filter is both finely striped and colorful. Nobody designed
them: they came out of training on photographs. In a badly trained network most would be noise.
"""

import argparse

import jaxviz
from jaxviz import draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="first_layer_filters.png")
    output = parser.parse_args().output

    network = jaxviz.load("alexnet")
    kernel = network.kernel("conv1")  # (11, 11, 3, 64)
    tiles = jaxviz.filter_tiles(kernel, scaling="symmetric")  # (64, 11, 11, 3), values 0 to 1

    figure = draw.tile_grid(
        [draw.Tile(tile, str(index)) for index, tile in enumerate(tiles)],
        columns=16,
        title="AlexNet conv1: its 64 filters, each 11 x 11 pixels; gray is a weight of zero",
    )
    print(draw.save_figure(figure, output))


if __name__ == "__main__":
    main()
