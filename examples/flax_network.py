"""The techniques on a Flax NNX network, given as it is: `jaxviz.from_nnx` names its layers.

It learns for a few seconds to tell disks, squares and crosses apart, in any color and at any place.
Above, a picture of each and what mattered for the answer; below, the filters of its first layer.
Look whether the orange lies on the shapes: the network was never told where they are.
"""

import argparse

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jaxviz
from jaxviz import draw

SIDE = 32
SHAPES = ("disk", "square", "cross")


class ShapeNet(nnx.Module):
    """Two convolutions, the second with batch normalization, and a mean over the map."""

    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(3, 16, (5, 5), rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (5, 5), strides=2, rngs=rngs)
        self.norm = nnx.BatchNorm(32, rngs=rngs)
        self.head = nnx.Linear(32, len(SHAPES), rngs=rngs)

    def __call__(self, images):
        """The scores of the three shapes, (batch, 3)."""
        x = nnx.max_pool(nnx.relu(self.conv1(images)), (2, 2), strides=(2, 2))
        x = nnx.relu(self.norm(self.conv2(x)))
        return self.head(x.max(axis=(1, 2)))


def shapes(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 32, 32, 3) with one shape each, and which it is."""
    labels = random.integers(len(SHAPES), size=count)
    rows, cols = np.mgrid[:SIDE, :SIDE]
    images = random.normal(0, 0.05, (count, SIDE, SIDE, 3)) - 0.5
    for image, label in zip(images, labels, strict=True):
        top, left = random.integers(6, SIDE - 6, 2)
        down, right = abs(rows - top), abs(cols - left)
        inside = {
            "disk": down**2 + right**2 <= 25,
            "square": np.maximum(down, right) <= 4,
            "cross": (np.minimum(down, right) <= 1) & (np.maximum(down, right) <= 5),
        }[SHAPES[label]]
        image[inside] += random.uniform(0.3, 1.2, 3)
    return images.astype(np.float32), labels


def trained(steps: int = 200) -> ShapeNet:
    """The network after a few steps of Adam."""
    module = ShapeNet(nnx.Rngs(0))
    optimizer = nnx.Optimizer(module, optax.adam(3e-3), wrt=nnx.Param)

    @nnx.jit
    def step(module, optimizer, images, labels):
        def loss(module):
            return optax.softmax_cross_entropy_with_integer_labels(module(images), labels).mean()

        optimizer.update(module, nnx.grad(loss)(module))

    random = np.random.default_rng(0)
    for _ in range(steps):
        step(module, optimizer, *map(jnp.asarray, shapes(random, 64)))
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="flax_network.png")
    output = parser.parse_args().output

    network = jaxviz.from_nnx(trained(), image_shape=(SIDE, SIDE, 3))
    print(jaxviz.layer_table(network))

    images, labels = shapes(np.random.default_rng(1), 32)
    answers = jaxviz.activation_maps(network.apply, network.params, images, layers="head")["head"]
    print(f"right: {np.mean(np.argmax(answers, axis=1) == labels):.0%} of {len(labels)}")

    chosen = [int(np.flatnonzero(labels == label)[0]) for label in range(len(SHAPES))]
    result = jaxviz.occlusion_map(
        network.apply, network.params, jnp.asarray(images[chosen]),
        score=jaxviz.logit(list(range(len(SHAPES)))), window=6, stride=2, fill=-0.5,
    )  # fmt: skip
    pixels = np.clip(images[chosen] * 128 + 128, 0, 255).astype(np.uint8)
    heatmaps = [
        draw.Heatmap(picture, heatmap, f"why {name}?", (6, 6))
        for picture, heatmap, name in zip(pixels, result.heatmap, SHAPES, strict=True)
    ]
    above = draw.heatmap_rows(heatmaps, unit="drop of the score")
    kernel = network.kernel("conv1")
    tiles = [draw.Tile(tile, str(i)) for i, tile in enumerate(jaxviz.filter_tiles(kernel))]
    below = draw.tile_grid(tiles, columns=8, title="conv1: 16 filters, 5 x 5 pixels in color")
    print(draw.save_figures([above, below], output))


if __name__ == "__main__":
    main()
