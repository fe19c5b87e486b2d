"""What heatmaps of a network are worth, on labelled or unlabelled photographs, in a table.

    python benchmarks/judge_heatmaps.py FOLDER --pictures 50

For each picture the heatmaps of several methods, and of controls that ask no network, of its most
probable class. Deletion replaces the hottest pixels first, by the training mean and by a blur of
the picture; insertion brings them back, beginning with each of the two. The score is the
probability of the class; numbers are mean areas with 95 % intervals over the pictures (Student's
t). Then the cascade of Adebayo et al. 2018, on the first pictures: the rank correlation of each
heatmap with itself, as the parameters are shuffled layer by layer from the last one down.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.progress import track
from scipy import stats

import jaxviz
from jaxviz.pictures.folders import find_pictures
from jaxviz.pictures.sets import load_pictures

KEY = jax.random.key(0)
BLUR = 10.0  # pixels
BATCH = 10  # pictures
CASCADED, STAGES = 5, 6  # pictures, and how many times


def heatmaps(network, params, images, score):
    """{method: (batch, height, width)}; magnitudes where the method has a sign but no direction."""
    run, fill = (network.apply, params, images), np.float32(network.spec.mean_fill)
    side = images.shape[1] // 7
    occluded = jaxviz.occlusion_map(*run, score=score, window=side, stride=side // 4, fill=fill)
    return {
        "occlusion": occluded.heatmap,
        "gradient": jaxviz.gradient(*run, score=score).heatmap,
        "smooth gradient": jaxviz.smooth_gradient(*run, score=score, key=KEY).heatmap,
        "integrated gradients": jaxviz.integrated_gradients(*run, score=score, fill=fill).heatmap,
        "guided backpropagation": jaxviz.guided_backpropagation(*run, score=score).heatmap,
        "Grad-CAM": jaxviz.grad_cam(*run, score=score, layer=network.spec.deep_layers[-1]).heatmap,
    }


def areas(network, images, indices, steps):
    """{method: {curve: (pictures,) areas}} of a batch."""
    run, score = (network.apply, network.params, images), jaxviz.probability(indices)
    options = {"score": score, "key": KEY, "steps": steps}
    mean = {"fill": np.float32(network.spec.mean_fill)}
    maps = heatmaps(network, network.params, images, jaxviz.logit(indices))
    found = {}
    for name, heatmap in (maps | jaxviz.control_heatmaps(images, key=KEY)).items():
        curves = {
            "deletion, mean": jaxviz.deletion_curve(*run, heatmap, **mean, **options),
            # The coldest pixels come back first: the same images, from the last to the first.
            "deletion, blur": jaxviz.insertion_curve(*run, -heatmap, blur=BLUR, **options),
            "insertion, mean": jaxviz.insertion_curve(*run, heatmap, **mean, **options),
            "insertion, blur": jaxviz.insertion_curve(*run, heatmap, blur=BLUR, **options),
        }
        found[name] = {curve: np.asarray(made.area) for curve, made in curves.items()}
    return found


def cascade(network, images, indices):
    """{method: mean rank correlations}, and the branches down to which parameters are shuffled."""
    score = jaxviz.logit(indices)
    before = heatmaps(network, network.params, images, score)
    every = list(
        jaxviz.cascading_randomization(
            network.apply, network.params, images.shape[1:], key=KEY
        )
    )  # fmt: skip
    places = np.unique(np.linspace(0, len(every) - 1, STAGES).round().astype(int))
    kept = {name: [] for name in before}
    for place in places:
        for name, heatmap in heatmaps(network, every[place].params, images, score).items():
            kept[name].append(float(jaxviz.rank_correlation(before[name], heatmap).mean()))
    return [every[place].name for place in places], kept


def interval(values):
    """The mean, and half the length of its 95 % interval."""
    reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else np.nan
    return float(np.mean(values)), float(reach)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--network", default="squeezenet")
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--output", type=Path, help="a JSON file for all numbers")
    given = parser.parse_args()
    network = jaxviz.load(given.network)
    paths = find_pictures([given.folder])
    paths = paths[:: max(1, len(paths) // given.pictures)][: given.pictures]
    images = network.preprocess(list(load_pictures(paths, network.preprocessing).pixels))
    logits = network.role("logits")
    scores = jaxviz.activation_maps(network.apply, network.params, images, layers=logits)[logits]
    indices = np.asarray(scores.argmax(axis=1))
    start, found = time.perf_counter(), []
    for place in track(range(0, len(images), BATCH), "pictures", console=Console(stderr=True)):
        batch = slice(place, place + BATCH)
        found.append(areas(network, images[batch], indices[batch].tolist(), given.steps))
    curves = list(found[0]["random"])
    table = {
        name: {
            curve: interval(np.concatenate([part[name][curve] for part in found]))
            for curve in curves
        }
        for name in found[0]
    }
    print(f"| {network.spec.title}, {len(paths)} pictures | {' | '.join(curves)} |")
    print("|---|" + "---|" * len(curves))
    for name, row in table.items():
        cells = [f"{mean:.3f} ± {reach:.3f}" for mean, reach in row.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    names, kept = cascade(network, images[:CASCADED], indices[:CASCADED].tolist())
    print(f"\n| shuffled down to | {' | '.join(names)} |")
    print("|---|" + "---|" * len(names))
    for name, values in kept.items():
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in values)} |")
    print(f"\n{time.perf_counter() - start:.0f} s on {jax.devices()[0].device_kind}")
    if given.output:
        record = {
            "network": network.provenance, "pictures": [path.name for path in paths],
            "areas": table, "cascade": {"branches": names, "correlation": kept},
        }  # fmt: skip
        given.output.write_text(json.dumps(record, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
