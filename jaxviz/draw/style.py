"""The letters and the size of a figure: for a screen, a column of a paper, or a projector."""

from typing import Any, NamedTuple

INK = "#333333"


class Style(NamedTuple):
    """Letters and size of a figure.

    `font_size` is that of captions, in points; titles are a quarter larger. `font` is a family that
    matplotlib knows, by default its own. `scale` multiplies the size of the pictures, and so of the
    figure, but not of the letters.

    >>> Style(font_size=6, scale=0.45)  # for a column of 3.3 inches
    Style(font_size=6, font=None, scale=0.45)
    """

    font_size: float = 8
    font: str | None = None
    scale: float = 1.0

    @property
    def text(self) -> dict[str, Any]:
        """What matplotlib needs to draw a caption."""
        return {"fontsize": self.font_size, "color": INK}


SCREEN = Style()
