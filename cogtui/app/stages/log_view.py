"""A window of a log's lines, wrapped or cut, with levels and matches marked, extended at both ends."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType

from cogtui.app.rendering.layout import TextLayout
from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.rendering.text import crop, shown
from cogtui.app.widgets.window_view import WindowView
from jobs.logs.levels import TRACEBACK, LogLevel, continues_traceback, line_level
from jobs.logs.pattern import LogPattern, SearchTooSlow
from jobs.logs.reader import LogLine

_MOST_ROWS = 12_000
_AROUND = 2_000
"""Rows kept on either side of the cursor."""
LEVEL_STYLES: Final[dict[LogLevel, StyleName]] = {
    "": "", "error": "bad", "warning": "warn", "info": "", "debug": "dim",
}  # fmt: skip
LEVEL_GLYPHS: Final[dict[LogLevel, str]] = {"": "  ", "error": "✗ ", "warning": "▲ ", "info": "  ", "debug": "  "}
"""Before each line, so that errors and warnings are told apart without colour."""
_GUTTER: Final = 2
_LONGEST_TRACEBACK: Final = 200
"""Rows above a line that are looked at for the beginning of its traceback."""

Row = tuple[LogLine, int, int]
"""A line and the range of its text on this row."""


class LogView(WindowView):
    """Shows loaded lines and requests more when the cursor nears an end of them."""

    TITLE = "log"
    CURSOR_GLYPH = False
    OPENS = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "toggle_wrap", "Wrap or cut long lines", show=False),
        Binding("left", "pan(-16)", "Cut lines: to the left", show=False),
        Binding("right", "pan(16)", "Cut lines: to the right", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[LogLine] = []
        self._rows: list[Row] = []
        self._wrap = True
        self._pan = 0
        self._pattern: LogPattern | None = None

    @property
    def line_count(self) -> int:
        return len(self._rows)

    @property
    def text_width(self) -> int:
        return max(1, super().text_width - _GUTTER)

    @property
    def first_byte(self) -> int:
        """Byte offset of the first loaded line."""
        return self._lines[0].start if self._lines else 0

    @property
    def next_byte(self) -> int:
        """Byte offset to read from; an incomplete last line is read again."""
        if not self._lines:
            return 0
        last = self._lines[-1]
        return last.end if last.complete else last.start

    @property
    def byte_below(self) -> int:
        """Byte offset after the cursor's line."""
        return self._rows[self.cursor][0].end if self._rows else 0

    @property
    def byte(self) -> int:
        """Byte offset of the cursor's line."""
        return self._rows[self.cursor][0].start if self._rows else 0

    def set_lines(self, lines: Sequence[LogLine], *, at: int | None = None) -> None:
        """Replace all lines; the cursor goes to the line at byte `at`, or to the last line."""
        self._lines = list(lines)
        self._rows = self._laid_out(self._lines)
        self.lines_changed(cursor=self._row_at(at) if at is not None else len(self._rows) - 1)

    def prepend(self, lines: Sequence[LogLine]) -> None:
        """Insert lines at the start; the visible lines stay in place."""
        rows = self._laid_out(lines)
        self._lines[:0] = lines
        self._rows[:0] = rows
        self.shift(len(rows))
        keep = max(_MOST_ROWS, self.cursor + _AROUND)
        if len(self._rows) > keep:
            last = self._rows[keep - 1][0]
            while self._rows[-1][0].start > last.start:
                self._rows.pop()
            while self._lines[-1].start > last.start:
                self._lines.pop()
            self.lines_changed()

    def append(self, lines: Sequence[LogLine], *, follow: bool) -> None:
        """Append lines, replacing an incomplete last line; with `follow`, the cursor moves to the end."""
        if not lines:
            return
        if self._lines and not self._lines[-1].complete:
            start = self._lines.pop().start
            while self._rows and self._rows[-1][0].start == start:
                self._rows.pop()
        self._lines.extend(lines)
        self._rows.extend(self._laid_out(lines))
        here = len(self._rows) - 1 if follow else self.cursor
        excess = min(len(self._rows) - _MOST_ROWS, here - _AROUND)
        if excess > 0:
            first = self._rows[excess][0]
            gone = next(i for i, (line, *_) in enumerate(self._rows) if line.start >= first.start)
            self._lines = [line for line in self._lines if line.start >= first.start]
            del self._rows[:gone]
            self.shift(-gone)
        self.lines_changed(cursor=len(self._rows) - 1 if follow else None)

    def go_to_byte(self, offset: int) -> bool:
        """Put the cursor on the line at a byte offset; False if it is not loaded."""
        if not self._lines or not self._lines[0].start <= offset < self._lines[-1].end:
            return False
        self.cursor = self._row_at(offset)
        self.show_line(self.cursor, context=min(5, self.size.height // 3))
        return True

    def mark(self, pattern: LogPattern | None) -> None:
        """Mark the matches of a pattern."""
        self._pattern = pattern
        self.refresh()

    def _row_at(self, offset: int) -> int:
        return next((i for i, (line, *_) in enumerate(self._rows) if line.start <= offset < line.end), 0)

    def _laid_out(self, lines: Sequence[LogLine]) -> list[Row]:
        rows: list[Row] = []
        width = self.text_width
        for line in lines:
            if not self._wrap or (len(line.text) <= width and line.text.isascii()):
                rows.append((line, 0, len(line.text)))
                continue
            layout = TextLayout(line.text, width)
            rows.extend((line, *layout.bounds(row)) for row in range(len(layout)))
        return rows

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        entry, start, end = self._rows[line]
        text = entry.text[start:end]
        if not self._wrap:
            text = text[self._pan : self._pan + 4 * width]
        level = self.level_at(line)
        style = LEVEL_STYLES[level]
        parts: list[Part] = [(LEVEL_GLYPHS[level] if start == 0 else "  ", style)]
        position = 0
        for begin, stop in self._matches_in(text):
            parts.append((shown(text[position:begin]), style))
            parts.append((shown(text[begin:stop]), "match"))
            position = stop
        parts.append((crop(shown(text[position:]), 2 * width), style))
        return parts

    def level_at(self, row: int) -> LogLevel:
        """Return the level of the line on a row: what it states, or error for the frames of a traceback."""
        entry = self._rows[row][0]
        level = line_level(entry.text)
        if level in ("error", "warning") or not continues_traceback(entry.text):
            return level
        for above in range(row - 1, max(-1, row - 1 - _LONGEST_TRACEBACK), -1):
            text = self._rows[above][0].text
            if TRACEBACK in text:
                return "error"
            if not continues_traceback(text):
                return level
        return level

    def _matches_in(self, text: str) -> Sequence[tuple[int, int]]:
        if self._pattern is None:
            return ()
        try:
            return self._pattern.spans_in(text)
        except SearchTooSlow:
            self._pattern = None  # no line is marked rather than every repaint delayed
            return ()

    def action_toggle_wrap(self) -> None:
        """Wrap long lines, or cuts them."""
        at = self.byte
        self._wrap = not self._wrap
        self._pan = 0
        self._rows = self._laid_out(self._lines)
        self.lines_changed(cursor=self._row_at(at))

    def action_pan(self, cells: int) -> None:
        """Scroll long lines sideways while they are cut."""
        if not self._wrap:
            self._pan = max(0, self._pan + cells)
            self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        at = self.byte
        self._rows = self._laid_out(self._lines)
        self.lines_changed(cursor=self._row_at(at))
        super().on_resize(event)
