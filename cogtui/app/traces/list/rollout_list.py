"""The list of rollouts: loaded rows in columns."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from cogtui.app.rendering.column_layout import fit_columns, heading_parts, row_parts
from cogtui.app.rendering.styles import Part
from cogtui.app.rollout.rollout_columns import SNIPPET, SORTABLE, chosen_columns, rollout_cells, snippet_parts
from cogtui.app.widgets.text_rows import TextRows
from cogtui.app.widgets.window_view import WindowView
from cogtui.store import Cursor, Page, RolloutRow, Sort
from cogtui.store.values.types import Snippet, SortField
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import behaviors_counted, behaviors_in_use

_MOST_ROWS = 2000


class RolloutList(WindowView):
    """The rollouts of one query; the screen loads its pages.

    Args:
        titles: the line above, which this fills.
    """

    TITLE = "list of rollouts"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Read")]

    class VisibleRowsChanged(Message):
        """The visible rows changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RolloutList.VisibleRowsChanged)

    def __init__(self, titles: TextRows) -> None:
        super().__init__()
        self._titles = titles
        self._rollouts: list[RolloutRow] = []
        self._names: tuple[str, ...] = ()
        self._behaviors = FOUR_HABITS.names
        """Those of the sets that occur in the rows."""
        self._searched = False
        self._snippets: dict[str, Snippet | None] = {}
        self._fitted = fit_columns(chosen_columns((), searched=False), 80)
        self._sort = Sort("step", descending=True)
        self._marked: str | None = None
        self.above: Cursor | None = None
        """Cursor of the rows above; None if there are none."""
        self.below: Cursor | None = None
        """Cursor of the rows below; None if there are none."""

    @property
    def line_count(self) -> int:
        return len(self._rollouts)

    @property
    def rollout(self) -> RolloutRow | None:
        """The row under the cursor."""
        return self._rollouts[self.cursor] if self._rollouts else None

    @property
    def rollouts(self) -> Sequence[RolloutRow]:
        """The loaded rows."""
        return self._rollouts

    def column_at(self, x: int) -> str | None:
        """Return the name of the column at a cell of the line of titles; None beside them."""
        left = 1
        for column, width in self._fitted:
            if left <= x < left + width:
                return column.name
            left += width + 1
        return None

    @property
    def visible_rows(self) -> tuple[int, int]:
        """First visible line, and the line after the last."""
        top = self.scroll_offset.y
        return top, min(self.line_count, top + self.size.height)

    def set_rows(
        self,
        rows: Sequence[RolloutRow],
        above: Cursor | None,
        below: Cursor | None,
        sort: Sort,
        cursor: int,
        *,
        searched: bool = False,
    ) -> None:
        """Replace all rows; `searched` adds a column with the text around the matches."""
        self._rollouts = list(rows)
        self._behaviors = behaviors_counted(row.counts for row in rows)
        self.above, self.below = above, below
        self._sort = sort
        self._searched = searched
        self._snippets = {}
        self._fit()
        self.lines_changed(cursor=cursor)
        self.show_line(self.cursor, context=self.size.height // 3)

    def prepend(self, page: Page[RolloutRow]) -> None:
        """Insert rows at the start; the visible rows stay in place."""
        self._rollouts[:0] = page.rows
        self._see_behaviors(page.rows)
        self.above = page.before
        self.shift(len(page.rows))
        if len(self._rollouts) > _MOST_ROWS:
            del self._rollouts[_MOST_ROWS:]
            self.below = self._rollouts[-1].cursor
            self.lines_changed()

    def append(self, page: Page[RolloutRow]) -> None:
        """Append rows."""
        self._rollouts.extend(page.rows)
        self._see_behaviors(page.rows)
        self.below = page.after
        excess = len(self._rollouts) - _MOST_ROWS
        if excess > 0:
            del self._rollouts[:excess]
            self.above = self._rollouts[0].cursor
            self.shift(-excess)
        self.lines_changed()

    def refresh_rows(self, rows: Sequence[RolloutRow], first: int) -> None:
        """Replace rows from line `first` on by newer versions, as long as they are the same rollouts."""
        for offset, fresh in enumerate(rows):
            line = first + offset
            if line >= self.line_count or self._rollouts[line].id != fresh.id:
                return
            if self._rollouts[line] != fresh:
                self._rollouts[line] = fresh
                self.line_changed(line)

    def go_to(self, rollout_id: str) -> bool:
        """Put the cursor on a rollout; return whether it is loaded."""
        for line, rollout in enumerate(self._rollouts):
            if rollout.id == rollout_id:
                self.cursor = line
                return True
        return False

    def show_mark(self, rollout_id: str | None) -> None:
        """Show which rollout is marked for a comparison."""
        if rollout_id != self._marked:
            self._marked = rollout_id
            self.refresh()

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        rollout = self._rollouts[line]
        cells = rollout_cells(rollout)
        if rollout.id == self._marked:
            cells = {**cells, "noted": ("◆", "busy")}
        if self._fitted[-1][0] is not SNIPPET:
            return row_parts(self._fitted, cells)
        snippet = snippet_parts(self._snippets.get(rollout.id), self._fitted[-1][1])
        return [*row_parts(self._fitted[:-1], cells), (" ", ""), *snippet]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the chosen columns; empty for the default ones."""
        return self._names

    def show_columns(self, names: tuple[str, ...]) -> None:
        """Show other columns; none means the default ones."""
        self._names = names
        self._fit()
        self.refresh()

    @property
    def sort_fields(self) -> list[SortField]:
        """The shown columns by which the list can be sorted, from the left."""
        return [field for column, _ in self._fitted for field in SORTABLE if field == column.name]

    def without_snippet(self) -> list[str]:
        """Return ids of visible rows whose matches were not looked up yet."""
        top, bottom = self.visible_rows
        return [rollout.id for rollout in self._rollouts[top:bottom] if rollout.id not in self._snippets]

    def show_snippets(self, found: Mapping[str, Snippet | None]) -> None:
        """Show the text around the matches of some rows."""
        self._snippets.update(found)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._searched and round(old_value) != round(new_value):
            self.post_message(self.VisibleRowsChanged())

    def _see_behaviors(self, rows: Sequence[RolloutRow]) -> None:
        """Add the columns of a behaviour set that occurs in rows for the first time."""
        if any(row.judge for row in rows):
            judged = any(row.judge for row in self._rollouts[: -len(rows)])
            before = self._behaviors if judged else ()
            found = behaviors_in_use((*before, *behaviors_counted(row.counts for row in rows)))
            if found != self._behaviors:
                self._behaviors = found
                self._fit()

    def _fit(self) -> None:
        columns = chosen_columns(self._names, searched=self._searched, behaviors=self._behaviors)
        self._fitted = fit_columns(columns, self.text_width)
        self._show_titles()

    def _show_titles(self) -> None:
        mark: dict[str, str] = {self._sort.field: "↓" if self._sort.descending else "↑"}
        self._titles.show((" ", "heading"), *heading_parts(self._fitted, mark))

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._fit()
        self.refresh()
        self.ask_for_more()
        if self._searched:
            self.post_message(self.VisibleRowsChanged())
