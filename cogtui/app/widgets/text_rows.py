"""A fixed number of text rows that repaint only when they change."""

from collections.abc import Iterable, Sequence

from textual.geometry import Size
from textual.strip import Strip

from cogtui.app.rendering.styles import Part
from cogtui.app.textual_compat.styled_widget import StyledWidget


class TextRows(StyledWidget):
    """Rows of text, set with `show` or `show_rows`."""

    DEFAULT_CSS = "TextRows { height: 1; width: 1fr; }"

    def __init__(self, *parts: Part, widget_id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=widget_id, classes=classes)
        self._rows: list[list[Part]] = [list(parts)]

    @property
    def text(self) -> str:
        """The text shown, without styles."""
        return "\n".join("".join(text for text, _ in row) for row in self._rows)

    def show(self, *parts: Part) -> None:
        """Show one row of parts."""
        self.show_rows([parts])

    def show_rows(self, rows: Iterable[Sequence[Part]]) -> None:
        """Show rows of parts; sends nothing to the terminal if they did not change."""
        wanted = [list(row) for row in rows]
        if wanted != self._rows:
            self._rows = wanted
            self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows)

    def render_line(self, y: int) -> Strip:
        return self.strip(self._rows[y] if y < len(self._rows) else (), self.size.width)
