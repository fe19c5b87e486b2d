"""The techniques on a network of your own: any JAX function that names its activations.

This one has no trained weights and no library: a few filters set by hand, so that you can tell
whether the pictures are right. A network with random or trained weights, from Flax, Equinox or
plain JAX, is used in the same way. Above, three of its channels on a goldfish; below, what its
score "how much warm color?" rests on. Look whether the orange lies on the fish: here it must.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxviz
from jaxviz import draw
from jaxviz.pictures.preprocessing import Preprocessing, preprocess

CHANNELS = ("warm colors", "vertical edges", "horizontal edges")
PREPARE = Preprocessing(resize=128, crop=128, divisor=255, mean=(0.5,) * 3, std=(0.5,) * 3)
PICTURE = Path(__file__).parent / "images" / "fish" / "goldfish.jpg"


def handmade_kernel() -> np.ndarray:
    """Weights (height, width, channel, filters): red minus blue, and two brightness steps."""
    kernel = np.zeros((4, 4, 3, 3), np.float32)
    kernel[..., 0, 0], kernel[..., 2, 0] = 1 / 16, -1 / 16
    step = np.array([-1, -1, 1, 1], np.float32) / 16
    kernel[..., 1] = step[None, :, None]
    kernel[..., 2] = step[:, None, None]
    return kernel


def apply(params, images):
    """The contract: images (batch, height, width, channel) in, {layer: activations} out."""
    dims = ("NHWC", "HWIO", "NHWC")
    maps = jax.lax.conv_general_dilated(images, params, (2, 2), "SAME", dimension_numbers=dims)
    maps = jax.nn.relu(maps)
    return {"filters": maps, "amounts": maps.mean(axis=(1, 2))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="your_own_network.png")
    output = parser.parse_args().output

    params = handmade_kernel()
    images = preprocess([PICTURE], PREPARE)
    pixels = PREPARE.denormalize(images[0])

    maps = jaxviz.activation_maps(apply, params, images, layers="filters")["filters"][0]
    field = jaxviz.receptive_field(apply, params, images.shape[1:], layer="filters")
    above = draw.overlays(
        [pixels] * 3,
        [maps[..., channel] for channel in range(3)],
        CHANNELS,
        [draw.map_extent(field, maps.shape)] * 3,
        columns=3,
        title="A network made by hand: its three channels",
    )
    result = jaxviz.occlusion_map(
        apply,
        params,
        images,
        score=lambda outputs: outputs["amounts"][:, 0],  # any function of the outputs
        window=16,
        stride=4,
        fill=0.0,  # normalized units: middle gray
    )
    heatmap = draw.Heatmap(pixels, result.heatmap[0], "how much warm color?", (16, 16))
    below = draw.heatmap_rows([heatmap], unit="drop of the mean activation")
    print(draw.save_figures([above, below], output))


if __name__ == "__main__":
    main()
