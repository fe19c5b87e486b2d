"""The shipped networks do on photographs what they are known to do."""

import csv

import jax
import numpy as np
import pytest
from conftest import ROOT

import jaxviz
from jaxviz.pictures.sets import load_pictures

pytestmark = [pytest.mark.once, pytest.mark.optimized]

SAMPLE = ROOT.parent / "shared" / "imagenet_sample"  # 250 labeled pictures, one a class

# Half-open ranges of class indices.
DOGS = ((151, 269),)
BIRDS = ((7, 25), (80, 101), (127, 147))


@pytest.fixture(scope="module")
def sample():
    if not SAMPLE.is_dir():
        pytest.skip("no labeled sample of ImageNet at hand")
    with (SAMPLE / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    classes = np.array([int(row["class_index"]) for row in rows])
    return [SAMPLE / row["file"] for row in rows], classes


def read(sample, network):
    loaded = load_pictures(sample[0], network.spec.preprocessing)
    assert loaded.skipped == []
    return loaded.pixels


def features_of(network, pixels, layer):
    pictures = jaxviz.sweep.ArrayPictures(pixels)
    return jaxviz.sweep.features(
        network.apply, network.params, pictures, layer=layer, batch_size=16,
        prepare=network.spec.preprocessing.normalize,
    ).vectors  # fmt: skip


def probabilities(network, picture):
    layer = network.spec.logits
    images = network.preprocess([picture])
    logits = jaxviz.activation_maps(network.apply, network.params, images, layers=layer)[layer]
    return np.asarray(jax.nn.softmax(logits[0]))


@pytest.mark.parametrize(
    "name, one, five",
    [("squeezenet", 0.65, 0.84), ("efficientnet_lite0", 0.88, 0.97)],
)
def test_a_labeled_sample_is_named_as_well_as_stated(name, one, five, sample, request):
    network = request.getfixturevalue(name)
    pixels, classes = read(sample, network), sample[1]
    logits = features_of(network, pixels, network.role("logits"))
    best = np.argsort(-logits, axis=1)[:, :5] == classes[:, None]
    assert len(classes) >= 250
    assert best[:, 0].mean() >= one
    assert best.any(axis=1).mean() >= five


def share_of_same_kind(vectors, classes, ranges, metric):
    member = np.any([(classes >= first) & (classes < end) for first, end in ranges], axis=0)
    found = jaxviz.nearest_neighbors(vectors, vectors, k=1, metric=metric, exclude_self=True)
    return float(member[np.asarray(found.indices)[:, 0]][member].mean())


def test_features_find_dogs_and_birds_where_raw_pixels_do_not(sample, alexnet):
    pixels, classes = read(sample, alexnet), sample[1]
    features = features_of(alexnet, pixels, "pool5")
    naive = pixels.reshape(len(pixels), -1) / np.float32(255)
    for ranges, least in ((DOGS, 0.55), (BIRDS, 0.5)):  # measured: 0.67 and 0.62
        by_features = share_of_same_kind(features, classes, ranges, "cosine")
        by_pixels = share_of_same_kind(naive, classes, ranges, "euclidean")
        assert by_features >= least
        assert by_pixels <= 0.2  # measured: 0.10 and 0.06
        assert by_features >= by_pixels + 0.4


def test_the_cat_is_an_egyptian_cat_a_tabby_a_tiger_cat(squeezenet, photographs):
    found = probabilities(squeezenet, photographs / "cat" / "chelsea.png")
    names = [squeezenet.label(i) for i in np.argsort(-found)[:3]]
    assert names == ["Egyptian cat", "tabby", "tiger cat"]


def test_the_coffee_is_an_espresso(squeezenet, photographs):
    found = probabilities(squeezenet, photographs / "food" / "coffee.png")
    assert squeezenet.label(int(found.argmax())) == "espresso"
    assert float(found.max()) == pytest.approx(0.97, abs=0.01)


@pytest.mark.parametrize(
    "picture, target, box",
    [  # (top, left, bottom, right) in the crop of 227 x 227 pixels
        ("cat/chelsea.png", "Egyptian cat", (50, 35, 130, 220)),  # both eyes with their lids
        ("food/coffee.png", "espresso", (0, 32, 120, 184)),  # the mouth of the cup, rim to rim
    ],
)
def test_what_matters_most_is_where_the_thing_is(picture, target, box, squeezenet, photographs):
    result = jaxviz.occlusion_map(
        squeezenet.apply,
        squeezenet.params,
        squeezenet.preprocess([photographs / picture]),
        score=jaxviz.log_probability(squeezenet.class_index(target)),
        window=32,
        stride=8,
        fill=np.array(squeezenet.spec.mean_fill, np.float32),
    )
    heatmap = np.asarray(result.heatmap[0])
    top, left, bottom, right = box
    hottest = heatmap >= np.quantile(heatmap, 0.99)
    assert heatmap.max() > 0
    assert hottest[top:bottom, left:right].sum() == hottest.sum()
    inside = heatmap[top:bottom, left:right]
    outside = (heatmap.sum() - inside.sum()) / (heatmap.size - inside.size)
    assert inside.mean() > outside
