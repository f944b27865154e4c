"""A pane of facts about the item under the cursor of another widget; scrolls when focused."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType

from cogtui.app.rendering.layout import TextLayout
from cogtui.app.rendering.styles import Part, StyleNames
from cogtui.app.rendering.text import fit
from cogtui.app.widgets.line_view import ScrollLines

Row = Sequence[Part]


class DetailPane(ScrollLines):
    """Rows of parts without a cursor."""

    TITLE = "pane of details"
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, widget_id: str | None = None) -> None:
        super().__init__(widget_id=widget_id)
        self._rows: list[list[Part]] = []
        self._make: Callable[[int], Sequence[Row]] | None = None

    @property
    def line_count(self) -> int:
        return len(self._rows)

    @property
    def text(self) -> str:
        """The text shown, without styles."""
        return "\n".join("".join(text for text, _ in row) for row in self._rows)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show rows; repaint only what changed."""
        wanted = [list(row) for row in rows]
        if wanted == self._rows:
            return
        if len(wanted) == len(self._rows):
            changed = [line for line, (now, then) in enumerate(zip(wanted, self._rows, strict=True)) if now != then]
            self._rows = wanted
            for line in changed:
                self.line_changed(line)
        else:
            self._rows = wanted
            self.lines_changed()

    def show_with(self, make: Callable[[int], Sequence[Row]]) -> None:
        """Show the rows that `make` returns for the pane's width, again whenever the width changes."""
        self._make = make
        self.show_rows(make(self.text_width))

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        if self._make is not None:
            self.show_rows(self._make(self.text_width))

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        return self._rows[line]


def labelled_rows(
    label: str, text: str, width: int, style: StyleNames = "", *, indent: int = 10, limit: int = 6
) -> list[list[Part]]:
    """Return the rows of a labelled text, wrapped under itself; none for an empty text.

    Args:
        label: stands in the first `indent` cells.
        text: hostile text; newlines are kept.
        width: of the pane.
        look: of the text.
        indent: cells for the label.
        limit: rows at most.
    """
    if not text:
        return []
    layout = TextLayout(text[:4000], max(10, width - indent))
    rows: list[list[Part]] = []
    for line in range(min(limit, len(layout))):
        start, end = layout.bounds(line)
        head = fit(label if line == 0 else "", indent)
        rows.append([(head, "dim"), (layout.show(text[start:end]), style)])
    if len(layout) > limit:
        rows[-1].append((" …", "dim"))
    return rows
