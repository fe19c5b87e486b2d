"""The porting script reads pickles of arrays and runs nothing that a pickle may ask for."""

import builtins
import hashlib
import os
import pickle
import subprocess

import numpy as np
import pytest
from conftest import ROOT, script_at
from hypothesis import given
from hypothesis.extra import numpy as arrays


@pytest.fixture(scope="module")
def script():
    return script_at(ROOT / "weights" / "port_shipped.py")


class Call:
    """Pickles as a call of `function`, which a plain `pickle.loads` would run."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def as_written_by_numpy_1(value):
    """A pickle under the module names that the source packages' NumPy had."""
    data = pickle.dumps(value, 3)
    return data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def test_the_attacks_of_these_tests_do_run_in_a_plain_unpickler(tmp_path):
    target = tmp_path / "ran"
    pickle.loads(pickle.dumps(Call(os.mkdir, str(target))))
    assert target.is_dir()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("hidden", [False, True], ids=["bare", "beside arrays"])
@pytest.mark.parametrize(
    "function", [os.system, os.mkdir, eval, exec, open, subprocess.call, np.save, np.load, getattr]
)
def test_a_pickle_that_would_run_something_is_refused_and_nothing_runs(
    function, hidden, protocol, script, tmp_path
):
    target = tmp_path / "ran"
    argument = {
        os.system: f"touch {target}",
        eval: f"__import__('os').mkdir({str(target)!r})",
        exec: f"__import__('os').mkdir({str(target)!r})",
        subprocess.call: ["touch", str(target)],
    }.get(function, str(target))
    more = {np.save: (1,), open: ("w",), getattr: ("upper",)}.get(function, ())
    attack = Call(function, argument, *more)
    data = pickle.dumps({"a": np.ones(2), "b": attack} if hidden else attack, protocol)
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        script.read_pickle(data)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "module, name",
    [
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("os", "system"),
        ("posix", "system"),
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
    ],
)
def test_no_other_global_is_admitted_by_any_opcode(module, name, script, monkeypatch):
    monkeypatch.setattr(builtins, "eval", lambda *arguments: pytest.fail("eval was run"))
    old = f"c{module}\n{name}\n.".encode()
    words = b"".join(b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name))
    for data in (old, b"\x80\x04" + words + b"\x93."):
        with pytest.raises(pickle.UnpicklingError, match="refused"):
            script.read_pickle(data)


def test_a_reference_outside_the_file_is_refused(script):
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        script.read_pickle(b"Psomewhere\n.")


def test_a_pickle_of_arrays_is_read(script):
    shapes = arrays.array_shapes(min_dims=0, max_dims=4, max_side=4)

    @given(arrays.arrays(np.float32, shapes))
    def check(value):
        tree = {"layer": [value, {"bias": value.copy()}], "name": "conv1"}
        found = script.read_pickle(as_written_by_numpy_1(tree))
        assert found["name"] == "conv1"
        for array in (found["layer"][0], found["layer"][1]["bias"]):
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, value)

    check()


def test_an_array_pickled_by_python_2_is_read(script):
    data = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I2\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
        b"I00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00\\xc0'\ntb."
    )
    assert script.read_pickle(data).tolist() == [1.0, -2.0]


def test_a_download_with_another_sha256_is_refused(script, tmp_path, monkeypatch):
    def download(command, **options):
        place = command[command.index("--dest") + 1]
        place.mkdir(parents=True)
        (place / "package-1.tar.gz").write_bytes(b"other")

    monkeypatch.setattr(script.subprocess, "run", download)
    with pytest.raises(SystemExit, match="sha256"):
        script.fetch("package==1", "0" * 64, tmp_path / "a")
    right = hashlib.sha256(b"other").hexdigest()
    assert script.fetch("package==1", right, tmp_path / "b").name == "package-1.tar.gz"
