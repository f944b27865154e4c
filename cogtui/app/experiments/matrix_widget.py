"""The widget of an experiment's matrix: runs down, stages across, each with a glyph and a word for its state."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.reactive import reactive

from cogtui.app.experiments.matrix_data import ExperimentMatrix
from cogtui.app.rendering.states import format_percent, format_share, state_part, state_style
from cogtui.app.rendering.styles import Part, StyleName, StyleNames
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.shell.stage_figures import StageFigures
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.text_rows import TextRows
from jobs.state.types import STATE_GLYPHS, StageState

_SMALLEST_TITLE = 12
_PLANNED: Final[Part] = (f"{STATE_GLYPHS['planned']} planned", "dim")
_UNREAD: Final[Part] = ("…", "dim")


class MatrixView(LineView):
    """Draws an `ExperimentMatrix` with the cursor on one stage of one run; columns scroll to keep the cursor visible.

    Args:
        titles: the line above, which this fills with the names of the stages.
    """

    TITLE = "matrix"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move_column(-1)", "Stage to the left", show=False),
        Binding("right", "move_column(1)", "Stage to the right", show=False),
    ]

    column: reactive[int] = reactive(0, repaint=False)

    def __init__(self, titles: TextRows) -> None:
        super().__init__()
        self._titles = titles
        self._matrix = ExperimentMatrix((), (), ())
        self._states: Mapping[str, StageState] = {}
        self._figures: Mapping[str, StageFigures] = {}
        self._row_styles: Sequence[StyleName] = ()
        self._missing: Part = _PLANNED
        self._is_compact = False
        self._widths: list[int] = []
        self._first_column = 0

    @property
    def line_count(self) -> int:
        return len(self._matrix.rows)

    @property
    def key(self) -> str | None:
        """Key of the stage under the cursor; None where there is none."""
        if not self._matrix.rows or not self._matrix.columns:
            return None
        return self._matrix.keys[self.cursor][self.column]

    def show_matrix(
        self,
        matrix: ExperimentMatrix,
        states: Mapping[str, StageState],
        figures: Mapping[str, StageFigures],
        row_styles: Sequence[StyleName] = (),
        *,
        compact: bool = False,
        unread: bool = False,
    ) -> None:
        """Show a matrix with states and the figures of finished stages; repaint only rows that changed.

        Args:
            matrix: what stands where.
            states, figures: by stage key.
            row_styles: of the titles of the rows; plain ones if there are none.
            compact: show a running stage by its percentage alone.
            unread: states that are missing are not read yet; otherwise their stages were never started.
        """
        missing = _UNREAD if unread else _PLANNED
        self._is_compact = compact
        self._row_styles = row_styles
        if matrix == self._matrix:
            before = [self._row_cells(line) for line in range(self.line_count)]
            self._states, self._figures, self._missing = states, figures, missing
            changed = [line for line in range(self.line_count) if self._row_cells(line) != before[line]]
            if changed and self._measure():
                self._show_titles()
                self.refresh()
            for line in changed:
                self.line_changed(line)
            return
        self._matrix, self._states, self._figures, self._missing = matrix, states, figures, missing
        self._measure()
        self.column = min(self.column, max(0, len(matrix.columns) - 1))
        self._show_titles()
        self.lines_changed()

    def _row_cells(self, line: int) -> list[Part]:
        return [self._cell(key) for key in self._matrix.keys[line]]

    def _cell(self, key: str | None) -> Part:
        if key is None:
            return "–", "dim"
        if key not in self._states:
            return self._missing
        state, figures = self._states[key], self._figures.get(key)
        if state.state == "done" and figures is not None and figures.accuracy is not None:
            mark = " ▲" if figures.warnings else ""
            return f"{STATE_GLYPHS['done']} {format_share(figures.accuracy)}{mark}", state_style("done")
        if self._is_compact and state.state in ("running", "resuming") and state.progress is not None:
            return f"{STATE_GLYPHS[state.state]} {format_percent(state.progress)}", state_style(state.state)
        return state_part(state)

    def _measure(self) -> bool:
        """Compute the column widths; return whether they changed."""
        widths = [cell_len(printable_line(name, 40)) for name in self._matrix.columns]
        for line in range(self.line_count):
            for column, (text, _) in enumerate(self._row_cells(line)):
                widths[column] = max(widths[column], cell_len(text))
        # Widths only grow while a matrix is shown, so that a changing percentage does not move columns.
        if len(widths) == len(self._widths):
            widths = [max(pair) for pair in zip(widths, self._widths, strict=True)]
        changed = widths != self._widths
        self._widths = widths
        return changed

    def _visible_columns(self, width: int) -> tuple[int, list[int]]:
        """Return the width of the row titles and the columns that fit beside them, the cursor's among them."""
        longest = max((cell_len(printable_line(title, 80)) for title in self._matrix.rows), default=0)
        everything = sum(self._widths) + 2 * len(self._widths)
        title = max(_SMALLEST_TITLE, min(longest, width - everything, width // 2), min(longest, width // 3))
        room = width - title
        first = min(self._first_column, self.column)
        while first < self.column and sum(self._widths[first : self.column + 1]) + 2 * (self.column - first + 1) > room:
            first += 1
        self._first_column = first
        shown: list[int] = []
        for column in range(first, len(self._widths)):
            room -= self._widths[column] + 2
            if room < 0 and shown:
                break
            shown.append(column)
        return title, shown

    def _show_titles(self) -> None:
        title, shown = self._visible_columns(self.text_width)
        names = [fit(printable_line(self._matrix.columns[column], 40), self._widths[column]) for column in shown]
        more = " ›" if shown and shown[-1] < len(self._widths) - 1 else ""
        less = "‹ " if shown and shown[0] else "  "
        row = fit(" run", title + 1) + less + "  ".join(names) + more
        self._titles.show((row, "heading"))

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        title, shown = self._visible_columns(width)
        title_style: StyleName = self._row_styles[line] if line < len(self._row_styles) else ""
        parts: list[Part] = [(fit(printable_line(self._matrix.rows[line], 80), title), title_style)]
        cells = self._row_cells(line)
        for column in shown:
            text, style = cells[column]
            here = line == self.cursor and column == self.column
            parts.append(("›" if here else " ", "strong"))
            parts.append((" ", ""))
            cell: StyleNames = ("cursor" if self.has_focus else "cursor-blurred") if here else style
            parts.append((fit(text, self._widths[column]), cell))
        return parts

    def line_styles(self, line: int) -> Sequence[StyleName]:
        return ()

    def watch_column(self) -> None:
        first = self._first_column
        self._visible_columns(self.text_width)
        self._show_titles()
        if self._first_column != first:
            self.refresh()
        else:
            self.line_changed(self.cursor)
        self.post_message(self.CursorMoved(self, self.cursor))

    def validate_column(self, column: int) -> int:
        return max(0, min(column, len(self._matrix.columns) - 1))

    def action_move_column(self, columns: int) -> None:
        """Move the cursor to another stage."""
        self.column += columns

    def on_click(self, event: events.Click) -> None:
        line = self.scroll_offset.y + event.y
        if line >= self.line_count:
            return
        title, shown = self._visible_columns(self.text_width)
        left = title + self.CURSOR_GLYPH
        for column in shown:
            right = left + self._widths[column] + 2
            if left <= event.x < right:
                self.column = column
                break
            left = right
        self.cursor = line
        if event.chain == 2:
            self.action_choose()

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._show_titles()
        self.refresh()
