"""Write the checkpoints in tests/golden: a tiny AlexNet's weights as torch itself saves them.

    PYTHONPATH=tests python tests/oracles/make_checkpoints.py

Made with torch 2.13.0: a state dict in both formats, and one in a checkpoint beside an optimizer.
"""

from pathlib import Path

import foreign_files
import torch

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def main():
    """Save the same weights three times."""
    arrays = foreign_files.as_torchvision(foreign_files.tiny_tensors())
    tensors = {name: torch.tensor(value) for name, value in arrays.items()}
    state = torch.nn.Module().state_dict()  # an ordered dict with metadata, as modules give it
    state.update(tensors)
    torch.save(state, GOLDEN / "torch_zip.pth")
    torch.save(state, GOLDEN / "torch_older.pth", _use_new_zipfile_serialization=False)

    biases = [torch.nn.Parameter(value) for name, value in tensors.items() if "bias" in name]
    optimizer = torch.optim.SGD(biases, lr=0.1, momentum=0.9)
    sum(bias.sum() for bias in biases).backward()
    optimizer.step()
    wrapped = {f"module.{name}": torch.tensor(value) for name, value in arrays.items()}
    content = {
        "epoch": 90,
        "state_dict": wrapped,
        "best": 56.5,
        "optimizer": optimizer.state_dict(),
    }
    torch.save(content, GOLDEN / "torch_wrapped.pth")


if __name__ == "__main__":
    main()
