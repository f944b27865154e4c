"""Progress as a table that redraws itself in place, on a terminal."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cogtui.cli.run.display.accuracy_chart import draw_accuracy_chart
from cogtui.cli.run.display.base import (
    RUNNING,
    ProgressRate,
    clock,
    state_word,
    values_text,
)
from cogtui.cli.run.display.evaluations import EvaluationFollower
from jobs.formatting import format_duration, format_progress
from jobs.planning.types import StageInstance
from jobs.state.types import STATE_GLYPHS, STATES, StageState, StateName
from pipelines.text_safety import one_line

_STYLES: Final[dict[StateName, str]] = {
    "planned": "dim",
    "queued": "",
    "blocked": "yellow",
    "running": "cyan",
    "resuming": "cyan",
    "done": "green",
    "failed": "bold red",
    "cancelled": "dim",
    "timeout": "red",
    "preempted": "yellow",
    "lost": "red",
    "unknown": "yellow",
}
_FIRST: Final[tuple[StateName, ...]] = (
    "running", "resuming", "failed", "timeout", "lost", "unknown", "preempted", "blocked", "cancelled",
    "queued", "planned", "done",
)  # fmt: skip
"""States in the order in which their rows are kept if the terminal has too few rows."""
_CHROME_ROWS: Final = 3
_STAGE_ROWS: Final = 4
"""Rows of stages that the chart must leave."""
_REDRAW_S: Final = 1.0
_BAR_CELLS: Final = 16
_WIDE: Final = 110
"""Terminal width from which the bar is shown."""
_NOTE_CELLS: Final = 36
_GAP: Final = 2


class TableDisplay:
    """A Rich table on stderr: state, stage, progress, time to go, key values. No line is wider than the terminal.

    Args:
        console: where to draw; stderr by default.
        now: seconds on a monotonic clock.
        follower: of the evaluations, which are drawn below the table where the terminal has the rows.
    """

    def __init__(
        self,
        console: Console | None = None,
        now: Callable[[], float] = clock,
        follower: EvaluationFollower | None = None,
    ) -> None:
        self._follower = follower
        self._console = console or Console(stderr=True)
        self._now = now
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._stages: tuple[StageInstance, ...] = ()
        self._paces: dict[str, ProgressRate] = {}
        self._states: dict[str, StageState] = {}
        self._began = 0.0
        self._drawn = 0.0

    def start(self, stages: Sequence[StageInstance], states: Mapping[str, StageState]) -> None:
        """Draw the table."""
        self._stages = tuple(stages)
        self._paces = {stage.key: ProgressRate() for stage in stages}
        self._began = self._now()
        self._live.start()
        self._states = dict(states)
        if self._follower is not None:
            self._follower.poll(self._stages, states)
        self._draw()

    def update(self, states: Mapping[str, StageState]) -> None:
        """Redraw if a state changed, else once a second for the elapsed time."""
        for key, pace in self._paces.items():
            if key in states:
                pace.observe(states[key].progress)
        evaluated = [] if self._follower is None else self._follower.poll(self._stages, states)
        changed = bool(evaluated) or _visible(states) != _visible(self._states)
        self._states = dict(states)
        if changed or self._now() - self._drawn >= _REDRAW_S:
            self._draw()

    def stop(self) -> None:
        """Keep the last table on screen and restore the cursor."""
        self._live.stop()

    def _draw(self) -> None:
        self._drawn = self._now()
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        present = [stage for stage in self._stages if stage.key in self._states]
        room = max(1, self._console.height - _CHROME_ROWS)
        chart = self._chart(room)
        room -= len(chart)
        chosen = present
        if len(present) > room:
            ranked = sorted(present, key=lambda stage: _FIRST.index(self._states[stage.key].state))
            kept = {stage.key for stage in ranked[:room]}
            chosen = [stage for stage in present if stage.key in kept]
        rows = [self._row(stage) for stage in chosen]
        foot = self._fitted(self._foot(len(present) - len(chosen)), "dim")
        return Group(self._table(rows), *(self._fitted(line, "") for line in chart), foot)

    def _chart(self, room: int) -> list[str]:
        """Return the lines of the chart; none where they would leave fewer than four rows for stages."""
        if self._follower is None:
            return []
        curves = self._follower.curves(self._stages)
        last = max((steps for stage in self._stages if isinstance(steps := stage.config.get("steps"), int)), default=0)
        lines = draw_accuracy_chart(curves, last, self._console.width)
        return lines if room - len(lines) >= min(len(self._stages), _STAGE_ROWS) else []

    def _table(self, rows: Sequence["_TableRow"]) -> Table:
        """Return the table: state, progress and time at full width, stage and note share the rest."""
        width = self._console.width
        fixed = [
            max((cell_len(text) for text in column), default=0)
            for column in zip(*((row.state, row.progress, row.remaining) for row in rows), strict=True)
        ] or [0, 0, 0]
        bar = _BAR_CELLS if width >= _WIDE else 0
        rest = max(8, width - sum(fixed) - bar - _GAP * (5 if bar else 4))
        title = min(max((cell_len(row.title) for row in rows), default=0), max(rest // 2, rest - _NOTE_CELLS))
        table = Table.grid(padding=(0, _GAP, 0, 0))
        widths = [fixed[0], title, *([bar] if bar else []), fixed[1], fixed[2], max(0, rest - title)]
        for cells in widths:
            table.add_column(width=cells, no_wrap=True, overflow="ellipsis")
        for row in rows:
            texts = [Text(row.state, row.style), Text(row.title, "dim" if row.waits else "")]
            numbers = [Text(row.progress), Text(row.remaining), Text(row.note, row.note_style)]
            table.add_row(*texts, *([row.bar] if bar else []), *numbers)
        return table

    def _row(self, stage: StageInstance) -> "_TableRow":
        state = self._states[stage.key]
        running = state.state in RUNNING
        progress = state.progress if running else None
        remaining = self._paces[stage.key].remaining_s(progress)
        bar: ProgressBar | Text = Text("")
        if progress is not None and progress.total > 0:
            share = min(1.0, max(0.0, progress.done / progress.total))
            bar = ProgressBar(total=1.0, completed=share, width=_BAR_CELLS)
        return _TableRow(
            state=f"{STATE_GLYPHS[state.state]} {state_word(state)}",
            style=_STYLES[state.state],
            title=" ".join((stage.name, *map(str, stage.labels.values()))),
            waits=state.state in ("planned", "queued"),
            bar=bar,
            progress=format_progress(progress),
            remaining="" if remaining is None else format_duration(remaining, precise=True),
            note=values_text(state.progress if running or state.state == "done" else None)
            or one_line(state.reason, 160),
            note_style="" if running else _STYLES[state.state],
        )

    def _fitted(self, line: str, style: str) -> Text:
        text = Text(line, style)
        text.truncate(self._console.width, overflow="ellipsis")
        return text

    def _foot(self, hidden: int) -> str:
        counts = Counter(state.state for state in self._states.values())
        parts = [f"{counts[name]} {name}" for name in STATES if counts[name]]
        if hidden:
            parts.append(f"{hidden} not shown")
        elapsed = format_duration(self._now() - self._began, precise=True)
        return f"{' · '.join(parts)} · {elapsed} · Ctrl-C stops watching; jobs keep running"


@dataclass(frozen=True, slots=True)
class _TableRow:
    """One stage in the table."""

    state: str
    style: str
    title: str
    waits: bool
    bar: ProgressBar | Text
    progress: str
    remaining: str
    note: str
    note_style: str


def _visible(states: Mapping[str, StageState]) -> dict[str, tuple[object, ...]]:
    """Return what a row shows, without the age of a state, which always changes."""
    return {key: (state.state, state.reason, state.stalled, state.progress) for key, state in states.items()}
