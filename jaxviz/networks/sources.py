"""The official files of complete weights: address, digest, size, license and accuracy."""

import hashlib
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .places import cached_file

_PIECE = 2**20
_CAFFE = "http://dl.caffe.berkeleyvision.org"
_CAFFE_LICENSE = "released for unrestricted use"


class Official(NamedTuple):
    """A file as its authors published it.

    `digest` is hexadecimal, by `digest_kind`: "sha256", "sha1", or "git", the sha1 by which git
    knows a file. `num_bytes` is the file's size; where none was published, `most_bytes` bounds it.
    `accuracy` is its authors' own, on the 50,000 pictures of ImageNet's validation set.
    """

    network: str
    title: str
    address: str
    digest_kind: str
    digest: str
    most_bytes: int
    license: str
    accuracy: str
    num_bytes: int | None = None

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.address.rpartition("/")[2]


OFFICIAL: Mapping[str, Official] = {
    "alexnet": Official(
        network="alexnet",
        title="torchvision's AlexNet",
        address="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        digest_kind="sha256",
        digest="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        most_bytes=244_408_911,
        num_bytes=244_408_911,
        license="BSD-3-Clause (torchvision)",
        accuracy="56.5 % top-1, 79.1 % top-5",
    ),
    "caffe_alexnet": Official(
        network="caffe_alexnet",
        title="Caffe's AlexNet, the 96-filter network of the 2012 paper",
        address=f"{_CAFFE}/bvlc_alexnet.caffemodel",
        digest_kind="sha1",
        digest="9116a64c0fbe4459d18f4bb6b56d647b63920377",
        most_bytes=250_000_000,
        license=_CAFFE_LICENSE,
        accuracy="57.1 % top-1, 80.2 % top-5",
    ),
    "caffe_alexnet-compressed": Official(
        network="caffe_alexnet",
        title="Caffe's AlexNet after Deep Compression, the smallest download",
        address="https://raw.githubusercontent.com/songhan/Deep-Compression-AlexNet/master/"
        "AlexNet_compressed.net",
        digest_kind="git",
        digest="ea0d14e98edfbcbfba995003c94d7259fa23b6cc",
        most_bytes=16_000_000,
        license="BSD-2-Clause (Deep Compression)",
        accuracy="57.1 % top-1, 80.3 % top-5",
    ),
    "caffe_alexnet-onnx": Official(
        network="caffe_alexnet",
        title="Caffe's AlexNet as the ONNX model zoo has it, for pictures of 224 pixels a side",
        address="https://huggingface.co/onnxmodelzoo/bvlcalexnet-12/resolve/main/bvlcalexnet-12.onnx",
        digest_kind="sha256",
        digest="6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945",
        most_bytes=243_863_787,
        num_bytes=243_863_787,
        license="BSD-3-Clause (ONNX model zoo)",
        accuracy="54.8 % top-1, 78.2 % top-5",
    ),
    "caffenet": Official(
        network="caffenet",
        title="Caffe's reference CaffeNet, which pools before it normalizes",
        address=f"{_CAFFE}/bvlc_reference_caffenet.caffemodel",
        digest_kind="sha1",
        digest="4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
        most_bytes=250_000_000,
        license=_CAFFE_LICENSE,
        accuracy="57.4 % top-1, 80.4 % top-5",
    ),
}

# Of shipped networks; AlexNet's convolutions alone have none.
MEASURED = {
    "squeezenet": "66.0 % top-1, 84.8 % top-5 on 250 ImageNet pictures",
    "efficientnet_lite0": "89.2 % top-1, 97.6 % top-5 on 250 ImageNet pictures",
}


def file_digest(path: Path, kind: str) -> str:
    """A file's digest, hexadecimal; `kind` is "sha256", "sha1" or "git"."""
    algorithm = hashlib.sha256() if kind == "sha256" else hashlib.sha1()
    if kind == "git":
        algorithm.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            algorithm.update(piece)
    return algorithm.hexdigest()


def by_hand(name: str, official: Official) -> str:
    """What to do where a file cannot be fetched."""
    output = shlex.quote(str(cached_file(name)))
    return (
        f"download {official.address} by hand, then: "
        f"jaxviz weights port {official.file} -o {output}"
    )
