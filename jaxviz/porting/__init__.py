"""Conversion of other tools' weights into files that `load` takes; no code in them is run."""

from .arrangement import Ported as Ported
from .caffe_model import port_caffe as port_caffe
from .deep_compression import port_deep_compression as port_deep_compression
from .download import download_weights as download_weights
from .named_arrays import port_arrays as port_arrays
from .onnx_model import port_onnx as port_onnx
from .recognition import port_weights as port_weights
from .recognition import read_foreign as read_foreign
from .torch_checkpoint import port_torch as port_torch
