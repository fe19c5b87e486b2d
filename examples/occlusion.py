"""What in the photograph made SqueezeNet say what it said? Hide parts and watch.

A window of the training mean slides over the photograph. Orange marks places where hiding made the
answer less probable, purple where it made it more so. Look whether the orange lies on the thing
that is named; where it lies on something else, the network used its surroundings. The heatmap is
as coarse as the window (drawn in the corner); smaller windows and strides are finer and cost more.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxviz
from jaxviz import draw

PICTURES = ("bird/macaw.jpg", "dog/german_shepherd.jpg")
WINDOW, STRIDE = 32, 16
TITLE = f"SqueezeNet, window {WINDOW}, step {STRIDE}; orange: hiding hurt, purple: it helped"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="occlusion.png")
    output = parser.parse_args().output

    network = jaxviz.load("squeezenet")
    rows = []
    for path in (Path(__file__).parent / "images" / name for name in PICTURES):
        images = network.preprocess([path])
        logits = jaxviz.features(network.apply, network.params, images, layer="pool10")
        best = int(logits[0].argmax())
        result = jaxviz.occlusion_map(
            network.apply,
            network.params,
            images,
            score=jaxviz.log_probability(best),
            window=WINDOW,
            stride=STRIDE,
            fill=np.array(network.spec.mean_fill, np.float32),
        )
        pixels = network.spec.preprocessing.denormalize(images[0])
        caption = f"{network.label(best)}, {np.exp(result.baseline[0]):.0%}"
        rows.append(draw.Heatmap(pixels, result.heatmap[0], caption, (WINDOW, WINDOW)))
    figure = draw.heatmap_rows(rows, unit="drop of log probability (nats)", title=TITLE)
    print(draw.save_figure(figure, output))


if __name__ == "__main__":
    main()
