"""Foreign weights become ours: every name, every axis, every number."""

import hashlib
import itertools

import foreign_files as files
import numpy as np
import pytest
from conftest import ROOT
from safetensors.numpy import load_file

import jaxviz
from jaxviz import porting
from jaxviz.networks import catalog
from jaxviz.networks.weights_files import read_weights, save_weights

OURS = files.tiny_tensors()
THEIRS = files.as_torchvision(OURS)
WRITERS = {
    "zip": files.zip_checkpoint,
    "older": files.older_checkpoint,
    "npz": files.npz,
    "safetensors": lambda arrays: files.safetensors(files.safetensors_parts(arrays)),
}
FORMATS = {
    "zip": "PyTorch state dict (zip)",
    "older": "PyTorch state dict (the format before torch 1.6)",
    "npz": "npz",
    "safetensors": "safetensors",
}


@pytest.fixture(autouse=True)
def tiny(request, tiny_networks):
    """All networks are tiny, but where a test is marked."""


@pytest.fixture
def ported(tmp_path):
    """Write bytes to a file, port it, and read what was written."""

    def port(data):
        (tmp_path / "foreign").write_bytes(data)
        found = porting.port_weights(tmp_path / "foreign", tmp_path / "ours.safetensors")
        written = read_weights(tmp_path / "ours.safetensors")
        assert written.metadata == found.metadata
        assert_equal(written.tensors, found.tensors)
        return found

    return port


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == np.float32
        assert found[name].flags.c_contiguous
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("arrays", [THEIRS, OURS], ids=["torchvision", "ours"])
def test_every_format_is_read_by_torchvisions_names_and_by_ours(writer, arrays, ported, tmp_path):
    found = ported(WRITERS[writer](arrays))
    assert_equal(found.tensors, OURS)
    assert found.network == "alexnet"
    assert found.left_over == ()
    digest = hashlib.sha256((tmp_path / "foreign").read_bytes()).hexdigest()
    numbers = hashlib.sha256(b"".join(OURS[name].tobytes() for name in sorted(OURS))).hexdigest()
    assert found.metadata == {
        "network": "alexnet",
        "format": FORMATS[writer],
        "source_file": "foreign",
        "source_sha256": digest,
        "tensors_sha256": numbers,
        "jaxviz": jaxviz.__version__,
    }


def test_each_number_of_fc6_and_of_a_convolution_is_where_our_order_has_it(ported):
    arrays = dict(THEIRS)
    outputs, channels = 3, 2
    weight = np.zeros((outputs, channels * 36), np.float32)
    for out, channel, row, col in itertools.product(range(3), range(2), range(6), range(6)):
        weight[out, channel * 36 + row * 6 + col] = 1000 * out + 100 * channel + 10 * row + col
    kernel = np.zeros((4, 3, 2, 2), np.float32)
    for out, channel, row, col in itertools.product(range(4), range(3), range(2), range(2)):
        kernel[out, channel, row, col] = 1000 * out + 100 * channel + 10 * row + col
    found = ported(files.npz(arrays | {"classifier.1.weight": weight, "features.0.weight": kernel}))
    for out, channel, row, col in itertools.product(range(3), range(2), range(6), range(6)):
        number = 1000 * out + 100 * channel + 10 * row + col
        assert found.tensors["fc6.kernel"][(row * 6 + col) * channels + channel, out] == number
    for out, channel, row, col in itertools.product(range(4), range(3), range(2), range(2)):
        number = 1000 * out + 100 * channel + 10 * row + col
        assert found.tensors["conv1.kernel"][row, col, channel, out] == number


@pytest.mark.parametrize("writer", WRITERS)
def test_convolutions_alone_are_the_network_that_ends_at_pool5(writer, ported):
    for arrays in (THEIRS, OURS):
        some = {k: v for k, v in arrays.items() if k.startswith(("features", "conv"))}
        expected = {k: v for k, v in OURS.items() if k.startswith("conv")}
        assert_equal(ported(WRITERS[writer](some)).tensors, expected)


