"""A screen with a paged list of rollouts: pages before and after, new rollouts, visible rows."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from cogtui.app.rendering.styles import Part
from cogtui.app.rollout.rollout_columns import SNIPPET_CHARACTERS
from cogtui.app.shell.context import FileImport
from cogtui.app.shell.list_query import ListQuery
from cogtui.app.shell.opening import OpenReader, PrepareReaders
from cogtui.app.traces.compare.compare_actions import CompareActions
from cogtui.app.traces.list.coverage import coverage_text, searched_text
from cogtui.app.traces.list.filter_bar import FilterBar
from cogtui.app.traces.list.preview import PreviewPane
from cogtui.app.traces.list.rollout_list import RolloutList
from cogtui.app.traces.note_actions import NoteActions
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import END, Query, RolloutRow
from cogtui.store.query.snippets import phrases_of
from cogtui.store.values.types import Coverage
from pipelines.errors import InvalidInput
from pipelines.wording import count_of

PAGE_ROWS = 128
_READ = " "
"""Text for files that are read, or whose reading was stopped."""


class PagedRolloutScreen(CompareActions, NoteActions, PreviewPane):
    """The rollouts of one query, loaded in pages as the list requests them.

    Args:
        mode: title of the mode it is opened in.
        path: for the top bar.
        scope: a filter that holds as long as this screen is open.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("full_stop", "reload", "Load new rollouts", show=False),
        Binding("X", "stop_reading", "Stop reading the files", show=False),
    ]

    def __init__(self, *, mode: str = "Traces", path: str = "", scope: str = "") -> None:
        super().__init__(path, mode=mode)
        self.list_query = ListQuery(scope)
        self.total: int | None = None
        self.new = 0
        self._first_position: int | None = None
        self._newest = 0
        self._busy = False
        self._prepared = False
        self._coverage: Coverage | None = None
        self._phrases = False
        self._reading = ""
        self._unreadable = 0
        self._hints: Sequence[str] = ()
        """Values in the filter that no rollout has."""

    def compose_body(self) -> ComposeResult:
        titles = TextRows(widget_id="titles")
        yield TextRows((" opening the index", "dim"), widget_id="summary")
        yield FilterBar(self.list_query.scope)
        with Container(classes="listing"):
            with Panel(title="Rollouts", panel_id="rollouts-panel"):
                yield titles
                yield RolloutList(titles)
            yield from self.compose_preview()

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
        if self.context.file_import is not None:
            self.call_every(1.0, self._ask_reading)
        self.load()

    def load(self, keep: RolloutRow | None = None, *, end: bool = False) -> None:
        """Load the list around a row to keep, from the start, or at the end."""
        try:
            query = self.list_query.query()
        except InvalidInput as error:
            self.show_error(error)
            return
        self.run_worker(self._load(query, keep, end), group="load", exclusive=True)

    async def _load(self, query: Query, keep: RolloutRow | None, end: bool) -> None:
        store = self.context.store
        coverage = await self.fetch(store.call(lambda found: found.coverage()))
        if coverage is None:
            self.query_one("#summary", TextRows).show((" the index cannot be read", "bad"))
            return
        for notice in await self.fetch(store.call(lambda found: found.take_notices())) or ():
            self.app.notify(notice, severity="warning", timeout=8, markup=False)
        total: int | None = None
        if keep is None:
            # At the end the position follows from the count; counting the rows above would visit every row.
            first = await self.fetch(
                store.call(
                    lambda found: (
                        found.page(query, before=END if end else None, limit=PAGE_ROWS),
                        found.count(query) if end else None,
                    )
                )
            )
            if first is None:
                return
            page, total = first
            rows, before, after = list(page.rows), page.before, page.after
            cursor = len(rows) - 1 if end else 0
        else:
            kept = keep.cursor
            above = await self.fetch(store.call(lambda found: found.page(query, before=kept, limit=PAGE_ROWS)))
            below = await self.fetch(store.call(lambda found: found.page(query, after=kept, limit=PAGE_ROWS)))
            if above is None or below is None:
                return
            rows, before, after = [*above.rows, keep, *below.rows], above.before, below.after
            cursor = len(above.rows)
        self._newest, self.new = coverage.newest, 0
        self._coverage = coverage
        self._phrases = bool(phrases_of(query.filter))
        self._hints = ()
        self.total, self._first_position = total, None if total is None else total - len(rows)
        self.view.set_rows(rows, before, after, query.sort, cursor, searched=self._phrases)
        self._show_summary()
        self._want_snippets()
        if not self._prepared:
            self._prepared = True
            self.run_worker(self._prepare(), group="prepare")
        if total is not None:
            return
        self.total = await self.fetch(store.call(lambda found: found.count(query)))
        if self.total == 0:
            self._hints = await self.fetch(store.call(lambda found: found.unknown_values(query.filter))) or ()
        if not rows or before is None:
            self._first_position = 0
        else:
            top = rows[0].cursor
            self._first_position = await self.fetch(store.call(lambda found: found.position(query, top)))
        self._show_summary()

    async def _prepare(self) -> None:
        await self.fetch(self.context.work.call(lambda _: _import_reading()))
        self.post_message(PrepareReaders())

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
                page = await self.fetch(
                    self.context.store.call(lambda found: found.page(query, before=above, limit=PAGE_ROWS))
                )
                if page is not None and view.above is above:
                    view.prepend(page)
                    if self._first_position is not None:
                        self._first_position -= len(page.rows)
            elif direction > 0 and below is not None:
                page = await self.fetch(
                    self.context.store.call(lambda found: found.page(query, after=below, limit=PAGE_ROWS))
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
        if self.context.file_import is not None and self._reading != _READ:
            self.run_worker(self._show_reading(self.context.file_import), group="reading", exclusive=True)

    async def _show_reading(self, reading: FileImport) -> None:
        found = await self.fetch(
            self.context.work.call(lambda _: (reading.done(), reading.progress(), reading.unreadable()))
        )
        if found is None:
            return
        done, progress, (unreadable, first) = found
        if unreadable and not self._unreadable:
            self.show_message(f"could not be read: {first}", bad=True)
        self._unreadable = unreadable
        # How many rows the files have is known only when they are read.
        so_far = f", {count_of(int(progress.done), 'row')} so far" if progress is not None else ""
        self._reading = _READ if done else f"  reading the files{so_far}"
        self._show_summary()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "stop_reading" or (self.context.file_import is not None and self._reading != _READ)

    def action_stop_reading(self) -> None:
        """Stop reading the opened files; opening them again continues from there."""
        reading = self.context.file_import
        if reading is not None:
            self.run_worker(self._stop_reading(reading), group="reading", exclusive=True)

    async def _stop_reading(self, reading: FileImport) -> None:
        await self.fetch(self.context.work.call(lambda _: reading.cancel()))
        self._reading = _READ
        self.show_message("stopped reading; opening the same files again continues from there")
        self._show_summary()

    def _store_changed(self, version: int) -> None:
        self.catch_up()

    def catch_up(self) -> None:
        self.mark_changed()
        if self.total is not None:
            self.run_worker(self._follow(), group="follow", exclusive=True)

    async def _follow(self) -> None:
        """Count new rollouts and refresh the visible rows; the cursor stays in place."""
        view, query, newest = self.view, self.list_query.query(), self._newest
        if not view.line_count:
            self.load()
            return
        store = self.context.store
        coverage = await self.fetch(store.call(lambda found: found.coverage()))
        total = await self.fetch(store.call(lambda found: found.count(query)))
        new = await self.fetch(store.call(lambda found: found.count(query, newer_than=newest)))
        top, bottom = view.visible_rows
        if top > 0:
            above = view.rollouts[top - 1].cursor
            page = await self.fetch(store.call(lambda found: found.page(query, after=above, limit=bottom - top)))
        else:
            page = await self.fetch(store.call(lambda found: found.page(query, limit=max(1, bottom))))
        if coverage is None or total is None or new is None or page is None or newest != self._newest:
            return
        view.refresh_rows(page.rows, top)
        if view.below is None and new:
            last = view.rollouts[-1].cursor
            tail = await self.fetch(store.call(lambda found: found.page(query, after=last, limit=PAGE_ROWS)))
            if tail is not None and tail.rows and view.below is None:
                view.append(tail)
        seen = sum(rollout.serial > newest for rollout in view.rollouts)
        self._coverage, self.total, self.new = coverage, total, max(0, new - seen)
        self._show_summary()

    @on(LineView.CursorMoved)
    def _show_summary(self) -> None:
        view = self.view
        parts: list[Part] = []
        if self.total == 0:
            parts.append((" no rollout", "strong"))
            why = " passes this filter (Backspace clears it)" if self.list_query.own_text else " in the index yet"
            parts.append((f": {self._hints[0]} " if self._hints else why, "warn" if self._hints else "dim"))
        elif self._first_position is not None and view.line_count:
            parts.append((f" {self._first_position + view.cursor + 1:,}", "strong"))
        if self.total:
            parts.append((f"{' of' if parts else ''} {count_of(self.total, 'rollout')}", ""))
        elif self.total is None:
            parts.append((" counting", "dim"))
        sort = self.list_query.sort
        parts.append((f"  by {sort.field} {'↓' if sort.descending else '↑'}", "dim"))
        if self.new:
            parts.append((f"  {self.new:,} new (.)", "warn"))
        if self._phrases:
            parts.append((f"  {searched_text(self._coverage)}", "dim"))
        elif coverage_text(self._coverage):
            parts.append((f"  {coverage_text(self._coverage)}", "dim"))
        parts.append((self._reading, "dim"))
        if self._unreadable:
            parts.append((f" {self._unreadable:,} {'row' if self._unreadable == 1 else 'rows'} not readable", "warn"))
        self.query_one("#summary", TextRows).show(*parts)
        self.preview_soon()

    @on(RolloutList.VisibleRowsChanged)
    def _want_snippets(self) -> None:
        if self._phrases:
            self.run_worker(self._find_snippets(), group="snippets", exclusive=True)

    async def _find_snippets(self) -> None:
        """Look up the text around the search matches in the visible rows."""
        query, wanted = self.list_query.query(), self.view.without_snippet()
        if wanted:
            found = await self.fetch(
                self.context.store.call(lambda store: store.snippets(query, wanted, width=SNIPPET_CHARACTERS))
            )
            if found is not None:
                self.view.show_snippets({uid: found.get(uid) for uid in wanted})

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

    @on(LineView.LineSelected)
    def _chosen(self) -> None:
        rollout = self.view.rollout
        if rollout is not None:
            self.post_message(OpenReader(self, self.list_query, rollout, self._reader_closed))

    def _reader_closed(self, rollout: RolloutRow) -> None:
        """Move the cursor to the rollout at which the reader was closed."""
        if not self.view.go_to(rollout.id):
            self.load(keep=rollout)

    def note_written(self) -> None:
        self.previewed = None
        self.load(keep=self.view.rollout)

    def action_reload(self) -> None:
        """Load rollouts that arrived meanwhile; the cursor stays on its rollout."""
        self.load(keep=self.view.rollout)


def _import_reading() -> None:
    """Import the modules of the reader and the judge, which takes 0.1 s, before they are needed."""
    import cogtui.app.traces.compare.screen
    import cogtui.app.traces.reader.screen  # noqa: F401
    import pipelines.behaviors.judges.rules.judge
    import pipelines.tasks.countdown.task  # noqa: F401
