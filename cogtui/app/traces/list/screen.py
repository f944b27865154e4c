"""Mode 3: the list of rollouts with filter, order and columns; opens views, problems and histograms."""

from dataclasses import replace
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType

from cogtui.app.rendering.text import printable_line
from cogtui.app.rollout.rollout_columns import COLUMNS, SORTABLE
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.list_query import ListQuery, QuickFilter, parenthesise
from cogtui.app.traces.list.columns_screen import ColumnsScreen
from cogtui.app.traces.list.filter_bar import FilterBar
from cogtui.app.traces.list.filter_completion import WordAtCursor, list_candidates
from cogtui.app.traces.list.paged_rollout_screen import PagedRolloutScreen
from cogtui.app.traces.list.saved_view_actions import SavedViewActions
from cogtui.store import Sort
from cogtui.store.columns import VALUE_COLUMNS
from cogtui.store.user_data.views import View, read_views, save_columns
from cogtui.store.values.fields import COLUMN_NAMES
from cogtui.store.values.types import GroupSort, SortField

_ANY = "any"


class TracesScreen(PagedRolloutScreen, SavedViewActions):
    """Rollouts of the workspace, or of a scope within it.

    Args:
        mode: title of the mode it is opened in.
        path: for the top bar.
        scope: a filter that holds as long as this screen is open.
    """

    MODE = "Traces"
    HELP_TITLE = "Traces"
    FOOTER = ("Enter", "/", "s", "b", "h", "d", "v", "w")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("s", "sort", "Sort"),
        Binding("less_than_sign", "sort_column(-1)", "Sort by the column to the left", show=False),
        Binding("greater_than_sign", "sort_column(1)", "Sort by the column to the right", show=False),
        Binding("S", "reverse", "Reverse the order", show=False),
        Binding("b", "problems", "Problems"),
        Binding("h", "histogram", "Histogram"),
        Binding("o", "columns", "Columns", show=False),
        Binding("c", "quick('condition')", "Condition", show=False),
        Binding("t", "quick('step')", "Step", show=False),
        Binding("x", "correct", "Correct or wrong", show=False),
        Binding("backspace", "clear", "Clear all filters", show=False),
        Binding("y", "copy_id", "Copy the rollout's id", show=False),
        Binding("Y", "copy_command", "Copy this list as a command", show=False),
    ]

    def on_mount(self) -> None:
        self.run_worker(self._read_columns(), group="columns", exclusive=True)

    async def _read_columns(self) -> None:
        kept = await self.fetch(self.context.work.call(lambda _: read_views()))
        if kept is not None and kept.columns:
            self.view.show_columns(kept.columns)

    def change(self, query: ListQuery) -> None:
        """Show another query, also in the filter bar."""
        self.list_query = query
        self.query_one(FilterBar).show_filter(query.own_text)
        self.load()

    def action_filter(self) -> None:
        """Open the filter bar."""
        self.query_one(FilterBar).open(self.list_query.typed)

    @on(FilterBar.FilterChanged)
    def _filter_changed(self, event: FilterBar.FilterChanged) -> None:
        self.view.focus()
        self.change(replace(self.list_query, typed=event.text))

    @on(FilterBar.CandidatesRequested)
    def _complete(self, event: FilterBar.CandidatesRequested) -> None:
        self.run_worker(self._find_candidates(event.word), group="complete", exclusive=True)

    async def _find_candidates(self, word: WordAtCursor) -> None:
        found = await self.fetch(
            self.context.store.call(
                lambda store: list_candidates(word, lambda field, prefix: store.values(field, prefix, limit=30))
            )
        )
        if found is not None:
            self.query_one(FilterBar).complete(word, found)

    @on(FilterBar.EditCancelled)
    def _filter_left(self) -> None:
        self.view.focus()
        self.query_one(FilterBar).show_filter(self.list_query.own_text)

    def action_quick(self, name: QuickFilter) -> None:
        """Ask for a value to filter by."""
        self.run_worker(self._quick(name), group="quick", exclusive=True)

    async def _quick(self, name: QuickFilter) -> None:
        values = await self.fetch(self.context.store.call(lambda found: found.values(name, limit=500)))
        if values is None:
            return
        choices = [_ANY, *values]
        now = self.list_query.value(name)

        def chosen(index: int | None) -> None:
            if index is not None:
                self.change(self.list_query.with_quick(name, choices[index] if index else None))

        at = choices.index(now) if now in choices else 0
        self.app.push_screen(ChoiceScreen(f"Which {name}?", choices, at), chosen)

    def action_correct(self) -> None:
        """Show correct rollouts only, then wrong ones only, then both."""
        following = {None: "true", "true": "false", "false": None}
        self.change(self.list_query.with_quick("correct", following[self.list_query.value("correct")]))

    def action_clear(self) -> None:
        """Clear all filters."""
        self.change(replace(self.list_query, quick=(), typed=""))

    def action_sort(self) -> None:
        """Ask what to sort by."""
        sort = self.list_query.sort
        at = SORTABLE.index(sort.field)

        def chosen(index: int | None) -> None:
            if index is not None:
                field = SORTABLE[index]
                self._sort_by(field)

        names = [name if name != sort.field else f"{name} (now; chosen again: the other way)" for name in SORTABLE]
        self.app.push_screen(ChoiceScreen("Sort by?", names, at), chosen)

    def _sort_by(self, field: SortField) -> None:
        sort = self.list_query.sort
        descending = not sort.descending if field == sort.field else field in _HIGH_FIRST
        self.change(replace(self.list_query, sort=Sort(field, descending)))

    def action_sort_column(self, by: int) -> None:
        """Sort by the next or previous visible column."""
        fields, now = self.view.sort_fields, self.list_query.sort.field
        if fields:
            at = fields.index(now) + by if now in fields else 0
            self._sort_by(fields[at % len(fields)])

    def on_click(self, event: events.Click) -> None:
        """Sort by the column whose title was clicked, the other way at the second click."""
        if event.widget is not None and event.widget.id == "titles":
            name = self.view.column_at(event.x)
            if name in self.view.sort_fields:
                self._sort_by(name)

    def action_reverse(self) -> None:
        """Reverse the order."""
        sort = self.list_query.sort
        self.change(replace(self.list_query, sort=replace(sort, descending=not sort.descending)))

    def action_copy_id(self) -> None:
        """Copy the id of the rollout under the cursor."""
        if self.view.rollout is not None:
            self.copy(self.view.rollout.id, "the rollout's id")

    def action_copy_command(self) -> None:
        """Copy a command that prints this list."""
        sort = self.list_query.sort
        text = printable_line(self.list_query.text).replace("'", "'\\''")
        self.copy(f"cogtui rollouts '{text}' --sort={'-' if sort.descending else ''}{sort.field}", "the command")

    def action_columns(self) -> None:
        """Ask which columns to show; the choice is saved."""

        def chosen(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self.view.show_columns(names)
                self.run_worker(self._keep_columns(names), group="columns", exclusive=True)

        now = self.view.columns or tuple(column.name for column in COLUMNS)
        self.app.push_screen(ColumnsScreen(now, COLUMN_NAMES), chosen)

    async def _keep_columns(self, names: tuple[str, ...]) -> None:
        await self.fetch(self.context.work.call(lambda _: save_columns(names)))

    def view_here(self, name: str) -> View:
        sort = self.list_query.sort
        order = ("-" if sort.descending else "") + sort.field
        return View(name=name, filter=self.list_query.own_text, sort=order, columns=self.view.columns)

    def show_view(self, view: View) -> None:
        self.view.show_columns(view.columns)
        self.change(ListQuery(self.list_query.scope, typed=view.filter, sort=view.order))
        if view.groups:
            self.action_problems(*view.group_order)

    def action_problems(self, sort: GroupSort = "mean", descending: bool = False) -> None:
        """Group the listed rollouts by problem."""
        from cogtui.app.traces.list.problems_screen import ProblemsScreen

        columns = self.view.columns
        self.app.push_screen(ProblemsScreen(self.mode, self.list_query, sort, descending, columns))

    def action_histogram(self) -> None:
        """Show the histogram of a column over the listed rollouts; choosing a bar filters by it."""
        from cogtui.app.traces.list.histogram_screen import HistogramScreen

        def chosen(text: str) -> None:
            both = f"{parenthesise(self.list_query.typed)} {text}" if self.list_query.typed.strip() else text
            self.change(replace(self.list_query, typed=both))

        field = self.list_query.sort.field
        self.app.push_screen(HistogramScreen(self.mode, self.list_query, field, chosen))


_HIGH_FIRST = {column.name for column in VALUE_COLUMNS if column.sortable and column.name != "sample"}
"""Columns of which the highest values are shown first."""