@pytest.mark.parametrize("writer", WRITERS)
def test_what_the_network_has_no_place_for_is_reported(writer, ported):
    extra = {"features.1.running_mean": np.ones(3, np.float32), "count": np.ones(1, np.int64)}
    if writer == "safetensors":
        extra["count"] = np.ones(1, np.float64)
    found = ported(WRITERS[writer]({**THEIRS, **extra}))
    assert_equal(found.tensors, OURS)
    assert found.left_over == tuple(extra)


@pytest.mark.parametrize("older", [False, True], ids=["zip", "older"])
@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model", "net", "weights"])
def test_a_state_dict_in_a_checkpoint_is_found(wrapper, older, ported):
    prefixed = {f"module.{name}": value for name, value in THEIRS.items()}
    inner = files.described(prefixed, older=older)
    optimizer = {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.1, "params": [0, 2**40]}]}
    content = {"epoch": 90, wrapper: inner, "optimizer": optimizer, "best": 56.5, "arch": "alex"}
    write = files.older_checkpoint if older else files.zip_checkpoint
    found = ported(write(prefixed, content))
    assert_equal(found.tensors, OURS)
    assert found.left_over == ("epoch", "optimizer", "best", "arch")


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "net.", "module._orig_mod.model.", "a.b.c.d.e.f."]
)
@pytest.mark.parametrize("writer", WRITERS)
def test_names_may_begin_with_what_is_around_the_network(prefix, writer, ported):
    renamed = {prefix + name: value for name, value in THEIRS.items()}
    found = ported(WRITERS[writer]({**renamed, "loss.weight": np.ones(3, np.float32)}))
    assert_equal(found.tensors, OURS)
    assert found.left_over == ("loss.weight",)


@pytest.mark.parametrize("inner", ["features.module.", "features._orig_mod.module."])
def test_wrappers_of_torch_may_be_around_a_part(inner, ported):
    renamed = {name.replace("features.", inner): value for name, value in THEIRS.items()}
    assert_equal(ported(files.zip_checkpoint(renamed)).tensors, OURS)


def test_two_networks_in_one_file_are_refused_by_their_places(refused):
    both = {f"{who}.{name}": v for who in ("student", "teacher") for name, v in THEIRS.items()}
    assert "under 'student.' and 'teacher.'" in refused(files.zip_checkpoint(both))
    inner = files.described(both)
    parts = [
        {name: value for name, value in inner.items() if name.startswith(who)}
        for who in ("student", "teacher")
    ]
    content = {"first": parts[0], "averaged": {"inner": parts[1]}}
    assert "first and averaged.inner" in refused(files.zip_checkpoint(both, content))


def test_of_several_state_dicts_the_networks_own_is_read(ported):
    arrays = {**THEIRS, "exp_avg": np.ones(3, np.float32)}
    inner = files.described(arrays)
    moments = {"state": {"a": {"exp_avg": inner.pop("exp_avg")}}}
    content = {"optimizer": moments, "nets": {"classifier": inner}}
    found = ported(files.zip_checkpoint(arrays, content))
    assert_equal(found.tensors, OURS)
    assert found.left_over == ("optimizer",)


def test_a_file_without_tensors_says_so(refused):
    assert refused(WRITERS["safetensors"]({})).endswith("holds no tensors")
    assert "holds no state dict" in refused(files.zip_checkpoint({}, {"epoch": 3}))


def called(name, *arguments):
    return files.Called(files.Named(name), arguments)


def test_what_training_saves_beside_the_weights_is_left_over(ported):
    encoded = called("_codecs encode", "abcdefgh", "latin1")
    number = called("numpy.core.multiarray scalar", called("numpy dtype", "f8", 0, 1), encoded)
    content = {
        "state_dict": files.described(THEIRS), "best": number, "size": called("torch Size", (3, 4))
    }  # fmt: skip
    found = ported(files.zip_checkpoint(THEIRS, content))
    assert_equal(found.tensors, OURS)
    assert found.left_over == ("best", "size")


