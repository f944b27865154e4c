"""Mode 3: the list of rollouts, filtered, sorted, followed."""

from dataclasses import replace
from typing import ClassVar, get_args

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cogtui.app.context import Reading
from cogtui.app.data.completion import Word, candidates
from cogtui.app.data.query import ListQuery, Quick
from cogtui.app.looks import Part
from cogtui.app.screens.comparing import ComparingScreen
from cogtui.app.screens.dialogs import ChoiceScreen
from cogtui.app.states import percent
from cogtui.app.text import one_line
from cogtui.app.widgets.filter_bar import FilterBar
from cogtui.app.widgets.line import Line
from cogtui.app.widgets.lines import LineView
from cogtui.app.widgets.rollout_list import RolloutList
from cogtui.store import END, Query, RolloutRow, Sort
from cogtui.store.types import Coverage, SortField
from pipelines.errors import InvalidInput

PAGE_ROWS = 128
_ANY = "any"
_READ = " "
"""What stands for files that are read, or will not be."""
_SORTS: tuple[SortField, ...] = get_args(SortField)


class TracesScreen(ComparingScreen):
    """Rollouts of the workspace, or of a scope within it.

    Args:
        mode: title of the mode it is opened in.
        path: for the top bar.
        scope: a filter that holds as long as this screen is open.
    """

    MODE = "Traces"
    HELP_TITLE = "Traces"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse the order", show=False),
        Binding("c", "quick('condition')", "Condition"),
        Binding("t", "quick('step')", "Step"),
        Binding("x", "correct", "Correct or wrong"),
        Binding("backspace", "clear", "Clear all filters", show=False),
        Binding("full_stop", "reload", "Show new ones", show=False),
        Binding("X", "stop_reading", "Stop reading the files", show=False),
        Binding("y", "copy_id", "Copy the rollout's id", show=False),
        Binding("Y", "copy_command", "Copy this list as a command", show=False),
    ]

    def __init__(self, *, mode: str = "Traces", path: str = "", scope: str = "") -> None:
        super().__init__(path, mode=mode)
        self.list_query = ListQuery(scope)
        self.total: int | None = None
        self.new = 0
        self._first_position: int | None = None
        self._newest = 0
        self._busy = False
        self._coverage: Coverage | None = None
        self._reading = ""

    def compose_body(self) -> ComposeResult:
        titles = Line(widget_id="titles")
        yield Line((" opening the index", "dim"), widget_id="summary")
        yield FilterBar()
        yield titles
        yield RolloutList(titles)

    @property
    def view(self) -> RolloutList:
        """The list."""
        return self.query_one(RolloutList)

    @property
    def rollout_here(self) -> RolloutRow | None:
        return self.view.rollout

    def mark_changed(self) -> None:
        self.view.show_mark(None if self.context.marked is None else self.context.marked.id)

    def on_mount(self) -> None:
        self.view.focus()
        self.mark_changed()
        self.watch_signal(self.shared.store_signal, self._store_changed)
        if self.context.reading is not None:
            self.every(1.0, self._ask_reading)
        self.load()

    def load(self, keep: RolloutRow | None = None, *, end: bool = False) -> None:
        """Asks the store again: around a row to keep, or from the start, or at the end."""
        try:
            query = self.list_query.query()
        except InvalidInput as error:
            self.complain(error)
            return
        self.run_worker(self._load(query, keep, end), group="load", exclusive=True)

    async def _load(self, query: Query, keep: RolloutRow | None, end: bool) -> None:
        store = self.context.store
        coverage = await self.answer(store.ask(lambda found: found.coverage()))
        if coverage is None:
            self.query_one("#summary", Line).show((" the index cannot be read", "bad"))
            return
        if keep is None:
            page = await self.answer(
                store.ask(lambda found: found.page(query, before=END if end else None, limit=PAGE_ROWS))
            )
            if page is None:
                return
            rows, before, after = list(page.rows), page.before, page.after
            cursor = len(rows) - 1 if end else 0
        else:
            kept = keep.cursor
            above = await self.answer(store.ask(lambda found: found.page(query, before=kept, limit=PAGE_ROWS)))
            below = await self.answer(store.ask(lambda found: found.page(query, after=kept, limit=PAGE_ROWS)))
            if above is None or below is None:
                return
            rows, before, after = [*above.rows, keep, *below.rows], above.before, below.after
            cursor = len(above.rows)
        self._newest, self.new = coverage.newest, 0
        self._coverage = coverage
        self.total = self._first_position = None
        self.view.set_rows(rows, before, after, query.sort, cursor)
        self._show_summary()
        self.total = await self.answer(store.ask(lambda found: found.count(query)))
        if rows:
            first = rows[0].cursor
            known = 0 if before is None else None
            self._first_position = (
                known if known is not None else await self.answer(store.ask(lambda found: found.position(query, first)))
            )
        self._show_summary()

    @on(RolloutList.Edge)
    def _edge(self, event: RolloutList.Edge) -> None:
        wanted = self.view.above if event.direction < 0 else self.view.below
        if wanted is not None and not self._busy:
            self._busy = True
            self.run_worker(self._load_more(event.direction), group="more")

    async def _load_more(self, direction: int) -> None:
        view, query = self.view, self.list_query.query()
        above, below = view.above, view.below
        try:
            if direction < 0 and above is not None:
                page = await self.answer(
                    self.context.store.ask(lambda found: found.page(query, before=above, limit=PAGE_ROWS))
                )
                if page is not None and view.above is above:
                    view.prepend(page)
                    if self._first_position is not None:
                        self._first_position -= len(page.rows)
            elif direction > 0 and below is not None:
                page = await self.answer(
                    self.context.store.ask(lambda found: found.page(query, after=below, limit=PAGE_ROWS))
                )
                if page is not None and view.below is below:
                    loaded = view.line_count
                    view.append(page)
                    dropped = loaded + len(page.rows) - view.line_count
                    if self._first_position is not None:
                        self._first_position += dropped
        finally:
            self._busy = False
        self._show_summary()

    def _ask_reading(self) -> None:
        if self.context.reading is not None and self._reading != _READ:
            self.run_worker(self._show_reading(self.context.reading), group="reading", exclusive=True)

    async def _show_reading(self, reading: Reading) -> None:
        found = await self.answer(self.context.work.ask(lambda _: (reading.done(), reading.progress())))
        if found is None:
            return
        done, progress = found
        share = percent(progress) if progress is not None else "the files"
        self._reading = _READ if done else f"  reading {share}"
        self._show_summary()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "stop_reading" or (self.context.reading is not None and self._reading != _READ)

    def action_stop_reading(self) -> None:
        """Stops reading the opened files; opening them again goes on from there."""
        reading = self.context.reading
        if reading is not None:
            self.run_worker(self._stop_reading(reading), group="reading", exclusive=True)

    async def _stop_reading(self, reading: Reading) -> None:
        await self.answer(self.context.work.ask(lambda _: reading.cancel()))
        self._reading = _READ
        self.say("stopped reading; opening the same files again goes on from there")
        self._show_summary()

    def _store_changed(self, version: int) -> None:
        self.catch_up()

    def catch_up(self) -> None:
        self.mark_changed()
        if self.total is not None:
            self.run_worker(self._follow(), group="follow", exclusive=True)

    async def _follow(self) -> None:
        """Counts what is new and brings what is seen up to date; the cursor stays where it is."""
        view, query, newest = self.view, self.list_query.query(), self._newest
        if not view.line_count:
            self.load()
            return
        store = self.context.store
        coverage = await self.answer(store.ask(lambda found: found.coverage()))
        total = await self.answer(store.ask(lambda found: found.count(query)))
        new = await self.answer(store.ask(lambda found: found.count(query, newer_than=newest)))
        top, bottom = view.visible_rows
        if top > 0:
            above = view.rollouts[top - 1].cursor
            page = await self.answer(store.ask(lambda found: found.page(query, after=above, limit=bottom - top)))
        else:
            page = await self.answer(store.ask(lambda found: found.page(query, limit=max(1, bottom))))
        if coverage is None or total is None or new is None or page is None or newest != self._newest:
            return
        view.refresh_rows(page.rows, top)
        if view.below is None and new:
            last = view.rollouts[-1].cursor
            tail = await self.answer(store.ask(lambda found: found.page(query, after=last, limit=PAGE_ROWS)))
            if tail is not None and tail.rows and view.below is None:
                view.append(tail)
        seen = sum(rollout.serial > newest for rollout in view.rollouts)
        self._coverage, self.total, self.new = coverage, total, max(0, new - seen)
        self._show_summary()

    @on(LineView.Moved)
    def _show_summary(self) -> None:
        view = self.view
        parts: list[Part] = []
        if self.total == 0:
            parts.append((" no rollout", "strong"))
            parts.append(
                (
                    " passes this filter (Backspace clears it)" if self.list_query.own_text else " in the index yet",
                    "dim",
                )
            )
        elif self._first_position is not None and view.line_count:
            parts.append((f" {self._first_position + view.cursor + 1:,}", "strong"))
        if self.total:
            parts.append((f" of {self.total:,} rollouts" if len(parts) else f" {self.total:,} rollouts", ""))
        elif self.total is None:
            parts.append((" counting", "dim"))
        sort = self.list_query.sort
        parts.append((f"  by {sort.field} {'↓' if sort.descending else '↑'}", "dim"))
        if self.new:
            parts.append((f"  {self.new:,} new (.)", "warn"))
        parts.append((coverage_text(self._coverage) + self._reading, "dim"))
        self.query_one("#summary", Line).show(*parts)

    @on(RolloutList.Start)
    def _to_start(self) -> None:
        if self.view.above is None:
            self.view.cursor = 0
        else:
            self.load()

    @on(RolloutList.End)
    def _to_end(self) -> None:
        if self.view.below is None:
            self.view.cursor = self.view.line_count - 1
        else:
            self.load(end=True)

    @on(LineView.Chosen)
    def _chosen(self) -> None:
        from cogtui.app.screens.trace import TraceScreen

        rollout = self.view.rollout
        if rollout is not None:
            self.app.push_screen(TraceScreen(self.mode, self.list_query, rollout, left=self._came_back))

    def _came_back(self, rollout: RolloutRow) -> None:
        """The trace view was left at another rollout: the cursor goes there too."""
        if not self.view.go_to(rollout.id):
            self.load(keep=rollout)

    def change(self, query: ListQuery) -> None:
        """Shows another query and says so in the filter bar."""
        self.list_query = query
        self.query_one(FilterBar).show_filter(query.own_text)
        self.load()

    def action_filter(self) -> None:
        """Opens the filter bar."""
        self.query_one(FilterBar).open(self.list_query.typed)

    @on(FilterBar.Changed)
    def _filter_changed(self, event: FilterBar.Changed) -> None:
        self.view.focus()
        self.change(replace(self.list_query, typed=event.text))

    @on(FilterBar.Complete)
    def _complete(self, event: FilterBar.Complete) -> None:
        self.run_worker(self._find_candidates(event.word), group="complete", exclusive=True)

    async def _find_candidates(self, word: Word) -> None:
        found = await self.answer(
            self.context.store.ask(
                lambda store: candidates(word, lambda field, prefix: store.values(field, prefix, limit=30))
            )
        )
        if found is not None:
            self.query_one(FilterBar).complete(word, found)

    @on(FilterBar.Left)
    def _filter_left(self) -> None:
        self.view.focus()
        self.query_one(FilterBar).show_filter(self.list_query.own_text)

    def action_quick(self, name: Quick) -> None:
        """Asks for a value to filter by."""
        self.run_worker(self._quick(name), group="quick", exclusive=True)

    async def _quick(self, name: Quick) -> None:
        values = await self.answer(self.context.store.ask(lambda found: found.values(name, limit=500)))
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
        """Shows correct ones only, then wrong ones only, then both."""
        following = {None: "true", "true": "false", "false": None}
        self.change(self.list_query.with_quick("correct", following[self.list_query.value("correct")]))

    def action_clear(self) -> None:
        """Takes all filters off."""
        self.change(replace(self.list_query, quick=(), typed=""))

    def action_sort(self) -> None:
        """Asks what to sort by."""
        sort = self.list_query.sort
        at = _SORTS.index(sort.field)

        def chosen(index: int | None) -> None:
            if index is not None:
                field = _SORTS[index]
                descending = not sort.descending if field == sort.field else field in _HIGH_FIRST
                self.change(replace(self.list_query, sort=Sort(field, descending)))

        names = [name if name != sort.field else f"{name} (now; chosen again: the other way)" for name in _SORTS]
        self.app.push_screen(ChoiceScreen("Sort by?", names, at), chosen)

    def action_reverse(self) -> None:
        """Turns the order round."""
        sort = self.list_query.sort
        self.change(replace(self.list_query, sort=replace(sort, descending=not sort.descending)))

    def action_reload(self) -> None:
        """Takes up what arrived since; the cursor stays on its rollout."""
        self.load(keep=self.view.rollout)

    def action_copy_id(self) -> None:
        """Copies the id of the rollout under the cursor."""
        if self.view.rollout is not None:
            self.copy(self.view.rollout.id, "the rollout's id")

    def action_copy_command(self) -> None:
        """Copies a command that prints this list."""
        sort = self.list_query.sort
        text = one_line(self.list_query.text).replace("'", "'\\''")
        self.copy(f"cogtui rollouts '{text}' --sort={'-' if sort.descending else ''}{sort.field}", "the command")


_HIGH_FIRST = {
    "step", "reward", "correct", "tokens", "length", "verification", "backtracking", "subgoal", "backward_chaining",
    "unaligned",
}  # fmt: skip


def coverage_text(coverage: Coverage | None) -> str:
    """How much of what is on disk can be seen; nothing where that is all."""
    if coverage is None or coverage.complete:
        return ""
    return f"  index {100 * coverage.bytes_read // coverage.bytes_total}%"
