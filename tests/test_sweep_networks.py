"""Sweeps of the shipped networks over photographs: every convolution against its stored maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT
from tolerances import assert_close

import jaxviz
from jaxviz import sweep

pytestmark = [pytest.mark.once, pytest.mark.optimized]

K = 3
FOLDERS = [
    ROOT / "examples" / "images",
    pytest.param(ROOT.parent / "shared" / "imagenet_sample", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=["alexnet", "squeezenet"])
def network(request):
    return jaxviz.load(request.param)


@pytest.fixture(scope="module", params=FOLDERS, ids=["photographs", "sample"])
def swept(request, network):
    if not request.param.is_dir():
        pytest.skip(f"no folder {request.param.name} at hand")
    pictures = sweep.folder_pictures(request.param, network.spec.preprocessing)
    layers = [name for name in network.layers() if is_convolution(network, name)]
    found, skipped, _ = sweep.top_patches(
        network.apply, network.params, pictures,
        layers=layers, k=K, batch_size=16, prepare=network.spec.preprocessing.normalize,
    )  # fmt: skip
    assert not skipped
    return network.preprocess(pictures.paths), found


def is_convolution(network, layer):
    try:
        network.kernel(layer)
    except jaxviz.InputError:
        return False
    return True


def test_equals_a_sort_of_the_stored_maps(network, swept):
    images, found = swept
    apply = jax.jit(network.apply)
    best = {name: [] for name in found}
    at_place = {name: np.full(found[name].values.shape, np.nan) for name in found}
    for first in range(0, len(images), 16):
        outputs = apply(network.params, images[first : first + 16])
        for name, top in found.items():
            maps = np.asarray(outputs[name])
            best[name].append(maps.max(axis=(1, 2)))
            channel, rank = np.nonzero((top.images >= first) & (top.images < first + 16))
            index = top.images[channel, rank] - first
            rows, cols = top.rows[channel, rank], top.cols[channel, rank]
            at_place[name][channel, rank] = maps[index, rows, cols, channel]
    assert len(found) == {"alexnet": 5, "squeezenet": 26}[network.name]
    for name, top in found.items():
        expected = -np.sort(-np.concatenate(best[name]), axis=0)[:K].T
        assert_close(top.values, expected)
        assert_close(at_place[name], expected)


@pytest.mark.slow
def test_values_come_back_from_the_patches_alone(network, swept):
    images, found = swept
    apply = jax.jit(network.apply)
    shape = images.shape[1:]
    checked = dict.fromkeys(found, 0)
    for name, strongest in found.items():
        field = jaxviz.receptive_field(network.apply, network.params, shape, layer=name)
        cases, canvases = [], []
        values, indices, rows, cols = (np.asarray(x)[:, 0] for x in strongest)
        for channel in range(0, len(values), max(1, len(values) // 16)):
            top, left, bottom, right = field.box(int(rows[channel]), int(cols[channel]))
            if min(top, left) >= 0 and bottom <= shape[0] and right <= shape[1]:
                box = np.s_[top:bottom, left:right]
                patch = images[indices[channel]][box]
                canvases.append(jnp.zeros(shape).at[box].set(patch))
                cases.append(channel)
        if not cases:
            continue
        canvases += [jnp.zeros(shape)] * (-len(canvases) % 20)  # one shape, one compilation
        again = np.asarray(apply(network.params, jnp.stack(canvases))[name])
        value = again[np.arange(len(cases)), rows[cases], cols[cases], cases]
        np.testing.assert_allclose(value, values[cases], rtol=1e-4, atol=1e-4)
        checked[name] = len(cases)
    # The last layers' fields are nearly as large as the image, or larger.
    assert sum(checked.values()) >= {"alexnet": 30, "squeezenet": 150}[network.name], checked
