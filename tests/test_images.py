"""Pictures of every kind come out upright and RGB; what is no picture is refused by name."""

import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from picture_files import png, png_of
from PIL import Image

import jaxviz
from jaxviz.pictures.decoding import MAX_PIXELS, decode
from jaxviz.pictures.preprocessing import Preprocessing

TORCHVISION = Preprocessing(256, 224, 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CAFFE = Preprocessing(256, 227, 1.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
pixels_of = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
preprocessings = st.sampled_from([TORCHVISION, CAFFE])


def scene(height=20, width=30, seed=0):
    """Smooth colors, all corners different, so that JPEG keeps them and no turn is the same."""
    rows, cols = np.mgrid[:height, :width].astype(float)
    red, green = 255 * rows / height, 255 * cols / width
    return np.stack([red, green, 90 + seed + 0 * rows], axis=-1).astype(np.uint8)


def refusal(source):
    with pytest.raises(jaxviz.InputError) as caught:
        decode(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


# What the file must hold for orientation `o` to give the scene back, from the EXIF standard's
# words: 2 mirrored left-right, 3 turned by 180, 4 mirrored top-bottom, 5 rows are columns,
# 6 the 0th row is the right side, 7 rows are columns, from the other corner, 8 the left side.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[:, ::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tiff"])
def test_every_orientation_comes_out_upright(orientation, kind, tmp_path):
    upright = scene(24, 32)
    file = tmp_path / f"turned.{kind}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    lossless = {"lossless": True} if kind == "webp" else {}
    stored.save(file, exif=exif, quality=95, **lossless)
    found = decode(file)
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).max() <= (16 if kind == "jpg" else 0)


@given(pixels_of)
def test_paths_pillow_images_and_arrays_agree(tmp_path_factory, pixels):
    file = tmp_path_factory.mktemp("png") / "one.png"
    Image.fromarray(pixels).save(file)
    for source in (file, str(file), Image.open(file), Image.fromarray(pixels), pixels):
        np.testing.assert_array_equal(decode(source), pixels)


def saved(tmp_path, image, name, **options):
    file = tmp_path / name
    image.save(file, **options)
    return decode(file)


def test_gray_pictures_get_three_equal_channels(tmp_path):
    gray = scene()[..., 0]
    wanted = np.repeat(gray[..., None], 3, axis=2)
    np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(gray), "gray.png"), wanted)
    np.testing.assert_array_equal(decode(gray), wanted)
    np.testing.assert_array_equal(decode(gray[..., None]), wanted)


@given(pixels_of, st.integers(0, 255))
def test_transparent_pixels_show_white(pixels, alpha):
    rgba = np.concatenate([pixels, np.full_like(pixels[..., :1], alpha)], axis=2)
    wanted = pixels * (alpha / 255) + 255 * (1 - alpha / 255)
    assert np.abs(decode(rgba) - wanted).max() <= 1
    gray = np.ascontiguousarray(rgba[..., 2:])
    wanted = np.repeat(wanted[..., 2:], 3, axis=2)
    image = Image.merge("LA", [Image.fromarray(gray[..., i]) for i in (0, 1)])
    assert np.abs(decode(image) - wanted).max() <= 1


def test_a_palette_with_transparency_shows_its_colors_and_white(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode=None).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    found = saved(tmp_path, image, "palette.png", transparency=1)
    assert found.tolist() == [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]]
    assert saved(tmp_path, image, "opaque.png").tolist()[0][1] == [40, 50, 60]


def test_one_bit_pictures_are_black_and_white(tmp_path):
    bits = np.array([[0, 255, 0], [255, 0, 255]], np.uint8)
    found = saved(tmp_path, Image.fromarray(bits).convert("1"), "bits.png")
    np.testing.assert_array_equal(found, np.repeat(bits[..., None], 3, axis=2))


def test_cmyk_jpegs_have_their_rgb_colors(tmp_path):
    picture = scene(64, 64)
    found = saved(tmp_path, Image.fromarray(picture).convert("CMYK"), "c.jpg", quality=95)
    assert np.abs(found.astype(int) - picture).mean() < 3


def test_sixteen_bits_map_the_whole_range(tmp_path):
    values = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    for name in ("gray.png", "gray.tiff"):
        found = saved(tmp_path, Image.fromarray(values), name)
        assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
        assert (found == found[..., :1]).all()


def test_sixteen_bit_color_keeps_its_high_byte(tmp_path):
    values = np.array([[[0, 32896, 65535], [65535, 257, 0]]], np.uint16)
    file = tmp_path / "deep.png"
    file.write_bytes(png_of(values, 16, 2))
    assert decode(file).tolist() == [[[0, 128, 255], [255, 1, 0]]]


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue", "lime")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert (decode(tmp_path / "moving.gif") == [255, 0, 0]).all()


def encoded(kind):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_a_picture_cut_short_anywhere_is_refused_by_name(kind, tmp_path):
    data = encoded(kind)
    file = tmp_path / "cut.picture"
    tail = {"JPEG": 3, "PNG": 30, "GIF": 30, "BMP": 1}[kind]  # what holds no pixels
    for length in [*range(1, 64, 3), *np.linspace(64, len(data) - tail, 40).astype(int)]:
        file.write_bytes(data[:length])
        assert str(file) in refusal(file), length


def test_a_pillow_image_of_a_cut_file_is_refused_too(tmp_path):
    file = tmp_path / "cut.jpg"
    file.write_bytes(encoded("JPEG")[:900])
    with Image.open(file) as image:
        assert "cut.jpg" in refusal(image)


def test_what_is_no_picture_is_refused_by_name(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture\n" * 50)
    for name, reason in {
        "empty.jpg": "empty",
        "text.jpg": "not a picture",
        "absent.jpg": "no such file",
        ".": "is a folder",
    }.items():
        message = refusal(tmp_path / name)
        assert message.startswith(str(tmp_path / name)), message
        assert reason in message


@pytest.mark.parametrize("side", [12000, 16000, 60000, 2**31 - 1])
def test_an_enormous_picture_is_refused_before_memory_is_taken(side, tmp_path, monkeypatch):
    assert side**2 > MAX_PIXELS
    file = tmp_path / "enormous.png"
    header = (side, side, 8, 2, 0, 0, 0)
    file.write_bytes(png(header, (b"IDAT", zlib.compress(b"\0" * 1000))))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("pixels were decoded"))
    message = refusal(file)
    assert str(file) in message
    assert str(MAX_PIXELS) in message


@pytest.mark.parametrize("shape", [(3,), (0, 4, 3), (4, 4, 2), (4, 4, 5), (1, 4, 4, 3), ()])
def test_arrays_of_other_shapes_are_refused_with_their_shape(shape):
    assert str(shape) in refusal(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint16, bool])
def test_arrays_that_are_not_uint8_are_refused_with_their_type(dtype):
    assert np.dtype(dtype).name in refusal(np.zeros((4, 4, 3), dtype))


def test_pillow_images_of_unknown_range_are_refused():
    assert "mode F" in refusal(Image.fromarray(np.ones((4, 4), np.float32)))
    for value in (-5, 3, 70000):
        assert "mode I" in refusal(Image.fromarray(np.full((4, 4), value, np.int32)))


def test_anything_else_is_refused(unchecked):
    assert "int" in refusal(3)
    assert "NoneType" in refusal(None)
