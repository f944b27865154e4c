"""The search of all logs of an experiment, or of all stages: a row per log with the number of its matching lines."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from cogtui.app.rendering.column_layout import Column
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.stages.facts import short_title
from cogtui.app.stages.log_reading import short_log_path
from cogtui.app.stages.log_screen import LogScreen
from cogtui.app.widgets.keyed_table import Cells, KeyedTable
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.popup_input import PopupInput
from cogtui.app.widgets.text_rows import TextRows
from jobs.logs.pattern import LogPattern
from jobs.logs.search import LogMatches, LogSearch, SearchProgress
from pipelines.errors import CogtuiError
from pipelines.wording import count_of

_SLICE_S: Final = 0.2
"""Seconds of searching before what was found is shown and other reads of the same thread have their turn."""
_COLUMNS: Final = (
    Column("lines", "lines", 8, right=True),
    Column("stage", "stage", 10),
    Column("run", "run", 18, grows=True, rank=2),
    Column("log", "log", 14),
    Column("first", "first matching line", 24, grows=True),
)


class LogTable(KeyedTable):
    """The table of logs that match."""

    TITLE = "table of logs"


class LogSearchScreen(AppScreen):
    """Logs with matching lines; Enter opens one at its first match.

    Args:
        mode: title of the mode it is opened in.
        keys: of the stages whose logs are searched, in this order.
        scope: whose logs these are, in words.
    """

    HELP_TITLE = "Search of all logs"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "search", "Search for something else")]

    def __init__(self, mode: str, keys: Sequence[str], scope: str) -> None:
        super().__init__("search of all logs", mode=mode)
        self.keys = list(keys)
        self.scope = scope
        self._search: LogSearch | None = None
        self._progress = SearchProgress(0, 0, len(self.keys), 0.0, False)
        self._matches: dict[str, LogMatches] = {}
        """By the keys of the table."""
        self._stop = threading.Event()

    def compose_body(self) -> ComposeResult:
        titles = TextRows(widget_id="log-titles")
        yield TextRows(
            (f" {printable_line(self.scope, 100)}: {count_of(len(self.keys), 'stage')}", "dim"), widget_id="found"
        )
        with Panel(title="Logs with matching lines", panel_id="found-panel"):
            yield titles
            yield LogTable(_COLUMNS, titles)
        yield PopupInput("search all logs: a regular expression; lower case finds both cases", "search-all")

    def on_mount(self) -> None:
        self.query_one(LogTable).focus()
        self.action_search()

    def on_unmount(self) -> None:
        self._stop.set()

    def action_search(self) -> None:
        """Ask for a search pattern."""
        self.query_one("#search-all", PopupInput).open(self._search.pattern.text if self._search else "")

    @on(Input.Submitted, "#search-all")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        entry = self.query_one("#search-all", PopupInput)
        if not event.value:
            entry.show_problem("type what to search for; Esc goes back")
            return
        try:
            pattern = LogPattern(event.value)
        except CogtuiError as error:
            entry.show_problem(error.summary)
            return
        entry.close()
        self.query_one(LogTable).focus()
        self._stop.set()
        stop = self._stop = threading.Event()
        workspace = self.context.workspace
        stages = [(key, workspace.folder(key).path) for key in self.keys]
        self._search = LogSearch(stages, pattern, stop.is_set)
        self.run_worker(self._run(self._search, stop), group="search", exclusive=True)

    @on(PopupInput.InputCancelled)
    def _abandoned(self) -> None:
        if self._search is None:
            self.action_up()
        else:
            self.query_one(LogTable).focus()

    async def _run(self, search: LogSearch, stop: threading.Event) -> None:
        self._show(SearchProgress(0, 0, len(self.keys), 0.0, False))
        while not stop.is_set():
            progress = await self.fetch(self.context.work.call(lambda _: search.advance(_SLICE_S)))
            if progress is None:
                return
            if search is self._search:
                self._show(progress)
            if progress.done:
                return

    def _show(self, progress: SearchProgress) -> None:
        search = self._search
        if search is None:
            return
        self._progress = progress
        found = list(search.found)
        self._matches = {f"{one.key} {one.path}": one for one in found}
        self.query_one(LogTable).set_rows([(key, self._cells(one)) for key, one in self._matches.items()])
        lines = sum(one.count for one in found)
        more = "+" if any(one.is_capped for one in found) else ""
        logs = sum(one.count > 0 for one in found)
        parts: list[Part] = [
            (f" {printable_line(search.pattern.text, 40)}", "strong"),
            (
                f"  {lines:,}{more} lines in {logs:,} of {count_of(progress.logs, 'log')}"
                if lines != 1
                else f"  1 line in 1 of {count_of(progress.logs, 'log')}",
                "",
            ),
        ]
        if not progress.done:
            parts.append((f"  searching {progress.stages:,} of {count_of(progress.total, 'stage')}", "busy"))
        failed = sum(bool(one.problem) for one in found)
        if failed:
            parts.append((f"  {count_of(failed, 'log')} not searched to the end", "warn"))
        parts.append((f"  {printable_line(self.scope, 60)}", "dim"))
        self.query_one("#found", TextRows).show(*parts)

    def _cells(self, one: LogMatches) -> Cells:
        stage = self.context.snapshot.states.get(one.key)
        first: Part = (
            (printable_line(one.problem, 200), "warn") if one.problem else (printable_line(one.excerpt, 400), "")
        )
        return {
            "lines": (f"{one.count:,}{'+' if one.is_capped else ''}", "strong"),
            "stage": (printable_line(one.key if stage is None else stage.name or stage.kind, 60), ""),
            "run": ("" if stage is None else printable_line(short_title(stage.labels), 120), "dim"),
            "log": (_log_name(one.path), "dim"),
            "first": first,
        }

    @on(LineView.LineSelected)
    def _chosen(self, event: LineView.LineSelected) -> None:
        event.stop()
        one = self._matches.get(self.query_one(LogTable).key or "")
        if one is not None and one.count and self._search is not None:
            self.app.push_screen(LogScreen(self.mode, one.key, path=one.path, pattern=self._search.pattern))

    def action_up(self) -> None:
        """End the search and go one level up."""
        self._stop.set()
        super().action_up()


def _log_name(path: Path) -> str:
    """Return the path of a log below the attempts, or its name if it is in none."""
    try:
        return short_log_path(path)
    except (ValueError, StopIteration):
        return path.name
