"""Paragraphs that wrap at the width of their widget, for texts that must be read whole."""

from collections.abc import Sequence

from textual.geometry import Size
from textual.strip import Strip

from cogtui.app.rendering.layout import TextLayout
from cogtui.app.rendering.styles import Part
from cogtui.app.textual_compat.styled_widget import StyledWidget

_LONGEST = 4000
"""Characters of a paragraph that are shown."""


def wrap_paragraph(paragraph: Part, width: int, *, indent: int = 0) -> list[list[Part]]:
    """Return the rows of a paragraph, each line of its text wrapped at spaces.

    Args:
        paragraph: text, which may have several lines, and style.
        width: cells a row may take, with the indent.
        indent: blanks before every row.
    """
    text, style = paragraph
    layout = TextLayout(text[:_LONGEST], max(10, width - indent))
    return [
        [(" " * indent, ""), (layout.show(text[start:end]).removesuffix("\u240a"), style)]
        for start, end in map(layout.bounds, range(len(layout)))
    ]


class WrappedText(StyledWidget):
    """Paragraphs as high as they are at the width there is.

    Args:
        paragraphs: text and style of each.
        indent: blanks before every row.
        widget_id: its id.
    """

    DEFAULT_CSS = "WrappedText { height: auto; width: 1fr; }"

    def __init__(self, *paragraphs: Part, indent: int = 0, widget_id: str | None = None) -> None:
        super().__init__(id=widget_id)
        self._paragraphs: Sequence[Part] = paragraphs
        self._indent = indent

    @property
    def text(self) -> str:
        """The paragraphs, without styles."""
        return "\n".join(text for text, _ in self._paragraphs)

    def show(self, *paragraphs: Part) -> None:
        """Show other paragraphs, and take the height they need."""
        self._paragraphs = paragraphs
        self.refresh(layout=True)

    def _rows(self, width: int) -> list[list[Part]]:
        return [row for part in self._paragraphs for row in wrap_paragraph(part, width, indent=self._indent)]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows(width))

    def render_line(self, y: int) -> Strip:
        rows = self._rows(self.size.width)
        return self.strip(rows[y] if y < len(rows) else (), self.size.width)
