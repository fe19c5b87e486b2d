"""One channel of AlexNet's conv5, number 124, on six photographs: where does it fire?

The photographs are gray, and more orange where the channel is more active, on one scale. Look at
the faces: the channel fires on them, wherever they are, and hardly elsewhere, although no class of
the training data is called "face" (Yosinski et al. 2015, fig. 2, met such a channel in their
network). Change `CHANNEL` to see others; `jaxviz.strongest_channels` says which are worth a look.
"""

import argparse
from pathlib import Path

import jaxviz
from jaxviz import draw

LAYER, CHANNEL = "conv5", 124
PEOPLE = ("person/astronaut.png", "person/grace_hopper.jpg", "person/mariachi.jpg")
OTHERS = ("food/coffee.png", "building/china.jpg", "farm/cow.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="activation_maps.png")
    output = parser.parse_args().output

    network = jaxviz.load("alexnet")
    paths = [Path(__file__).parent / "images" / name for name in PEOPLE + OTHERS]
    images = network.preprocess(paths)
    maps = jaxviz.activation_maps(network.apply, network.params, images, layers=LAYER)[LAYER]
    field = jaxviz.receptive_field(network.apply, network.params, images.shape[1:], layer=LAYER)

    peaks = maps[..., CHANNEL].max(axis=(1, 2))
    figure = draw.overlays(
        network.spec.preprocessing.denormalize(images),
        maps[..., CHANNEL],
        [f"{path.stem}, up to {peak:.1f}" for path, peak in zip(paths, peaks, strict=True)],
        [draw.map_extent(field, maps.shape[1:3])] * len(paths),
        columns=3,
        title=f"AlexNet {LAYER}, channel {CHANNEL}",
    )
    print(draw.save_figure(figure, output))


if __name__ == "__main__":
    main()