def test_parameters_and_the_ordered_dicts_of_python_2_are_read(ported):
    pairs = [
        [name, files.Called(files.Named("torch._utils _rebuild_parameter"), (value, True, None))]
        for name, value in files.described(THEIRS).items()
    ]
    content = files.Called(files.Named("collections OrderedDict"), (pairs,))
    assert_equal(ported(files.zip_checkpoint(THEIRS, content)).tensors, OURS)


def test_checkpoints_of_python_2_and_of_a_gpu_are_read(ported):
    """Texts and long numbers as Python 2 pickled them, and storages that lay on a GPU."""
    content = {
        name: files.tensor(array, str(key), older=True, kind="torch.cuda FloatStorage")
        for key, (name, array) in enumerate(THEIRS.items())
    }
    parts = files.older_parts(THEIRS, {"state_dict": content, "optimizer": [2**40]})
    long, short = files.pickled(2**40)[2:-1], files.pickled("state_dict")[2:-1]
    assert long in parts[3]
    assert short in parts[3]
    parts[3] = parts[3].replace(long, b"I1099511627776\n").replace(short, b"U\x0astate_dict")
    found = ported(b"".join(parts))
    assert_equal(found.tensors, OURS)
    assert found.left_over == ("optimizer",)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_other_floats_become_float32(dtype, writer, ported):
    arrays = {name: value.astype(dtype) for name, value in THEIRS.items()}
    expected = {name: value.astype(dtype).astype("f4") for name, value in OURS.items()}
    assert_equal(ported(WRITERS[writer](arrays)).tensors, expected)


@pytest.mark.parametrize("writer", ["zip", "older", "safetensors"])
def test_bfloat16_becomes_float32(writer, ported):
    halves = {k: (v.view(np.uint32) >> 16).astype(np.uint16) for k, v in THEIRS.items()}
    expected = {k: (v.view(np.uint32) >> 16 << 16).view(np.float32) for k, v in OURS.items()}
    if writer == "safetensors":
        header, data = files.safetensors_parts(halves)
        found = ported(files.safetensors([header.replace(b"U16", b"BF16"), data]))
    else:
        older = writer == "older"
        content = {
            name: files.tensor(array.view(np.float16), str(key), older=older, kind=BFLOAT16)
            for key, (name, array) in enumerate(halves.items())
        }
        found = ported(WRITERS[writer](halves, content))
    assert_equal(found.tensors, expected)


BFLOAT16 = "torch BFloat16Storage"


