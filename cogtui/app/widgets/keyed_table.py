"""A live table: rows are identified by key, and only changed rows are repainted."""

from collections.abc import Mapping, Sequence

from textual import events

from cogtui.app.rendering.column_layout import Column, fit_columns, heading_parts, row_parts
from cogtui.app.rendering.styles import Part
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.text_rows import TextRows

Cells = Mapping[str, Part]


class KeyedTable(LineView):
    """Rows in columns. The cursor stays on its key when rows are added, removed or moved.

    Args:
        columns: all columns, also those that may not fit.
        titles: the line above the table, which this fills.
    """

    TITLE = "table"

    def __init__(self, columns: Sequence[Column], titles: TextRows) -> None:
        super().__init__()
        self._columns = columns
        self._titles = titles
        self._keys: list[str] = []
        self._cells: list[Cells] = []
        self._fitted = fit_columns(columns, 80)

    @property
    def line_count(self) -> int:
        return len(self._keys)

    @property
    def key(self) -> str | None:
        """Key of the cursor's row; None while there are no rows."""
        return self._keys[self.cursor] if self._keys else None

    def set_rows(self, rows: Sequence[tuple[str, Cells]]) -> None:
        """Show these rows."""
        was = list(zip(self._keys, self._cells, strict=True))
        here, before = self.key, self.cursor
        self._keys = [key for key, _ in rows]
        self._cells = [row_cells for _, row_cells in rows]
        cursor = self._keys.index(here) if here in self._keys else before
        if len(rows) != len(was):
            self.lines_changed(cursor=cursor)
            return
        for line, (now, then) in enumerate(zip(rows, was, strict=True)):
            if now != then:
                self.line_changed(line)
        self.cursor = cursor

    def go_to(self, key: str) -> None:
        """Put the cursor on a row, if the table has it."""
        if key in self._keys:
            self.cursor = self._keys.index(key)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        return row_parts(self._fitted, self._cells[line])

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._fitted = fit_columns(self._columns, self.text_width)
        self._titles.show((" ", "heading"), *heading_parts(self._fitted))
        self.refresh()
