"""Figures: three formats with our mark, real text, sizes as asked for, shown in a notebook."""

import base64
import functools
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from PIL import Image

import jaxviz
from jaxviz import draw
from jaxviz.files import claim_file, is_ours

pytestmark = pytest.mark.once

ENDINGS = [".png", ".pdf", ".svg"]
PIXELS = np.random.default_rng(0).integers(0, 255, (12, 12, 3), np.uint8)
STYLE = draw.Style()
MAP = np.linspace(-1, 1, 144).reshape(12, 12)


def heatmap(style=STYLE, caption="a cat, probability 0.5"):
    one = draw.Heatmap(PIXELS, MAP, caption, (3, 3))
    return draw.heatmap_rows([one], unit="drop of the score", title="What mattered", style=style)


def tiles(style=STYLE):
    return draw.tile_grid([draw.Tile(PIXELS, "1")] * 3, columns=2, title="Three", style=style)


def maps(style=STYLE):
    given = ([PIXELS] * 2, [None, MAP], ["the picture", "channel 7, up to 1"])
    extent = (-0.5, 11.5, 11.5, -0.5)
    return draw.overlays(*given, [extent] * 2, columns=2, title="Two", style=style)


def rows(style=STYLE):
    one = draw.Row("channel 3", [draw.Tile(PIXELS, "cat\n0.5")] * 3)
    return draw.montage([one] * 2, title="Rows", separate_first=True, style=style)


FIGURES = {"heatmap": heatmap, "tiles": tiles, "maps": maps, "rows": rows}


