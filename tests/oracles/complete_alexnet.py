"""A complete AlexNet file: the shipped convolutions with seeded random dense layers.

The values are wrapped int32 arithmetic on their indices, so that any tool makes the same ones.
"""

import numpy as np
from safetensors.numpy import load_file, save_file

DENSE = {"fc6": (9216, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)}


def scattered(size, seed):
    """`size` float32 values, even over -1 to 1 and without a pattern."""
    state = np.arange(seed * 2654435761 % 2**32, size + seed * 2654435761 % 2**32, dtype=np.uint64)
    state = state.astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        state ^= state >> np.uint32(shift)
        state *= np.uint32(factor)
    state ^= state >> np.uint32(16)
    return (state.astype(np.float32) / np.float32(2**31) - np.float32(1)).astype(np.float32)


def write(shipped, path):
    """Write the file; its scales keep the activations near one."""
    tensors = load_file(shipped)
    for seed, (name, (inputs, outputs)) in enumerate(DENSE.items(), start=1):
        values = scattered(inputs * outputs, seed) * np.float32((6 / inputs) ** 0.5)
        tensors[f"{name}.kernel"] = values.reshape(inputs, outputs)
        tensors[f"{name}.bias"] = scattered(outputs, seed + 10) * np.float32(0.1)
    save_file(tensors, path)
    return path
