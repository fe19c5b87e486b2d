"""What excites a channel most? Its strongest patches out of a folder of photographs.

A row is a channel of AlexNet's conv2; a tile is what its unit saw, cut out of the photograph, with
its activation above; white lies outside the photograph. Look for what all tiles of a row share: a
slant, a curve, a pair of colors. One patch is kept for each photograph, so a row never shows one
thing many times. With some forty photographs a row grows less pure to the right; give it thousands.
"""

import argparse
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import jaxviz
from jaxviz import draw
from jaxviz.pictures.folders import find_pictures
from jaxviz.pictures.preprocessing import batches
from jaxviz.pictures.sets import load_pictures
from jaxviz.techniques.patches import crop

LAYER, ROWS, K = "conv2", 6, 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="top_patches.png")
    output = parser.parse_args().output

    network = jaxviz.load("alexnet")
    prepare = network.spec.preprocessing
    pixels = load_pictures(find_pictures([Path(__file__).parent / "images"]), prepare).pixels
    pieces = (prepare.normalize(jnp.asarray(piece)) for piece in batches(pixels, 16))
    found = jaxviz.top_patches(network.apply, network.params, pieces, layers=LAYER, k=K)[LAYER]
    field = jaxviz.receptive_field(network.apply, network.params, prepare.input_shape, layer=LAYER)

    values, images, rows, cols = map(np.asarray, found)  # each (channels, K)
    rows_shown = []
    for channel in np.argsort(-values[:, -1])[:ROWS]:  # those that all K photographs excite
        places = zip(images[channel], rows[channel], cols[channel], values[channel], strict=True)
        tiles = [
            draw.Tile(crop(pixels[image], field.box(row, col), fill=255), f"{value:.1f}")
            for image, row, col, value in places
        ]
        rows_shown.append(draw.Row(f"channel {channel}", tiles))
    size = f"{field.size[0]} x {field.size[1]}"
    figure = draw.montage(rows_shown, title=f"AlexNet {LAYER}: top patches of {size} pixels")
    print(draw.save_figure(figure, output))


if __name__ == "__main__":
    main()
