"""AlexNet's second layer: what becomes of the filter pictures one layer up.

A row is a filter, a tile its 5 x 5 weights for one of the 64 channels that the first layer gives.
White adds to the filter's answer, black subtracts, gray ignores that channel. Look for tiles that
stand out of a gray row: a filter draws on a few channels. But what a tile *means* cannot be seen,
since it reads channels, not colors. That is why the other techniques exist.
"""

import argparse

import numpy as np

import jaxviz
from jaxviz import draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="middle_layer_filters.png")
    output = parser.parse_args().output

    network = jaxviz.load("alexnet")
    slices = np.asarray(jaxviz.filter_slices(network.kernel("conv2")))  # (192, 64, 5, 5)

    figure = draw.slice_grid(
        slices,
        filters=range(8),
        channels=20,
        title="AlexNet conv2: 8 of its 192 filters, 20 of the 64 input channels of each",
    )
    print(draw.save_figure(figure, output))


if __name__ == "__main__":
    main()
