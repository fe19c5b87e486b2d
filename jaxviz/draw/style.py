"""The letters and the size of a figure: for a screen, a column of a paper, or a projector."""

import functools
import re
import textwrap
import warnings
from typing import Any, NamedTuple

import matplotlib
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.textpath import text_to_path

from .._checks import InputError

# What no XML may hold: control characters, and the bytes of file names that are not UTF-8.
_ODD = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f\\ud800-\\udfff\\ufffe\\uffff]")
_WIDE = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Source Han Sans", "IPAGothic",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Hiragino Sans",
    "PingFang SC", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "Arial Unicode MS",
    "Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai",
    "Noto Emoji", "Segoe UI Symbol", "Unifont",
)  # fmt: skip
_LATIN = "\u024f"  # the last letter that every font is expected to have
_CAPTION_SIZE = 8  # points; room for text was measured with letters of this size


class Style(NamedTuple):
    """Letters and size of a figure.

    `font_size` is that of captions, in points; titles are a quarter larger. `font` is a family that
    matplotlib finds on this computer, by default its own. `scale` multiplies the size of the
    pictures, but not of the letters; captions that do not fit are folded.

    >>> Style(font_size=6, scale=0.32)  # for a column of 3.3 inches
    Style(font_size=6, font=None, scale=0.32)
    """

    font_size: float = _CAPTION_SIZE
    font: str | None = None
    scale: float = 1.0

    @property
    def text(self) -> dict[str, Any]:
        """Matplotlib's properties of a caption."""
        return {"fontsize": self.font_size, "color": "#333333"}

    @property
    def title(self) -> dict[str, Any]:
        """Matplotlib's properties of a title."""
        return {"fontsize": 1.25 * self.font_size, "color": "#111111", "fontweight": "bold"}

    def font_of(self, text: str, **properties: Any) -> FontProperties:
        """The font of a text; one that is not Latin also gets fonts of many scripts, not bold."""
        families = [self.font or matplotlib.rcParams["font.family"][0]]
        wide = _wide_fonts() if any(letter > _LATIN for letter in text) else []
        if wide:
            properties["weight"] = "normal"
        return FontProperties(family=[*families, *wide], **properties)

    def room(self, inches: float) -> float:
        """The inches that a caption needs if one of the usual size needs so many."""
        return inches * self.font_size / _CAPTION_SIZE

    def fold(self, text: str, inches: float, *, title: bool = False) -> str:
        """Break the lines of a text that are wider than so many inches."""
        self._check()
        size, weight = (1.25, "bold") if title else (1.0, "normal")
        font = self.font_of(text, size=size * self.font_size, weight=weight)
        lines: list[str] = []
        for line in printable(text).split("\n"):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph .* missing")
                width = text_to_path.get_text_width_height_descent(line, font, False)[0] / 72
            if width <= inches:
                lines.append(line)
                continue
            most = max(int(len(line) * inches / width), 4)
            # A word that is a little too wide hangs over rather than being broken.
            hangs = max(map(len, line.split()), default=0) <= 1.5 * most
            wrap = functools.partial(textwrap.wrap, line, break_long_words=not hangs)
            folded = wrap(most)
            while most > 4 and len(narrower := wrap(most - 1)) == len(folded):
                most, folded = most - 1, narrower  # lines of like length
            lines += folded
        return "\n".join(lines)

    def _check(self) -> None:
        for name, value in (("font_size", self.font_size), ("scale", self.scale)):
            if not 0 < value < 1000:
                raise InputError(f"{name}: expected a number from 0 to 1000, got {value}")
        try:
            findfont(FontProperties(family=self.font), fallback_to_default=not self.font)
        except ValueError:
            raise InputError(f"font: this computer has none called {self.font!r}") from None


SCREEN = Style()


@functools.cache
def _wide_fonts() -> list[str]:
    """The fonts of this computer that have letters of many scripts."""
    installed = set(fontManager.get_font_names())
    return [name for name in _WIDE if name in installed]


def printable(text: str) -> str:
    """A text with escapes in place of what cannot be drawn."""
    return _ODD.sub(lambda odd: odd[0].encode("unicode_escape").decode(), text)
