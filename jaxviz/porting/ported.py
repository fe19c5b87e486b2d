"""What every reader of foreign weights hands back."""

from typing import NamedTuple

import numpy as np


class Ported(NamedTuple):
    """Weights of a foreign file, arranged for one of our networks.

    `network` is a name that `load` knows. `tensors` are float32, in C order, by our flat names
    ("conv1.kernel", "fc6.bias"): convolutions as (height, width, in, out), dense layers as
    (in, out). `metadata` says where they come from. `left_over` are the names in the file that the
    network has no place for.
    """

    network: str
    tensors: dict[str, np.ndarray]
    metadata: dict[str, str]
    left_over: tuple[str, ...] = ()
