"""What torch writes is read as torch reads it; and the complete AlexNet, in time and memory."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import foreign_files as files
import jax
import numpy as np
import pytest
from conftest import ROOT, oracle
from safetensors.numpy import load_file
from tolerances import distance, tolerance

import jaxviz
from jaxviz import porting

GOLDEN = ROOT / "tests" / "golden"
OURS = files.tiny_tensors()
FORMATS = {"zip": {}, "older": {"_use_new_zipfile_serialization": False}}


@pytest.mark.parametrize("name", ["torch_zip.pth", "torch_older.pth", "torch_wrapped.pth"])
def test_files_that_torch_wrote_are_read(name, tiny_networks):
    found = porting.port_torch(GOLDEN / name)
    assert found.tensors.keys() == OURS.keys()
    for key, value in OURS.items():
        np.testing.assert_array_equal(found.tensors[key], value)
    left = ("epoch", "best", "optimizer") if "wrapped" in name else ()
    assert found.left_over == left


@pytest.mark.oracle
@pytest.mark.parametrize("older", [False, True], ids=FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_what_torch_writes_is_read(dtype, older, tiny_networks, tmp_path):
    torch = oracle("torch")
    theirs = {
        name: torch.tensor(value).to(getattr(torch, dtype))
        for name, value in files.as_torchvision(OURS).items()
    }
    flat = torch.arange(100.0).to(getattr(torch, dtype))
    theirs["features.0.weight"] = flat[3:99:2].reshape(2, 2, 3, 4).permute(3, 2, 0, 1)
    theirs["features.0.bias"] = torch.nn.Parameter(flat[1:5])
    theirs["classifier.6.bias"] = flat[7].expand(5).contiguous()
    theirs["count"] = torch.tensor(3)
    content = {"state_dict": theirs, "lr": 0.1, "steps": [1, 2], "on": True, "none": None}
    path = tmp_path / "x.pth"
    torch.save(content, path, **FORMATS["older" if older else "zip"])
    found = porting.port_torch(path)
    assert found.left_over == ("count", "lr", "steps", "on", "none")
    for name, value in files.as_torchvision(found.tensors).items():
        np.testing.assert_array_equal(value, theirs[name].detach().float().numpy())


@pytest.mark.oracle
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("container", FORMATS)
def test_every_protocol_of_pickle_is_read(protocol, container, tiny_networks, tmp_path):
    torch = oracle("torch")
    theirs = {k: torch.tensor(v) for k, v in files.as_torchvision(OURS).items()}
    torch.save(theirs, tmp_path / "x.pth", pickle_protocol=protocol, **FORMATS[container])
    found = porting.port_torch(tmp_path / "x.pth")
    for name, value in OURS.items():
        np.testing.assert_array_equal(found.tensors[name], value)


@pytest.mark.oracle
def test_whole_models_and_scripts_are_refused_and_say_what_to_save(tiny_networks, tmp_path):
    torch = oracle("torch")
    model = torch.nn.Sequential(torch.nn.Linear(2, 3))
    torch.save(model, tmp_path / "model.pth")
    with pytest.raises(jaxviz.InputError, match="Sequential"):
        porting.port_torch(tmp_path / "model.pth")
    torch.save(model[0].weight, tmp_path / "tensor.pth")
    with pytest.raises(jaxviz.InputError, match="state_dict"):
        porting.port_torch(tmp_path / "tensor.pth")


@pytest.mark.oracle
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("container", FORMATS)
def test_what_training_scripts_save_beside_the_weights_is_left_over(
    protocol, container, tiny_networks, tmp_path
):
    torch = oracle("torch")
    content = {
        "epoch": 3, "best": np.float64(0.75), "step": np.int64(7), "size": torch.Size([2, 3]),
        "args": argparse.Namespace(lr=0.1, name="a run", sizes=[1, 2]),
        "state_dict": {k: torch.tensor(v) for k, v in files.as_torchvision(OURS).items()},
    }  # fmt: skip
    torch.save(content, tmp_path / "x.pth", pickle_protocol=protocol, **FORMATS[container])
    found = porting.port_torch(tmp_path / "x.pth")
    assert found.left_over == ("epoch", "best", "step", "size", "args")
    for name, value in OURS.items():
        np.testing.assert_array_equal(found.tensors[name], value)


@pytest.fixture(scope="module")
def complete(weights_files):
    """The complete AlexNet: the shipped convolutions, random dense layers."""
    return load_file(weights_files["alexnet_complete"])


PORT = """
import json, sys, time
from jaxviz.porting import port_weights
found = port_weights(sys.argv[1], sys.argv[2])
with open("/proc/self/status") as file:
    peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