@pytest.mark.parametrize("older", [False, True], ids=["zip", "older"])
def test_strides_and_shared_storages_are_followed(older, ported):
    """Each tensor transposed in memory, and all of them in one storage."""
    content, flat = {}, []
    for name, array in THEIRS.items():
        turned = np.asfortranarray(array)
        strides = tuple(step // 4 for step in turned.strides)
        place = sum(map(len, flat))
        flat.append(turned.ravel(order="K"))
        content[name] = {"offset": place, "shape": array.shape, "strides": strides}
    storage = np.concatenate(flat)
    content = {k: files.tensor(storage, "0", older=older, **v) for k, v in content.items()}
    write = files.older_checkpoint if older else files.zip_checkpoint
    assert_equal(ported(write({"all": storage}, content)).tensors, OURS)


def test_a_contiguous_part_of_a_storage_is_read(ported):
    storage = np.concatenate([np.ones(7, np.float32), *map(np.ravel, THEIRS.values())])
    content, place = {}, 7
    for name, array in THEIRS.items():
        shape, strides = array.shape, tuple(step // 4 for step in array.strides)
        part = {"offset": place, "shape": shape, "strides": strides}
        content[name] = files.tensor(storage, "0", older=False, **part)
        place += array.size
    assert_equal(ported(files.zip_checkpoint({"all": storage}, content)).tensors, OURS)


def test_big_endian_numbers_are_turned_where_a_zip_or_npz_says_so(ported):
    turned = {name: value.astype(">f4") for name, value in THEIRS.items()}
    members = files.zip_members(turned, files.described(THEIRS)) | {"archive/byteorder": b"big"}
    assert_equal(ported(files.zipped(members)).tensors, OURS)
    assert_equal(ported(files.npz(turned)).tensors, OURS)


def test_a_byte_order_that_cannot_be_read_is_refused(refused):
    members = files.zip_members(THEIRS) | {"archive/byteorder": b"pdp"}
    assert "pdp" in refused(files.zipped(members))
    assert "highest byte" in refused(files.older_checkpoint(THEIRS, little_endian=False))


def test_compressed_and_fortran_ordered_npz_are_read(ported):
    assert_equal(ported(files.npz(THEIRS, compression=8)).tensors, OURS)
    turned = {name: np.asfortranarray(value) for name, value in THEIRS.items()}
    assert_equal(ported(files.npz(turned)).tensors, OURS)


def test_what_numpy_and_safetensors_write_is_read(tmp_path, ported):
    from safetensors.numpy import save

    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "x.npz", **THEIRS)
        assert_equal(ported((tmp_path / "x.npz").read_bytes()).tensors, OURS)
    assert_equal(ported(save(dict(THEIRS))).tensors, OURS)


def test_metadata_of_our_own_files_are_kept_but_cannot_lie(tmp_path, ported):
    said = {"license": "MIT", "source": "here", "source_sha256": "0", "format": "x"}
    file = save_weights(tmp_path / "own.safetensors", OURS, said)
    found = ported(file.read_bytes())
    assert found.metadata["license"] == "MIT"
    assert found.metadata["source_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found.metadata["format"] == "safetensors"


def test_texts_that_no_reader_takes_are_replaced(tmp_path, ported):
    parts = files.safetensors_parts(OURS, {"by": "\ud800", "\udc00": "x"})
    assert ported(files.safetensors(parts)).metadata["by"] == "?"


def without(name):
    return {key: value for key, value in THEIRS.items() if key != name}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    "arrays, said",
    [
        (without("classifier.4.bias"), "alexnet; missing: classifier.4.bias"),
        (without("features.3.weight"), "alexnet; missing: features.3.weight"),
        (THEIRS | {"classifier.6.bias": np.zeros(9, "f4")}, "classifier.6.bias has shape (9,)"),
        (THEIRS | {"features.0.weight": np.zeros((4, 3, 4), "f4")}, "expected (4, 3, 2, 2)"),
        (THEIRS | {"features.0.bias": np.full(4, np.nan, "f4")}, "conv1.bias holds values"),
        (THEIRS | {"features.0.bias": np.full(4, 1e300)}, "not finite"),
        (THEIRS | {"classifier.1.bias": np.zeros(3, "i8")}, "classifier.1.bias: its numbers are"),
        ({"a": np.zeros(2, "f4"), "b": np.ones(2, "f4")}, "no network known here: a, b"),
        ({"features.3.squeeze.weight": np.zeros(2, "f4")}, "SqueezeNet"),
        (THEIRS | {"module.features.0.bias": np.ones(4, "f4")}, "two tensors of the name"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(arrays, said, writer, refused):
    assert said in refused(WRITERS[writer](arrays))


@pytest.mark.parametrize(
    "data, said",
    [
        (b"", "is empty"),
        (b"hello" * 100, "not a weights file of a known format"),
        (files.pickled({"a": 1}), "not a weights file of a known format"),
        (files.zipped({"a.txt": b"x"}), "not a weights file of a known format"),
        (files.zip_checkpoint({}, [1, 2]), "no state dict"),
        (files.zipped({"a/data.pkl": b"", "b/data.pkl": b""}), "2 data.pkl"),
        (files.zipped(files.zip_members(THEIRS) | {"archive/constants.pkl": b""}), "TorchScript"),
    ],
)
def test_what_is_no_state_dict_is_refused(data, said, refused):
    assert said in refused(data)


def test_paths_that_are_no_files_are_refused_by_name(tmp_path):
    for path, said in {tmp_path: "is a folder", tmp_path / "absent": "no such file"}.items():
        for function in (porting.port_torch, porting.port_arrays, porting.read_foreign):
            with pytest.raises(jaxviz.InputError, match=said) as caught:
                function(path)
            assert str(path) in str(caught.value)


def test_readers_of_one_format_refuse_the_others(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(files.npz(THEIRS))
    with pytest.raises(jaxviz.InputError, match=r"0 data\.pkl"):
        porting.port_torch(path)
    path.write_bytes(files.older_checkpoint(THEIRS))
    with pytest.raises(jaxviz.InputError, match="end record"):
        porting.port_arrays(path)


def test_an_output_that_is_not_ours_is_left_alone(tmp_path):
    foreign, output = tmp_path / "foreign", tmp_path / "own.safetensors"
    foreign.write_bytes(files.npz(THEIRS))
    with pytest.raises(jaxviz.InputError, match=r"ends in \.safetensors"):
        porting.port_weights(foreign, tmp_path / "own.npz")
    output.write_bytes(files.safetensors(files.safetensors_parts(THEIRS)))
    before = output.read_bytes()
    with pytest.raises(jaxviz.InputError, match="was not made by jaxviz"):
        porting.port_weights(foreign, output)
    assert output.read_bytes() == before
    output.unlink()
    for _ in range(2):  # its own earlier file may be replaced
        porting.port_weights(foreign, output)
    assert_equal(load_file(output), OURS)


def test_any_file_name_will_do(tmp_path):
    for name in ("a\nb.pth", "\udcff.pth", "x" * 200, "a b;c.PTH"):
        path = tmp_path / name
        path.write_bytes(files.zip_checkpoint(THEIRS))
        found = porting.port_weights(path, tmp_path / "ours.safetensors")
        kept = read_weights(tmp_path / "ours.safetensors").metadata["source_file"]
        assert kept == found.metadata["source_file"] == name.replace("\udcff", "?")


def test_the_command_says_what_it_found(command, tmp_path):
    path, output = tmp_path / "some.pth", tmp_path / "new" / "ours.safetensors"
    extra = {"features.1.weight": np.ones(2, np.float32)}
    path.write_bytes(files.zip_checkpoint(THEIRS | extra))
    code, out, err = command("weights", "port", path, "-o", output)
    assert (code, err) == (0, "")
    assert "alexnet: 16 tensors" in out
    assert hashlib.sha256(path.read_bytes()).hexdigest() in out
    assert "features.1.weight" in out
    assert out.splitlines()[-1] == str(output)
    path.write_bytes(path.read_bytes()[:-1])
    code, out, err = command("weights", "port", path, "-o", tmp_path / "b.safetensors")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert str(path) in err


def test_our_own_shipped_files_are_recognized(tmp_path, monkeypatch):
    monkeypatch.undo()
    for name in ("alexnet", "squeezenet"):
        source = ROOT / "weights" / f"{name}.safetensors"
        found = porting.port_weights(source, tmp_path / f"{name}.safetensors")
        assert found.network == name
        assert_equal(found.tensors, load_file(source))
        assert jaxviz.load(name, weights=tmp_path / f"{name}.safetensors").name == name


def test_arrays_that_fit_several_networks_are_asked_about(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "networks", lambda: ("caffe_alexnet", "caffenet"))
    path, output = tmp_path / "arrays.npz", tmp_path / "ours.safetensors"
    path.write_bytes(files.npz(OURS))
    with pytest.raises(jaxviz.InputError, match="caffe_alexnet and caffenet alike; say which"):
        porting.port_weights(path, output)
    assert porting.port_weights(path, output, network="caffenet").network == "caffenet"
    with pytest.raises(jaxviz.InputError, match="unknown name 'resnet'"):
        porting.port_weights(path, output, network="resnet")
