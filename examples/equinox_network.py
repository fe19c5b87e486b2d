"""The techniques on an Equinox network of gray pictures: `jaxviz.from_equinox` names its layers.

It learns for a few seconds to read digits that are printed at any place. It takes one image at a
time, channels first; jaxviz gives its layers for batches, channels last. Above, digits and what
mattered for the answer; below, the filters of its first layer, which are gray like its images.
Look whether the orange lies on the strokes that set a digit apart from others.
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image, ImageDraw, ImageFont

import jaxviz
from jaxviz import draw

SIDE = 28
SHOWN = (3, 5, 8, 9)


class DigitNet(eqx.Module):
    """Two convolutions and a dense layer: the scores of ten digits for an image (1, 28, 28)."""

    conv1: eqx.nn.Conv2d
    conv2: eqx.nn.Conv2d
    pool: eqx.nn.MaxPool2d
    head: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        first, second, third = jax.random.split(key, 3)
        self.conv1 = eqx.nn.Conv2d(1, 16, 5, padding=2, key=first)
        self.conv2 = eqx.nn.Conv2d(16, 32, 5, stride=2, padding=2, key=second)
        self.pool = eqx.nn.MaxPool2d(2, 2)
        self.head = eqx.nn.Linear(32 * 7 * 7, 10, key=third)

    def __call__(self, image: jax.Array) -> jax.Array:
        """The scores, (10,)."""
        x = self.pool(jax.nn.relu(self.conv1(image)))
        return self.head(jax.nn.relu(self.conv2(x)).ravel())


def digits(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 28, 28, 1), black 0 and white 1, with a digit each, and which it is."""
    font = ImageFont.load_default(size=20)
    labels = random.integers(10, size=count)
    images = np.empty((count, SIDE, SIDE, 1), np.float32)
    for image, label in zip(images, labels, strict=True):
        picture = Image.new("L", (SIDE, SIDE))
        corner = tuple(int(one) for one in random.integers((1, -3), (15, 5)))
        ImageDraw.Draw(picture).text(corner, str(label), fill=255, font=font)
        image[..., 0] = np.asarray(picture) / 255
    return images + random.normal(0, 0.05, images.shape).astype(np.float32), labels


def trained(steps: int = 200) -> DigitNet:
    """The network after a few steps of Adam."""
    model = DigitNet(jax.random.key(0))
    optimizer = optax.adam(3e-3)
    state = optimizer.init(eqx.filter(model, eqx.is_array))

    @eqx.filter_jit
    def step(model, state, images, labels):
        def loss(model):
            scores = jax.vmap(model)(images.transpose(0, 3, 1, 2))
            return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()

        updates, state = optimizer.update(eqx.filter_grad(loss)(model), state)
        return eqx.apply_updates(model, updates), state

    random = np.random.default_rng(0)
    for _ in range(steps):
        model, state = step(model, state, *map(jnp.asarray, digits(random, 64)))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="equinox_network.png")
    output = parser.parse_args().output

    network = jaxviz.from_equinox(trained(), image_shape=(SIDE, SIDE, 1))
    print(jaxviz.layer_table(network))

    images, labels = digits(np.random.default_rng(1), 100)
    answers = jaxviz.activation_maps(network.apply, network.params, images, layers="head")["head"]
    print(f"right: {np.mean(np.argmax(answers, axis=1) == labels):.0%} of {len(labels)}")

    chosen = [int(np.flatnonzero(labels == digit)[0]) for digit in SHOWN]
    result = jaxviz.occlusion_map(
        network.apply, network.params, jnp.asarray(images[chosen]),
        score=jaxviz.logit(list(SHOWN)), window=5, stride=1, fill=0.0,
    )  # fmt: skip
    pixels = np.clip(images[chosen] * 255, 0, 255).astype(np.uint8).repeat(3, axis=-1)
    heatmaps = [
        draw.Heatmap(picture, heatmap, f"why {digit}?", (5, 5))
        for picture, heatmap, digit in zip(pixels, result.heatmap, SHOWN, strict=True)
    ]
    above = draw.heatmap_rows(heatmaps, unit="drop of the score")
    kernel = network.kernel("conv1")
    gray = jaxviz.filter_slices(kernel)[:, 0]
    tiles = [draw.Tile(tile, str(i)) for i, tile in enumerate(gray)]
    below = draw.tile_grid(tiles, columns=8, title="conv1: 16 filters, 5 x 5 pixels in gray")
    print(draw.save_figures([above, below], output))


if __name__ == "__main__":
    main()
