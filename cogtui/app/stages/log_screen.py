"""The log screen: opens at the end, follows, searches, jumps to the first error, opens the pager."""

import os
import re
import shlex
import subprocess
import threading
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.widgets import Input

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.stages.log_reading import find_line, is_outdated, last_lines, new_lines, short_log_path
from cogtui.app.stages.log_view import LogView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.popup_input import PopupInput
from cogtui.app.widgets.text_rows import TextRows
from jobs.logs.pattern import LogPattern
from jobs.logs.reader import BLOCK, ERRORS, LogChunk, LogFile, TextMark, attempt_logs, best_log
from jobs.state.types import missing_log_reason
from pipelines.errors import CogtuiError
from pipelines.wording import count_of

_POLL_S = 1.0


class LogScreen(AppScreen):
    """One log file of a stage's attempts.

    Args:
        mode: title of the mode it is opened in.
        key: of the stage.
        failed: open stderr rather than stdout, at the first error.
        path: of the log to open, instead of the best one.
        pattern: what to search for at once, from its beginning.
    """

    HELP_TITLE = "Log"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search"),
        Binding("n", "again(1)", "Next match", show=False),
        Binding("N", "again(-1)", "Previous match", show=False),
        Binding("e", "first_error", "First error"),
        Binding("f", "toggle_follow", "Follow"),
        Binding("o", "choose_file", "Other file"),
        Binding("v", "pager", "Open $PAGER", show=False),
        Binding("y", "copy_path", "Copy the path", show=False),
    ]

    def __init__(
        self, mode: str, key: str, *, failed: bool = False, path: Path | None = None, pattern: LogPattern | None = None
    ) -> None:
        super().__init__(f"{key} › log", mode=mode)
        self.key = key
        self.failed = failed
        self.file: LogFile | None = None
        self.following = not failed and pattern is None
        self._path_given = path
        self._picked = path is not None
        self._bytes = 0
        self._identity = (0, 0)
        self._mark: TextMark | None = None
        """Of text that is loaded, to see when the file is emptied and written anew."""
        self._pattern: re.Pattern[bytes] | LogPattern | None = pattern
        self._stop = threading.Event()
        self._loading = False

    def compose_body(self) -> ComposeResult:
        yield TextRows((" looking for the log", "dim"), widget_id="where")
        with Panel(title="Log", panel_id="log-panel"):
            yield LogView()
        yield PopupInput("search: a regular expression; lower case finds both cases", "search")

    def on_mount(self) -> None:
        self.query_one(LogView).focus()
        self.run_worker(self._open_best(), group="log", exclusive=True)
        self.call_every(_POLL_S, self._poll)

    def on_unmount(self) -> None:
        self._stop.set()

    async def _open_best(self) -> None:
        folder = self.context.workspace.folder(self.key).path
        path, self._path_given = self._path_given, None
        wanted = path is not None
        if path is None:
            path = await self.fetch(
                self.context.work.call(lambda _: best_log(attempt_logs(folder), failed=self.failed))
            )
        if path is None:
            reason = missing_log_reason(self.context.snapshot.states.get(self.key))
            self.query_one("#where", TextRows).show((f" {reason}", "dim"))
            return
        await self._open(path)
        if wanted and isinstance(self._pattern, LogPattern):
            self.query_one(LogView).mark(self._pattern)
            await self._seek(self._pattern, 0, backwards=False)
        elif self.failed and self.file is not None:
            await self._seek(ERRORS, 0, backwards=False, quiet=True)

    async def _open(self, path: Path) -> None:
        self.file = LogFile(path)
        file = self.file
        read = await self.fetch(self.context.work.call(lambda _: last_lines(file)))
        if read is not None:
            chunk, self._mark = read
            self._remember(chunk)
            self.query_one(LogView).set_lines(chunk.lines)
            self._show_where()

    def _remember(self, chunk: LogChunk) -> None:
        self._bytes, self._identity = chunk.size, chunk.identity

    def _show_where(self) -> None:
        view = self.query_one(LogView)
        if self.file is None:
            return
        path = self.file.path
        parts: list[Part] = [(f" {printable_line(short_log_path(path), 60)}", "strong")]
        share = 100 * view.byte // self._bytes if self._bytes else 100
        at_end = not view.line_count or view.cursor == view.line_count - 1
        parts.append((f"  {count_of(self._bytes, 'byte')}  {'end' if at_end else f'{share}%'}", "dim"))
        parts.append(("  following" if self.following else "  not following (f)", "busy" if self.following else "dim"))
        self.query_one("#where", TextRows).show(*parts)

    def _poll(self) -> None:
        if self._loading:
            return
        if self.file is None:
            self.run_worker(self._open_best(), group="log", exclusive=True)
        else:
            self.run_worker(self._read_on(), group="log-poll", exclusive=True)

    async def _read_on(self) -> None:
        file, view = self.file, self.query_one(LogView)
        if file is None:
            return
        if not self.following and view.next_byte < self._bytes:
            return  # the reader is in the middle: new lines are loaded when they scroll to the end
        if (
            self.following
            and not self._picked
            and await self.fetch(self.context.work.call(lambda _: is_outdated(file.path)))
        ):
            await self._open_best()
            return
        before = self._mark
        read = await self.fetch(self.context.work.call(lambda _: new_lines(file, view.next_byte, before)))
        if read is None or file is not self.file:
            return
        chunk, mark = read
        if mark is None or chunk.identity != self._identity or chunk.size < self._bytes:
            await self._open(file.path)
            return
        if chunk.size == self._bytes:
            return
        self._mark = mark
        behind = chunk.end < chunk.size
        self._remember(chunk)
        if behind and self.following:
            await self._open(file.path)
            return
        view.append(chunk.lines, follow=self.following)
        self._show_where()

    @on(LogView.CursorMoved)
    def _moved(self) -> None:
        view = self.query_one(LogView)
        if self.following and view.cursor < view.line_count - 1:
            self.following = False
        self._show_where()

    @on(LogView.Edge)
    def _edge(self, event: LogView.Edge) -> None:
        view = self.query_one(LogView)
        wanted = view.first_byte > 0 if event.direction < 0 else view.next_byte < self._bytes
        if wanted and not self._loading and self.file is not None:
            self._loading = True
            self.run_worker(self._load_more(event.direction), group="log-more")

    async def _load_more(self, direction: int) -> None:
        file, view = self.file, self.query_one(LogView)
        try:
            if file is None:
                return
            if direction < 0:
                chunk = await self.fetch(self.context.work.call(lambda _: file.before(view.first_byte)))
            else:
                chunk = await self.fetch(self.context.work.call(lambda _: file.after(view.next_byte)))
            if chunk is None or file is not self.file:
                return
            if direction < 0:
                view.prepend(chunk.lines)
            else:
                view.append(chunk.lines, follow=False)
            self._show_where()
        finally:
            self._loading = False

    @on(LogView.End)
    def _to_end(self) -> None:
        self.following = True
        if self.file is not None:
            self.run_worker(self._open(self.file.path), group="log", exclusive=True)

    @on(LogView.Start)
    def _to_start(self) -> None:
        self.following = False
        self.run_worker(self._show_byte(0), group="log", exclusive=True)

    async def _show_byte(self, offset: int) -> None:
        """Load the lines around a line's start if needed, and go there."""
        file, view = self.file, self.query_one(LogView)
        if file is None:
            return
        self.following = False
        if not view.go_to_byte(offset):
            above = await self.fetch(self.context.work.call(lambda _: file.before(offset, BLOCK // 4)))
            below = await self.fetch(self.context.work.call(lambda _: file.after(offset)))
            if above is None or below is None:
                return
            self._remember(below)
            view.set_lines((*above.lines, *below.lines), at=offset)
            view.show_line(view.cursor, context=5)
        self._show_where()

    def action_search(self) -> None:
        """Ask for a search pattern."""
        self._stop.set()
        self.query_one("#search", PopupInput).open()

    @on(Input.Submitted, "#search")
    def _search(self, event: Input.Submitted) -> None:
        entry = self.query_one("#search", PopupInput)
        try:
            pattern = LogPattern(event.value) if event.value else None
        except CogtuiError as error:
            entry.show_problem(error.summary)
            return
        entry.close()
        self.query_one(LogView).focus()
        if pattern is None:
            return
        self._pattern = pattern
        self.query_one(LogView).mark(pattern)
        self.action_again(1)

    @on(PopupInput.InputCancelled)
    def _abandoned(self) -> None:
        self.query_one(LogView).focus()

    def action_again(self, direction: int) -> None:
        """Go to the next or previous match."""
        if self._pattern is None:
            self.action_search()
            return
        view = self.query_one(LogView)
        start = view.byte_below if direction > 0 else view.byte
        self.run_worker(self._seek(self._pattern, start, backwards=direction < 0), group="log", exclusive=True)

    def action_first_error(self) -> None:
        """Go to the first line that looks like an error; `n` then goes to the next."""
        self.query_one(LogView).mark(None)
        self.run_worker(self._seek(ERRORS, 0, backwards=False), group="log", exclusive=True)

    async def _seek(
        self, pattern: "re.Pattern[bytes] | LogPattern", offset: int, *, backwards: bool, quiet: bool = False
    ) -> None:
        file = self.file
        if file is None:
            return
        self._stop.set()
        stop = self._stop = threading.Event()
        self._pattern = pattern
        self.query_one("#where", TextRows).show((" searching, / searches for something else", "dim"))
        found = await self.fetch(self.context.work.call(lambda _: find_line(file, pattern, offset, backwards, stop)))
        if found is None:
            self.query_one(LogView).mark(None)  # it failed, which was shown
            self._pattern = None
        elif found >= 0:
            await self._show_byte(found)
        elif not quiet and not stop.is_set():
            self.show_message(f"no {'earlier' if backwards else 'further'} match")
        self._show_where()

    def action_toggle_follow(self) -> None:
        """Follow the end of the log, or stop following."""
        if self.following:
            self.following = False
            self._show_where()
        else:
            self._to_end()

    def action_choose_file(self) -> None:
        """Ask for another log file of this stage."""
        self.run_worker(self._choose_file(), group="log", exclusive=True)

    async def _choose_file(self) -> None:
        folder = self.context.workspace.folder(self.key).path
        logs = await self.fetch(self.context.work.call(lambda _: attempt_logs(folder)))
        if not logs:
            return

        def chosen(index: int | None) -> None:
            if index is not None:
                self.following = self._picked = True
                self.run_worker(self._open(logs[index]), group="log", exclusive=True)

        names = [f"attempt {short_log_path(path)}" for path in logs]
        now = logs.index(self.file.path) if self.file is not None and self.file.path in logs else 0
        self.app.push_screen(ChoiceScreen("Which log?", names, now), chosen)

    def action_pager(self) -> None:
        """Open the file in $PAGER, the best way to read a very long log."""
        if self.file is None:
            return
        pager = shlex.split(os.environ.get("PAGER") or "less -S +G")
        try:
            with self.app.suspend():
                subprocess.run([*pager, str(self.file.path)], check=False)
        except (OSError, SuspendNotSupported) as error:
            self.show_error(
                CogtuiError(f"cannot open {pager[0]}: {error}", remedy="Set PAGER to an installed program.")
            )

    def action_copy_path(self) -> None:
        """Copy the path of the log file."""
        if self.file is not None:
            self.copy(str(self.file.path), "the path")

    def action_up(self) -> None:
        """Stop a search and go one level up."""
        self._stop.set()
        super().action_up()