def refusal(function, *arguments, **options):
    with pytest.raises(jaxviz.InputError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ending", [*ENDINGS, ".PDF"])
@pytest.mark.parametrize("name", FIGURES)
def test_a_file_is_what_its_name_says_carries_our_mark_and_is_always_the_same(
    name, ending, tmp_path
):
    file = draw.save_figure(FIGURES[name](), tmp_path / f"x{ending}")
    data = file.read_bytes()
    begins = {".png": b"\x89PNG", ".pdf": b"%PDF-", ".svg": b"<?xml"}
    assert data.startswith(begins[ending.lower()])
    assert is_ours(file)
    assert claim_file(file) == file
    assert draw.save_figure(FIGURES[name](), file).read_bytes() == data


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_another_program_drew_is_left_alone(ending, tmp_path):
    figure = Figure((1, 1))
    figure.text(0, 0.5, "jaxviz /Creator (jaxviz) <dc:title>jaxviz</dc:title>")
    figure.savefig(tmp_path / f"plot{ending}")
    ours = draw.save_figure(tiles(), tmp_path / f"ours{ending}").read_bytes()
    (tmp_path / f"cut{ending}").write_bytes(ours[: 40 if ending == ".png" else len(ours) // 2])
    (tmp_path / f"empty{ending}").touch()
    (tmp_path / f"text{ending}").write_text("jaxviz")
    for name in ("plot", "empty", "text") + (() if ending == ".svg" else ("cut",)):
        assert "was not made by jaxviz" in refusal(claim_file, tmp_path / f"{name}{ending}")


def test_a_paper_that_holds_our_figures_is_not_ours(tmp_path):
    file = draw.save_figure(tiles(), tmp_path / "x.pdf")
    data = file.read_bytes()
    number = int(re.search(rb"/Info (\d+) 0 R", data)[1])
    # As pdfTeX includes a figure: its information is kept, and the document has its own.
    body = data.replace(b"/Info %d 0 R" % number, b"/Info %d 0 R" % (number + 1))
    paper = body.replace(
        b"xref\n0", b"%d 0 obj\n<< /Creator (TeX) >>\nendobj\nxref\n0" % (number + 1)
    )
    file.write_bytes(paper)
    assert not is_ours(file)
    file.write_bytes(data + data[data.index(b"xref\n0") :])  # notes that a reader added
    assert not is_ours(file)


def test_a_drawing_around_our_svg_is_not_ours(tmp_path):
    file = draw.save_figure(tiles(), tmp_path / "x.svg")
    inner = file.read_text().split("?>", 1)[1]
    file.write_text(f'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">{inner}</svg>')
    assert not is_ours(file)


def test_letters_of_vector_formats_stay_letters(tmp_path):
    text = draw.save_figure(heatmap(), tmp_path / "x.svg").read_text()
    assert ">What mattered<" in text
    assert ">what hiding did<" in text
    data = draw.save_figure(heatmap(), tmp_path / "x.pdf").read_bytes()
    assert b"/FontFile2" in data  # a TrueType font, embedded
    assert b"/Type3" not in data


def images_of(svg):
    """The pictures in an SVG."""
    found = re.findall(r'"data:image/png;base64,\s*([^"]+)"', svg)
    return [Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB") for one in found]


def test_colors_are_the_same_in_all_formats(tmp_path):
    figure = heatmap()
    png = np.asarray(Image.open(draw.save_figure(figure, tmp_path / "x.png")).convert("RGB"))
    svg = images_of(draw.save_figure(figure, tmp_path / "x.svg").read_text())
    for axes, image in zip(figure.axes[:3], svg, strict=False):
        box = axes.get_position()
        height, width = png.shape[:2]
        drawn = np.asarray(image)[::-1].astype(int)  # SVG holds them upside down
        for row, col in np.ndindex(12, 12):
            x = (box.x0 + box.width * (col + 0.5) / 12) * width
            y = (1 - box.y1 + box.height * (row + 0.5) / 12) * height
            inside = [
                int((i + 0.5) / 12 * side)
                for i, side in zip((row, col), drawn.shape[:2], strict=True)
            ]
            if axes is not figure.axes[0] or max(row, col) > 9:  # the window is drawn apart
                assert np.abs(drawn[tuple(inside)] - png[int(y), int(x)]).max() <= 3


@given(st.sampled_from(list(FIGURES)), st.integers(40, 200))
@settings(max_examples=9)
def test_dpi_is_the_number_of_pixels_an_inch(name, dpi):
    figure = FIGURES[name]()
    with Image.open(io.BytesIO(draw.png(figure, dpi=dpi))) as image:
        expected = figure.get_size_inches() * dpi
        assert np.abs(np.array(image.size) - expected).max() <= 1
        assert image.info["dpi"] == pytest.approx((dpi, dpi), abs=0.1)
    with Image.open(io.BytesIO(draw.stacked_png([figure, figure], dpi=dpi))) as image:
        assert abs(image.height - 2 * expected[1]) <= 2
        assert image.info["dpi"] == pytest.approx((dpi, dpi), abs=0.1)


def test_dpi_makes_the_pictures_of_a_vector_format_finer(tmp_path):
    widths = [
        images_of(draw.save_figure(tiles(), tmp_path / "x.svg", dpi=dpi).read_text())[0].width
        for dpi in (100, 300)
    ]
    assert widths[1] == pytest.approx(3 * widths[0], abs=3)


def texts(figure):
    """All texts of a figure but those of axes that are turned off."""
    hidden = {
        label
        for axes in figure.axes
        if not axes.axison
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.findobj(Text)
    }
    return [text for text in figure.findobj(Text) if text not in hidden]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("size, scale", [(6, 0.5), (14, 1.5)])
def test_a_style_sets_the_size_of_letters_and_pictures(name, size, scale):
    usual = FIGURES[name]()
    figure = FIGURES[name](draw.Style(font_size=size, scale=scale, font="DejaVu Serif"))
    draw.png(figure)
    draw.png(usual)
    for text in texts(figure):
        if text.get_text():
            assert text.get_fontfamily() == ["DejaVu Serif"]
            assert text.get_fontsize() in (size, 1.25 * size, 0.875 * size)
    shown = [[i for axes in one.axes for i in axes.images] for one in (usual, figure)]
    sides = [images[-1].get_window_extent().width for images in shown]
    assert sides[1] / sides[0] == pytest.approx(scale, rel=0.25)


def test_a_column_of_a_paper_and_its_captions_fit(tmp_path):
    style = draw.Style(font_size=6, scale=0.34)
    figure = heatmap(style, "a very long name of a picture: Staffordshire bullterrier, 0.53")
    assert figure.get_size_inches()[0] == pytest.approx(3.5, abs=0.3)
    draw.png(figure)
    canvas = figure.get_window_extent()
    for text in texts(figure):
        if text.get_text():
            box = text.get_window_extent()
            assert box.x0 >= canvas.x0 - 3
            assert box.x1 <= canvas.x1 + 1
            assert box.y1 <= canvas.y1 + 1
    first, second = (axes.title.get_window_extent() for axes in figure.axes[:2])
    assert first.x1 <= second.x0


@given(
    st.lists(
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=9),
        min_size=1,
        max_size=9,
    ),
    st.floats(0.5, 5),
)
def test_folding_keeps_the_words_and_makes_no_line_too_wide(words, inches):
    style = draw.Style()
    folded = style.fold(" ".join(words), inches)
    font = FontProperties(size=style.font_size)

    def width(line):
        return text_to_path.get_text_width_height_descent(line, font, False)[0] / 72

    assert "".join(folded.split()) == "".join(words)
    if width(" ".join(words)) <= inches:
        assert "\n" not in folded
    assert all(width(line) <= 1.5 * inches or len(line) <= 9 for line in folded.split("\n"))


def test_several_figures_are_stacked_or_pages(tmp_path):
    figures = [tiles(), heatmap()]
    with Image.open(draw.save_figures(figures, tmp_path / "x.png")) as image:
        heights = [Image.open(io.BytesIO(draw.png(figure))).height for figure in figures]
        assert image.height == sum(heights)
    data = draw.save_figures(figures, tmp_path / "x.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", data)) == 2
    assert is_ours(tmp_path / "x.pdf")
    assert "holds one figure" in refusal(draw.save_figures, figures, tmp_path / "x.svg")
    assert not (tmp_path / "x.svg").exists()


ODD = ["$\\foo{$", "<b>&amp;]]>", "猫", "caf\udce9", "a\x00\x01\x1b\x7f\ufffeb", "tab\tand\nline"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_any_text_can_be_drawn(text, ending, tmp_path):
    figure = draw.tile_grid([draw.Tile(PIXELS, text)], columns=1, title=text)
    file = draw.save_figure(figure, tmp_path / f"x{ending}")
    if ending == ".svg":
        ET.fromstring(file.read_bytes())


def test_mistakes_are_refused_and_leave_nothing(tmp_path):
    (tmp_path / "file").touch()
    for name in ("x.gif", "x", "x.jpg", ".png"):
        assert "ends in .png, .pdf or .svg" in refusal(draw.save_figure, tiles(), tmp_path / name)
    for dpi in (0, -1, float("nan"), float("inf"), 1e9):
        assert "dpi" in refusal(draw.save_figure, tiles(), tmp_path / "x.png", dpi=dpi)
    for ending in ENDINGS:
        assert "pixels" in refusal(draw.save_figure, tiles(), tmp_path / f"x{ending}", dpi=9999)
        path = tmp_path / "file" / f"x{ending}"
        assert "cannot be written" in refusal(draw.save_figure, tiles(), path)
    for style in (
        draw.Style(font="no such font"), draw.Style(font_size=0), draw.Style(scale=-1),
        draw.Style(scale=float("nan")),
    ):  # fmt: skip
        for figure in FIGURES.values():
            assert re.match("(font|font_size|scale): ", refusal(figure, style))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_itself_in_a_notebook(name):
    figure = FIGURES[name]()
    assert figure._repr_png_() == draw.png(figure)


def test_drawing_changes_nothing_global():
    code = """
import matplotlib
before = {name: dict.__getitem__(matplotlib.rcParams, name) for name in matplotlib.rcParams}
import io, numpy as np
from jaxviz import draw
import tempfile
with tempfile.TemporaryDirectory() as folder:
    for ending in ("png", "pdf", "svg"):
        figure = draw.tile_grid([draw.Tile(np.eye(3))], columns=1, style=draw.Style(font_size=5))
        draw.save_figure(figure, f"{folder}/x.{ending}")
import sys
assert before == {name: dict.__getitem__(matplotlib.rcParams, name) for name in before}
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_text_that_is_not_latin_gets_a_font_of_this_computer(monkeypatch):
    monkeypatch.setattr("jaxviz.draw.style._wide_fonts", lambda: ["DejaVu Serif"])
    style = draw.Style()
    assert style.font_of("espresso, café", weight="bold").get_family() == ["sans-serif"]
    japanese = style.font_of("猫", weight="bold")
    assert japanese.get_family() == ["sans-serif", "DejaVu Serif"]
    assert japanese.get_weight() == "normal"
    figure = draw.tile_grid([draw.Tile(np.eye(3), "猫")], columns=1, title="cat")
    draw.png(figure)
    families = {text.get_text(): text.get_fontfamily() for text in texts(figure)}
    assert families["cat"] == ["sans-serif"]
    assert families["猫"] == ["sans-serif", "DejaVu Serif"]


def test_a_row_may_have_no_tile_but_a_figure_has_a_row():
    rows = [draw.Row("none", []), draw.Row("one", [draw.Tile(np.eye(3), "one")])]
    assert draw.png(draw.montage(rows))
    for function in (draw.montage, functools.partial(draw.tile_grid, columns=1)):
        assert "expected one or more, got none" in refusal(function, [])
    assert "maps: expected one or more" in refusal(draw.heatmap_rows, [], unit="nats")
