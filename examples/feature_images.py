"""Images made for six channels of AlexNet's conv5, by gradient ascent from noise.

Look at what fills each image, and read it beside the patches that `jaxviz patches --imagine` finds:
faces for channel 124, black spots for 72, eyes for 0, striped cats for 200, dogs for 104. Nobody
told the network about any of them. The number above an image is the channel's largest activation on
it, several times that on any photograph (Olah et al. 2017, "Feature visualization"). `--steps 256`
makes them clearer, in about half a minute.
"""

import argparse

import jax
import numpy as np

import jaxviz
from jaxviz import draw

LAYER, CHANNELS = "conv5", [124, 72, 0, 200, 104, 133]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="feature_images.png")
    parser.add_argument("--steps", type=int, default=64)
    given = parser.parse_args()

    network = jaxviz.load("alexnet")
    prepare = network.preprocessing.normalize
    made = jaxviz.feature_images(
        network.apply,
        network.params,
        score=jaxviz.channel_mean(LAYER),
        numbers=CHANNELS,
        key=jax.random.key(0),
        image_shape=network.preprocessing.input_shape,
        prepare=prepare,
        steps=given.steps,
    )
    maps = jaxviz.activation_maps(
        network.apply, network.params, prepare(255 * made.images), layers=LAYER
    )[LAYER]
    peaks = [float(maps[i, ..., channel].max()) for i, channel in enumerate(CHANNELS)]
    tiles = [
        draw.Tile(np.asarray(image), f"channel {channel}, up to {peak:.0f}")
        for image, channel, peak in zip(made.images, CHANNELS, peaks, strict=True)
    ]
    title = f"Images made to excite channels of AlexNet {LAYER}"
    print(
        draw.save_figure(draw.tile_grid(tiles, columns=3, tile_size=2.4, title=title), given.output)
    )


if __name__ == "__main__":
    main()
