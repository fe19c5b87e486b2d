"""Weights in any known format, recognized by their content and not by their name, become ours."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .._checks import InputError, choice
from .._safetensors import utf8
from ..files import MARK, claim_file
from ..networks import catalog
from ..networks.weights_files import DIGEST, check_tensors, save_weights, tensors_digest
from .arrangement import Ported
from .caffe_model import is_caffe, port_caffe
from .deep_compression import is_deep_compression, port_deep_compression
from .named_arrays import is_arrays, port_arrays
from .onnx_graph import is_onnx
from .onnx_model import port_onnx
from .source import Source
from .torch_checkpoint import is_torch, port_torch

_READERS: tuple[tuple[Callable[[Source], bool], Callable[..., Ported]], ...] = (
    (is_torch, port_torch),
    (is_arrays, port_arrays),
    (is_deep_compression, port_deep_compression),
    (is_onnx, port_onnx),
    (is_caffe, port_caffe),
)
_TAKING_NETWORK = (port_torch, port_arrays, port_caffe)  # their files need not tell the network
_KNOWN = "PyTorch state dicts, safetensors, npz, Caffe models, ONNX, Deep Compression"


def read_foreign(path: str | os.PathLike[str], *, network: str | None = None) -> Ported:
    """Read weights in any format that is known, for the network that they fit.

    `network` says which where a file fits several, and refuses a file that is another's.
    """
    path = Path(path)
    if network is not None:
        choice(network, "network", catalog.networks())
    with Source(path) as source:
        readers = [read for recognizes, read in _READERS if _is(recognizes, source)]
    if not readers:
        raise InputError(f"weights: {path}: not a weights file of a known format ({_KNOWN})")
    read = readers[0]
    ported = read(path, network=network) if read in _TAKING_NETWORK else read(path)
    if network not in (None, ported.network):
        raise InputError(f"weights: {path}: holds {ported.network}, not {network}")
    return ported


def _is(recognizes: Callable[[Source], bool], source: Source) -> bool:
    try:
        return recognizes(source)
    except InputError:
        return False


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
    with Source(path) as source, ThreadPoolExecutor(1) as executor:
        digest = executor.submit(source.sha256)
        ported = read_foreign(path, network=network)
        check_tensors(path, ported.tensors, catalog.nearest_shapes(ported.network, ported.tensors))
        metadata = {
            **ported.metadata,
            **(metadata or {}),
            MARK: __version__,
            "network": ported.network,
            "source_file": path.name,
            "source_sha256": digest.result(),
            DIGEST: tensors_digest(ported.tensors),
        }
    metadata = {utf8(key): utf8(value) for key, value in metadata.items()}
    save_weights(output, ported.tensors, metadata)
    return ported._replace(metadata=metadata)