print(json.dumps([found.network, found.left_over, peak * 1024, time.process_time()]))
"""


def ported(path, output):
    """Port in a process of its own: network, left over, peak of memory in bytes, seconds."""
    run = [sys.executable, "-c", PORT, path, output]
    return json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("container", FORMATS)
def test_a_complete_alexnet_takes_twice_its_file_in_memory_and_is_exact(
    container, complete, tmp_path
):
    write = {"zip": files.zip_checkpoint, "older": files.older_checkpoint}[container]
    path, output = tmp_path / "alexnet.pth", tmp_path / "alexnet.safetensors"
    path.write_bytes(write(files.as_torchvision(complete)))
    network, left_over, peak, seconds = ported(path, output)
    assert (network, left_over) == ("alexnet", [])
    assert peak <= 2 * path.stat().st_size
    assert seconds < 10
    written = load_file(output)
    assert written.keys() == complete.keys()
    for name, value in complete.items():
        np.testing.assert_array_equal(written[name], value)
    path.unlink()
    output.unlink()


def torch_alexnet(torch):
    """AlexNet with torchvision's modules, so that its state dict has torchvision's names."""
    nn = torch.nn

    class AlexNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
                nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
                nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
                nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
                nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
            )  # fmt: skip
            self.avgpool = nn.AdaptiveAvgPool2d(6)
            self.classifier = nn.Sequential(
                nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(),
                nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000),
            )  # fmt: skip

        def forward(self, x):
            return self.classifier(self.avgpool(self.features(x)).flatten(1))

    return AlexNet().eval()


KEPT = {  # the module after which torch has our layer's activations
    "features.1": "conv1", "features.2": "pool1", "features.4": "conv2", "features.5": "pool2",
    "features.7": "conv3", "features.9": "conv4", "features.11": "conv5", "features.12": "pool5",
    "classifier.2": "fc6", "classifier.5": "fc7", "classifier.6": "fc8",
}  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("container", FORMATS)
def test_a_state_dict_of_torch_computes_what_torch_computes(container, tmp_path, photographs):
    torch = oracle("torch")
    torch.manual_seed(0)
    model = torch_alexnet(torch)
    shipped = load_file(ROOT / "weights" / "alexnet.safetensors")
    with torch.no_grad():
        for name, value in files.as_torchvision(shipped).items():
            model.get_parameter(name).copy_(torch.tensor(value))
    path, output = tmp_path / "alexnet.pth", tmp_path / "alexnet.safetensors"
    torch.save(model.state_dict(), path, **FORMATS[container])
    found = porting.port_weights(path, output)
    assert found.left_over == ()
    network = jaxviz.load("alexnet", weights=output)
    images = network.preprocess([photographs / "cat" / "chelsea.png"])

    theirs = {}

    def keep(module, given, made):
        theirs[layers[module]] = made.clone()

    layers = {model.get_submodule(name): layer for name, layer in KEPT.items()}
    for module in layers:
        module.register_forward_hook(keep)
    with torch.no_grad():
        model(torch.tensor(np.array(images)).permute(0, 3, 1, 2))
    with jax.default_matmul_precision("highest"):
        ours = jaxviz.activation_maps(network.apply, network.params, images, layers=list(theirs))
    assert list(ours) == list(network.layers())
    for layer, value in theirs.items():
        value = value.permute(0, 2, 3, 1) if value.ndim == 4 else value
        assert distance(ours[layer], value.numpy()) <= tolerance().rtol, layer
    path.unlink()
    output.unlink()
