"""Every layer of our networks agrees with torch: with stored values, and live where torch is."""

import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, oracle
from tolerances import assert_close, distance, tolerance

import jaxviz
from jaxviz import porting

GOLDEN = ROOT / "tests" / "golden"
PHOTOGRAPHS = ("cat/chelsea.png", "food/coffee.png")


def outputs_of(network, picture):
    images = network.preprocess([picture])
    layers = list(network.layers())
    with jax.default_matmul_precision("highest"):
        return jaxviz.activation_maps(network.apply, network.params, images, layers=layers)


def network_named(name, request):
    fixture = "complete_alexnet" if name == "alexnet_complete" else name
    return request.getfixturevalue(fixture)


@pytest.mark.parametrize(
    "name", ["alexnet", "squeezenet", "efficientnet_lite0", "alexnet_complete"]
)
def test_every_layer_agrees_with_the_stored_values_of_torch(name, request):
    network = network_named(name, request)
    with np.load(GOLDEN / f"{name}.npz") as golden:
        made = json.loads(str(golden["made"]))
        ours = outputs_of(network, ROOT / made["picture"])
        assert list(ours) == made["layers"]
        for layer, value in ours.items():
            value = np.asarray(value)
            assert value.shape == tuple(golden[f"{layer}.shape"]), layer
            wanted = golden[f"{layer}.value"]
            sample = value.ravel()[golden[f"{layer}.position"]]
            assert np.count_nonzero(wanted) >= 16, layer
            assert distance(sample, wanted) <= tolerance().rtol, layer
            assert_close(sample, wanted)
            mean, norm = (float(golden[f"{layer}.{key}"]) for key in ("mean", "norm"))
            assert np.linalg.norm(value.astype(np.float64)) == pytest.approx(norm, rel=1e-4), layer
            # A mean of signed values may lie near zero, so it is measured by the typical value.
            typical = norm / np.sqrt(value.size)
            assert abs(value.mean(dtype=np.float64) - mean) <= 1e-4 * typical, layer


@pytest.mark.oracle
@pytest.mark.parametrize("picture", PHOTOGRAPHS)
@pytest.mark.parametrize("name", ["alexnet_complete", "squeezenet", "efficientnet_lite0"])
def test_every_layer_agrees_with_torch_itself(name, picture, photographs, request):
    oracle("torch")
    from oracles import torch_networks

    network = network_named(name, request)
    short = network.name
    file = request.getfixturevalue("weights_files")[name]
    image = torch_networks.photograph(photographs / picture, short)
    theirs = getattr(torch_networks, short)(file, image)
    ours = outputs_of(network, photographs / picture)
    assert list(ours) == list(theirs)
    for layer, value in theirs.items():
        assert distance(ours[layer], torch_networks.as_ours(value)) <= tolerance().rtol, layer


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["alexnet", "squeezenet", "efficientnet_lite0"])
def test_preprocessing_equals_an_independent_one(name, photographs, request):
    oracle("torch")
    from oracles import torch_networks

    network = request.getfixturevalue(name)
    for picture in sorted(photographs.glob("*/*"))[::6]:
        theirs = torch_networks.as_ours(torch_networks.photograph(picture, name))
        assert_close(network.preprocess([picture]), theirs)


def test_rows_of_fc6_are_in_row_col_channel_order(complete_alexnet, photographs):
    images = complete_alexnet.preprocess([photographs / PHOTOGRAPHS[0]])
    layers = ("pool5", "fc6")
    maps = jaxviz.activation_maps(
        complete_alexnet.apply, complete_alexnet.params, images, layers=layers
    )
    dense = complete_alexnet.params["fc6"]
    kernel = np.asarray(dense["kernel"]).reshape(6, 6, 256, 4096)
    by_place = np.einsum("brcd,rcdo->bo", maps["pool5"], kernel, optimize=True)
    by_place += dense["bias"][None]
    assert distance(maps["fc6"], np.maximum(by_place, 0)) <= tolerance().rtol


@pytest.mark.oracle
def test_efficientnet_is_ported_from_a_checkpoint_of_torch(efficientnet_lite0, tmp_path):
    torch = oracle("torch")
    from oracles import torch_efficientnet

    theirs = torch_efficientnet.filled(ROOT / "weights" / "efficientnet_lite0.safetensors")
    for older in (False, True):
        torch.save(
            theirs.state_dict(), tmp_path / "x.pth", _use_new_zipfile_serialization=not older
        )
        porting.port_weights(tmp_path / "x.pth", tmp_path / "ported.safetensors")
        again = jaxviz.load("efficientnet_lite0", weights=tmp_path / "ported.safetensors")
        jax.tree.map(np.testing.assert_array_equal, again.params, efficientnet_lite0.params)


@pytest.mark.oracle
@pytest.mark.parametrize("newer", [False, True], ids=["older exporter", "newer exporter"])
def test_efficientnet_by_way_of_onnx_agrees_with_torch_in_every_layer(
    newer, efficientnet_lite0, photographs, tmp_path
):
    torch = oracle("torch")
    from oracles import torch_efficientnet, torch_networks

    theirs = torch_efficientnet.filled(ROOT / "weights" / "efficientnet_lite0.safetensors")
    image = torch_networks.photograph(photographs / PHOTOGRAPHS[0], "efficientnet_lite0")
    with torch.no_grad():
        wanted = {name: torch_networks.as_ours(value) for name, value in theirs(image).items()}
    logits = torch.nn.Module()
    logits.network, logits.forward = theirs, lambda x: theirs(x)["fc"]
    file = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own
        torch.onnx.export(logits, (image,), file, dynamo=newer, verbose=False)
    network = jaxviz.load_onnx(file)
    images = jnp.asarray(image.numpy().transpose(0, 2, 3, 1))
    with jax.default_matmul_precision("highest"):
        found = {k: np.asarray(v) for k, v in network.apply(network.params, images).items()}
    for name, value in wanted.items():
        fitting = [one for one in found.values() if one.shape == value.shape]
        assert min(distance(one, value) for one in fitting) <= tolerance().rtol, name
