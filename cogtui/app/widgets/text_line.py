"""One row of text that repaints only when it changes."""

from collections.abc import Iterable, Sequence

from textual.geometry import Size
from textual.strip import Strip

from cogtui.app.rendering.styles import Part
from cogtui.app.textual_compat.styled_widget import StyledWidget


class TextLine(StyledWidget):
    """A fixed number of rows; the first ones hold what was last given to `show`."""

    DEFAULT_CSS = "TextLine { height: 1; width: 1fr; }"

    def __init__(self, *parts: Part, widget_id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=widget_id, classes=classes)
        self._rows: list[list[Part]] = [list(parts)]

    @property
    def text(self) -> str:
        """What it shows, without looks."""
        return "\n".join("".join(text for text, _ in row) for row in self._rows)

    def show(self, *parts: Part) -> None:
        """Shows one row of parts."""
        self.show_rows([parts])

    def show_rows(self, rows: Iterable[Sequence[Part]]) -> None:
        """Shows rows of parts; sends nothing to the terminal if they are the same as before."""
        wanted = [list(row) for row in rows]
        if wanted != self._rows:
            self._rows = wanted
            self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows)

    def render_line(self, y: int) -> Strip:
        return self.strip(self._rows[y] if y < len(self._rows) else (), self.size.width)
