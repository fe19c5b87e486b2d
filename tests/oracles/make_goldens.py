"""Write the goldens in tests/golden: what torch computes, sampled from every layer.

    python tests/oracles/make_goldens.py

Each npz holds, for every layer, 64 positions in the flattened channels-last map, the values there,
the layer's mean and its norm; and the versions that made them. The largest value's position is
always among the samples.
"""

import json
import platform
import tempfile
from pathlib import Path

import numpy as np
import torch

if __package__:
    from . import complete_alexnet, torch_networks
else:
    import complete_alexnet
    import torch_networks

ROOT = Path(__file__).resolve().parents[2]
PICTURE = "examples/images/cat/chelsea.png"
SAMPLES = 64


def positions(values, seed):
    """Where to sample: fixed places, half of them where the value is not zero."""
    draw = np.random.default_rng(seed)
    live = np.flatnonzero(values)
    some = draw.choice(live, min(SAMPLES // 2, live.size), replace=False)
    rest = draw.choice(values.size, SAMPLES - 1 - some.size, replace=False)
    return np.concatenate([[values.argmax()], some, rest]).astype(np.int64)


def write(name, network, outputs):
    """Write one network's golden."""
    arrays = {}
    for seed, (layer, value) in enumerate(outputs.items()):
        value = torch_networks.as_ours(value)
        flat = value.ravel()
        where = positions(flat, seed)
        arrays |= {
            f"{layer}.position": where,
            f"{layer}.value": flat[where],
            f"{layer}.shape": np.array(value.shape),
            f"{layer}.mean": flat.mean(dtype=np.float64),
            f"{layer}.norm": np.linalg.norm(flat.astype(np.float64)),
        }
    made = {
        "network": network,
        "picture": PICTURE,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "layers": list(outputs),
    }
    path = ROOT / "tests" / "golden" / f"{name}.npz"
    np.savez_compressed(path, made=json.dumps(made), **arrays)
    print(path.relative_to(ROOT), path.stat().st_size, "bytes")


def main():
    """Run the shipped networks on one photograph."""
    weights = ROOT / "weights"
    for network in ("alexnet", "squeezenet", "efficientnet_lite0"):
        image = torch_networks.photograph(ROOT / PICTURE, network)
        run = getattr(torch_networks, network)
        write(network, network, run(weights / f"{network}.safetensors", image))
    image = torch_networks.photograph(ROOT / PICTURE, "alexnet")
    with tempfile.TemporaryDirectory() as folder:
        file = complete_alexnet.write(
            weights / "alexnet.safetensors", Path(folder, "complete.safetensors")
        )
        write("alexnet_complete", "alexnet", torch_networks.alexnet(file, image))


if __name__ == "__main__":
    main()
