"""Samples of every depth, layout and meaning are read right, or refused in one line."""

import itertools
import warnings

import numpy as np
import pytest
from conftest import oracle
from picture_files import png_of, tiff
from PIL import Image

import jaxviz
from jaxviz.pictures.decoding import decode

pytestmark = pytest.mark.once

HEIGHT, WIDTH = 24, 36
RAMP = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) / (HEIGHT + WIDTH - 2)
LIGHT = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1], (1 + RAMP) / 2, RAMP / 4], axis=-1)
WHITE, BLACK, RGB, PALETTE, MASK, CMYK, YCBCR, LAB = 0, 1, 2, 3, 4, 5, 6, 8  # 0 is white, is black
SAMPLES = {WHITE: 1, BLACK: 1, RGB: 3, PALETTE: 1, MASK: 1, CMYK: 4, YCBCR: 3, LAB: 3}
PREMULTIPLIED, ALPHA = 1, 2


def colors(bits):
    """A palette of 2**bits colors, (colors, 3) from 0 to 255."""
    up = np.arange(2**bits)
    return np.stack([up, up[::-1], np.full_like(up, up[-1] // 3)], axis=1) * (255 // up[-1])


def over_white(light, alpha):
    return light * alpha + 1 - alpha


def right(stored, photometric, extra):
    """Light from 0 to 255 of samples from 0 to 1; None where that is not defined by the samples."""
    if photometric in (WHITE, BLACK):
        light = np.repeat(stored[..., :1], 3, axis=2)
        light = 1 - light if photometric == WHITE else light
    elif photometric == RGB:
        light = stored[..., :3]
    elif photometric == CMYK:
        light = (1 - stored[..., :3]) * (1 - stored[..., 3:4])
    else:
        return None
    alpha = stored[..., SAMPLES[photometric] :][..., :1]
    if extra[:1] == (ALPHA,):
        light = over_white(light, alpha)
    elif extra[:1] == (PREMULTIPLIED,):
        light = light + 1 - alpha
    return light * 255


def found(data, tmp_path, suffix):
    """What a file of these bytes decodes to; None if it is refused in one line."""
    file = tmp_path / f"one{suffix}"
    file.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return decode(file).astype(float)
        except jaxviz.InputError as error:
            assert str(error).startswith(str(file))
            assert "\n" not in str(error)
            return None


TIFFS = [
    (photometric, extra, bits, kind)
    for photometric in (WHITE, BLACK, RGB, MASK, CMYK, YCBCR, LAB)
    for extra in ((), (0,), (PREMULTIPLIED,), (ALPHA,), (ALPHA, 0))
    for bits in (1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32)
    for kind in (1, 2, 3)
    if (kind < 3 or bits in (16, 32)) and SAMPLES[photometric] + len(extra) <= 5
]
LAYOUTS = [*itertools.product((False, True), "<>")]


def test_tiffs_of_every_depth_layout_and_meaning(tmp_path):
    read = set()
    for (photometric, extra, bits, kind), (planes, order) in itertools.product(TIFFS, LAYOUTS):
        samples = SAMPLES[photometric] + len(extra)
        if samples == 1 and planes:
            continue
        top = 1 if kind == 3 else 2.0**bits - 1
        stored = LIGHT[..., :samples] * top
        stored = stored if kind == 3 else np.rint(stored)
        if extra[:1] == (PREMULTIPLIED,):
            alpha = stored[..., SAMPLES[photometric]][..., None] / top
            light = stored[..., : SAMPLES[photometric]]
            stored[..., : SAMPLES[photometric]] = np.rint(light * alpha)
        data = tiff(stored, bits, photometric, planes=planes, order=order, kind=kind, extra=extra)
        came = found(data, tmp_path, ".tif")
        if came is not None:
            case = (photometric, extra, bits, kind, planes, order)
            wanted = right(stored / top, photometric, extra)
            assert wanted is not None, case
            assert kind == 1, case
            # Pillow cuts RGBA of 16 bits to 8 before the alpha is applied.
            allowed = 3 if bits == 16 and extra[:1] in ((ALPHA,), (PREMULTIPLIED,)) else 1
            assert np.abs(came - np.rint(wanted)).max() <= allowed, case
            read.add((photometric, extra, bits))
    assert {(kind, (), bits) for kind in (WHITE, BLACK) for bits in (1, 2, 4, 8)} <= read
    assert {(BLACK, (), 12), (BLACK, (), 16), (WHITE, (), 16), (RGB, (), 8), (RGB, (), 16)} <= read
    assert {(RGB, (ALPHA,), 8), (RGB, (PREMULTIPLIED,), 8), (CMYK, (), 8)} <= read


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_tiffs_with_a_palette(bits, tmp_path):
    palette = colors(bits)
    stored = np.rint(LIGHT[..., :1] * (2**bits - 1))
    data = tiff(stored, bits, PALETTE, palette=(palette * 257).T.ravel().tolist())
    came = found(data, tmp_path, ".tif")
    if came is None:
        assert bits == 2  # refused by Pillow
    else:
        assert np.abs(came - palette[stored[..., 0].astype(int)]).max() <= 1


TURNED = {
    1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1), 6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1), 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("bits", [1, 8, 16])
@pytest.mark.parametrize("photometric", [WHITE, BLACK, RGB])
@pytest.mark.parametrize("turn", TURNED)
def test_turned_tiffs_come_out_upright(turn, photometric, bits, tmp_path):
    stored = np.rint(LIGHT[..., : SAMPLES[photometric]] * (2**bits - 1))
    came = found(tiff(stored, bits, photometric, turn=turn), tmp_path, ".tif")
    if (photometric, bits) == (RGB, 1):
        assert came is None
        return
    wanted = TURNED[turn](right(stored / (2**bits - 1), photometric, ()))
    assert np.abs(came - np.rint(wanted)).max() <= 1


GRAY, COLOR, INDEXED, GRAY_ALPHA, COLOR_ALPHA = 0, 2, 3, 4, 6
PNGS = {GRAY: 1, COLOR: 3, INDEXED: 1, GRAY_ALPHA: 2, COLOR_ALPHA: 4}


DEPTHS = [(GRAY, b) for b in (1, 2, 4, 8, 16)]
DEPTHS += [(INDEXED, b) for b in (1, 2, 4, 8)] + [(COLOR, b) for b in (8, 16)]
WITH_ALPHA = [(color, bits) for color in (GRAY_ALPHA, COLOR_ALPHA) for bits in (8, 16)]


@pytest.mark.parametrize(
    ("color", "bits", "keyed"),
    [(*one, keyed) for one in DEPTHS for keyed in (False, True)]
    + [(*one, False) for one in WITH_ALPHA],
)
def test_pngs_of_every_color_type_and_depth(color, bits, keyed, tmp_path):
    top = 2**bits - 1
    stored = np.rint(LIGHT[..., : PNGS[color]] * top)
    if (color, bits) in WITH_ALPHA:
        light = over_white(stored[..., :-1] / top, stored[..., -1:] / top)
    else:
        light = stored / top
    palette = colors(bits) if color == INDEXED else None
    if color == INDEXED:
        light = palette[stored[..., 0].astype(int)] / 255
    key = [int(one) for one in stored[HEIGHT // 2, WIDTH // 2]]
    if keyed:
        light = np.where((stored == key).all(-1, keepdims=True), 1, light)
        assert (light < 1).any()
    opacities = [0 if one == key[0] else 255 for one in range(2**bits)]
    transparent = (opacities if color == INDEXED else key) if keyed else None
    data = png_of(stored, bits, color, palette=palette, transparent=transparent)
    came = found(data, tmp_path, ".png")
    if came is None:
        assert (color, bits, keyed) == (COLOR, 16, True)
        return
    wanted = np.rint(np.broadcast_to(light * 255, came.shape))
    allowed = 2 if bits == 16 and (color, bits) in WITH_ALPHA else 1  # Pillow cuts to 8 bits first
    assert np.abs(came - wanted).max() <= allowed


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dark", [1, 0.003])
def test_netpbm_of_every_maximal_value(channels, plain, dark, tmp_path):
    for top in [*range(1, 300), 511, 1000, 1023, 4095, 16383, 32767, 65534, 65535]:
        stored = np.rint(LIGHT[..., :channels] * dark * top).astype(np.int64)
        kind = {(1, True): 2, (3, True): 3, (1, False): 5, (3, False): 6}[channels, plain]
        header = f"P{kind}\n{WIDTH} {HEIGHT}\n{top}\n".encode()
        if plain:
            body = b"\n".join(b" ".join(b"%d" % one for one in row.ravel()) for row in stored)
        else:
            body = stored.astype(">u2" if top > 255 else "u1").tobytes()
        came = found(header + body, tmp_path, ".pnm")
        wanted = np.rint(np.broadcast_to(stored / top * 255, (HEIGHT, WIDTH, 3)))
        assert np.abs(came - wanted).max() <= 1, top


def test_a_pillow_image_keeps_the_depth_of_its_file(tmp_path):
    stored = np.rint(LIGHT[..., :1] * 4095)
    file = tmp_path / "deep.tif"
    file.write_bytes(tiff(stored, 12, BLACK))
    with Image.open(file) as image:
        assert np.abs(decode(image)[..., 0] - LIGHT[..., 0] * 255).max() <= 1


COMPRESSIONS = (None, "lzw", "deflate", "zstd", "packbits", "lzma", "jpeg", "webp", "lerc")
MEANINGS = {"minisblack": BLACK, "miniswhite": WHITE, "rgb": RGB, "separated": CMYK}


@pytest.mark.oracle
@pytest.mark.parametrize("meaning", MEANINGS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_compressed_tiffs_agree_with_tifffile(compression, meaning, tmp_path):
    tifffile = oracle("tifffile")
    file, read = tmp_path / "one.tif", 0
    for predictor, dtype, planes, order, tile, alpha in itertools.product(
        (None, True), ("u1", "u2", "u4", "f2", "f4"), ("contig", "separate"), "<>",
        (None, (16, 16)), (False, True),
    ):  # fmt: skip
        samples = SAMPLES[MEANINGS[meaning]] + alpha
        top = 1 if dtype[0] == "f" else 256.0 ** int(dtype[1]) - 1
        values = (LIGHT[..., :samples] * top).astype(dtype)
        values = np.moveaxis(values, -1, 0) if planes == "separate" else values
        values = values if samples > 1 else values.squeeze()
        try:
            tifffile.imwrite(
                file, values, photometric=meaning, planarconfig=planes if samples > 1 else None,
                compression=compression, predictor=predictor, byteorder=order, tile=tile,
                extrasamples=["unassalpha"] if alpha else None,
            )  # fmt: skip
            theirs = tifffile.imread(file)
        except Exception:  # no such TIFF, to tifffile
            continue
        theirs = np.moveaxis(theirs, 0, -1) if planes == "separate" and samples > 1 else theirs
        stored = theirs.reshape(HEIGHT, WIDTH, samples).astype(float) / top
        came = found(file.read_bytes(), tmp_path, ".tif")
        if came is not None:
            wanted = np.rint(right(stored, MEANINGS[meaning], (ALPHA,) if alpha else ()))
            allowed = 2 if dtype == "u2" and alpha else 1
            assert np.abs(came - wanted).max() <= allowed, (dtype, planes, order, tile, alpha)
            read += 1
    assert read or compression in ("zstd", "lerc", "webp", "jpeg")


@pytest.mark.oracle
@pytest.mark.parametrize("ending", [".png", ".ppm", ".pgm", ".jp2", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_pictures_that_opencv_writes_are_read_as_it_reads_them(ending, dtype, tmp_path):
    cv2 = oracle("cv2")
    if dtype == "u2" and ending in (".bmp", ".webp"):
        return
    top = 256.0 ** int(dtype[1]) - 1
    for channels in (1,) if ending == ".pgm" else (3,) if ending == ".ppm" else (1, 3):
        values = (LIGHT[..., :channels] * top).astype(dtype).repeat(4, axis=0).repeat(4, axis=1)
        lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if ending == ".webp" else []
        file = tmp_path / f"one{ending}"
        assert cv2.imwrite(str(file), values, lossless)
        theirs = cv2.imread(str(file), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)[..., ::-1]
        came = found(file.read_bytes(), tmp_path, ending)
        if came is None:
            assert (ending, dtype, channels) == (".jp2", "u2", 3)
            continue
        assert np.abs(came - np.rint(theirs / top * 255)).max() <= 1
