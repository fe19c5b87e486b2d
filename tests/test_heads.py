"""Head files: what was written is read, and what would not be read is not written."""

import numpy as np
import pytest
from conftest import refusal

import jaxviz
from jaxviz.networks.heads import Head, load_head, save_head, with_head

GOOD = Head(np.eye(4, 2), np.zeros(2), "pool5", 6, ("cat", "dog"), "alexnet")


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": np.full((4, 2), np.nan)}, {"weights": np.full((4, 2), 1e300)},
        {"labels": "ab"}, {"layer": None}, {"network": None}, {"digest": None}, {"grid": 1.5},
        {"grid": 0}, {"labels": ("cat", 3)}, {"bias": np.zeros(3)},
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_head_that_could_not_be_read_is_not_written(changes, tmp_path, unchecked):
    path = save_head(tmp_path / "head.safetensors", GOOD)
    before = path.read_bytes()
    bad = GOOD._replace(**changes)
    assert refusal(save_head, path, bad).startswith("head: ")
    assert path.read_bytes() == before
    assert refusal(with_head, jaxviz.load("alexnet"), bad).startswith("head: ")


@pytest.mark.parametrize("word", [b"pool5", b"dog", b"alexnet"])
def test_other_words_are_damage(word, tmp_path):
    path = save_head(tmp_path / "head.safetensors", GOOD)
    data = path.read_bytes()
    assert word in data
    path.write_bytes(data.replace(word, word[:-1] + b"x"))
    assert "damaged" in refusal(load_head, path)
