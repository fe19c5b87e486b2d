"""Which reader a file needs is seen in its content; names and endings do not matter."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .._checks import InputError, choice
from ..files import MARK, claim_file
from ..networks import catalog
from ..networks.weights_files import DIGEST, check_tensors, save_weights, tensors_digest
from .caffe_model import is_caffe, port_caffe
from .deep_compression import is_deep_compression, port_deep_compression
from .named_arrays import is_arrays, port_arrays
from .onnx_model import is_onnx, port_onnx
from .ported import Ported
from .source import Source
from .torch_checkpoint import is_torch, port_torch

_READERS: tuple[tuple[Callable[[Path], bool], Callable[..., Ported]], ...] = (
    (is_torch, port_torch),
    (is_arrays, port_arrays),
    (is_deep_compression, port_deep_compression),
    (is_onnx, port_onnx),
    (is_caffe, port_caffe),
)
_CHOOSING = (port_torch, port_arrays, port_caffe)  # their files need not tell the network
_KNOWN = "PyTorch state dicts, safetensors, npz, Caffe models, ONNX, Deep Compression"


def read_foreign(path: str | os.PathLike[str], *, network: str | None = None) -> Ported:
    """Read weights in any format that is known, for the network that they fit.

    `network` says which where a file fits several, and refuses a file that is another's.
    """
    path = Path(path)
    if network is not None:
        choice(network, "network", catalog.networks())
    for recognizes, read in _READERS:
        if recognizes(path):
            found = read(path, network=network) if read in _CHOOSING else read(path)
            if network not in (None, found.network):
                raise InputError(f"weights: {path}: holds {found.network}, not {network}")
            return found
    raise InputError(f"weights: {path}: not a weights file of a known format ({_KNOWN})")


def port_weights(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    network: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Ported:
    """Write foreign weights as the safetensors file that `load` takes.

    Every tensor's name, shape, type and values are checked first. `network` says which it is, where
    the file fits several. The file's metadata name the network, the format that was read, the
    source file and its sha256, and the sha256 of all numbers, by which damage is noticed later;
    `metadata` are added to them. `output` appears whole or not at all. Returns what was written,
    with the names that were left over.

    Raises `InputError` if the file is of no known format or no known network, is damaged or holds
    anything but weights, or if `output` is there and was not made by jaxviz.
    """
    from .. import __version__

    path, output = Path(path), Path(output)
    if output.suffix != ".safetensors":
        raise InputError(f"output: expected a name that ends in .safetensors, got {output}")
    claim_file(output)
    with Source(path) as source, ThreadPoolExecutor(1) as beside:
        digest = beside.submit(source.sha256)
        found = read_foreign(path, network=network)
        parameters = catalog.parameter_shapes(found.network)
        expected = min(parameters, key=lambda one: len(one.keys() ^ found.tensors.keys()))
        check_tensors(path, found.tensors, expected)
        said = {
            **found.metadata,
            **(metadata or {}),
            MARK: __version__,
            "network": found.network,
            "source_file": path.name,
            "source_sha256": digest.result(),
            DIGEST: tensors_digest(found.tensors),
        }
    said = {_text(key): _text(value) for key, value in said.items()}
    save_weights(output, found.tensors, said)
    return found._replace(metadata=said)


def _text(value: str) -> str:
    """A text without the lone surrogates of file names, which no reader takes."""
    return value.encode(errors="replace").decode()
