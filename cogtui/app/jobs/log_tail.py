"""The last lines of the log of the stage under the cursor."""

from pathlib import Path
from typing import Final

from textual import work

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import shown
from cogtui.app.shell.context import shared
from cogtui.app.stages.log_reading import short_log_path
from cogtui.app.stages.log_view import LEVEL_GLYPHS, LEVEL_STYLES
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.panel import Panel
from jobs.logs.levels import line_level
from jobs.logs.reader import LogFile, attempt_logs, best_log

_BYTES: Final = 8192
_MOST_ROWS: Final = 60


class LogTail(DetailPane):
    """Shows the end of the best log of a stage, in a `Panel` whose title names it; read in the background."""

    TITLE = "end of the log"

    def __init__(self) -> None:
        super().__init__("log-tail")
        self._key: str | None = None

    def show_log_of(self, key: str | None) -> None:
        """Show the log of another stage; None for one without."""
        if key != self._key:
            self._key = key
            self._read(key)

    def poll(self) -> None:
        """Read again."""
        if self._key is not None:
            self._read(self._key)

    @work(exclusive=True, group="tail")
    async def _read(self, key: str | None) -> None:
        if not self.size.height:
            return  # not displayed on a low screen
        context = shared(self.app).context
        title, rows = "Log", list[list[Part]]()
        if key is not None:
            failed = context.snapshot.states[key].state == "failed" if key in context.snapshot.states else False
            folder = context.workspace.folder(key).path
            title, rows = await context.work.call(lambda _: _read_tail(folder, failed=failed))
        if self.is_attached and key == self._key:
            panel = self.parent
            if isinstance(panel, Panel):
                panel.show_title(f"{key} · {title}" if key else title)
            room = max(1, self.size.height)
            self.show_rows(rows[-room:])


def _read_tail(folder: Path, *, failed: bool) -> tuple[str, list[list[Part]]]:
    """Return the name of the best log of a stage and its last lines."""
    try:
        path = best_log(attempt_logs(folder), failed=failed)
        if path is None:
            return "no log yet", []
        lines = [line.text for line in LogFile(path).end(_BYTES).lines][-_MOST_ROWS:]
    except OSError as error:
        return f"the log cannot be read: {error.strerror}", []
    rows: list[list[Part]] = []
    for text in lines:
        level = line_level(text)
        rows.append([(LEVEL_GLYPHS[level], LEVEL_STYLES[level]), (shown(text[:500]), LEVEL_STYLES[level])])
    return short_log_path(path), rows
