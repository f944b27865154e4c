"""Formats states: a glyph, a word and a style, with progress and times."""

import time
from collections.abc import Mapping
from typing import Final

from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.rendering.text import printable_line
from jobs.state.types import STATE_GLYPHS, StageState, StateName
from pipelines.folder import Progress

_STYLES: Final[dict[StateName, StyleName]] = {
    "planned": "dim",
    "queued": "dim",
    "blocked": "dim",
    "running": "busy",
    "resuming": "busy",
    "done": "good",
    "failed": "bad",
    "cancelled": "dim",
    "timeout": "bad",
    "preempted": "warn",
    "lost": "bad",
    "unknown": "warn",
}
URGENCY: Final[tuple[StateName, ...]] = (
    "running", "resuming", "failed", "timeout", "lost", "unknown", "preempted", "blocked", "queued", "cancelled",
    "planned", "done",
)  # fmt: skip
"""States in order of urgency: running, needing attention, waiting, done."""

ENDED_BADLY: Final[frozenset[StateName]] = frozenset({"failed", "timeout", "lost", "cancelled", "preempted"})
"""States whose log explains why the stage ended."""


def state_counts(states: Mapping[str, StageState]) -> list[Part]:
    """Return how many stages run, failed and wait, with their glyphs; nothing about what is done."""
    running = failed = queued = 0
    for stage in states.values():
        running += stage.state in ("running", "resuming")
        failed += stage.state in ("failed", "timeout", "lost")
        queued += stage.state == "queued"
    parts: list[Part] = []
    counts: tuple[tuple[StateName, int], ...] = (("running", running), ("failed", failed), ("queued", queued))
    for state, count in counts:
        if count:
            gap: list[Part] = [("  ", "")] if parts else []
            parts += [*gap, (f"{STATE_GLYPHS[state]} ", state_style(state)), (f"{count} {state}", "dim")]
    return parts


def state_style(state: StateName) -> StyleName:
    """Return the style of a state's glyph and word."""
    return _STYLES[state]


def state_text(stage: StageState) -> str:
    """Return glyph and word, with the percentage while it runs: `◐ running 42%`."""
    words = f"{STATE_GLYPHS[stage.state]} {stage.state}"
    if stage.state in ("running", "resuming") and stage.progress is not None:
        words += f" {format_percent(stage.progress)}"
    return f"{words} stalled?" if stage.stalled else words


def state_part(stage: StageState) -> Part:
    """Return `state_text` with its style."""
    return state_text(stage), "warn" if stage.stalled else state_style(stage.state)


def urgency(stage: StageState) -> int:
    """Return the rank of a stage in the jobs list: running, needing attention, waiting, done."""
    return URGENCY.index(stage.state)


def format_percent(progress: Progress) -> str:
    """Format the share done as `42%`; a dash if the total is unknown."""
    if progress.total <= 0:
        return "–"
    return f"{int(100 * min(1.0, max(0.0, progress.done / progress.total)))}%"


def format_share(share: float, digits: int = 3) -> str:
    """Format a share of 1 rounded to some digits, as `.104` or `1.000`."""
    text = f"{share:.{digits}f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def progress_text(progress: Progress | None) -> str:
    """Format progress as `40/100 steps · reward 0.31 · message`; empty if nothing is known."""
    if progress is None:
        return ""
    parts = [f"{format_count(progress.done)}/{format_count(progress.total)} {printable_line(progress.unit, 20)}"]
    parts += [f"{printable_line(name, 30)} {value:.3g}" for name, value in progress.values.items()]
    if progress.message:
        parts.append(printable_line(progress.message, 200))
    return " · ".join(parts)


def format_count(value: float) -> str:
    """Format a count without needless decimals: `40`, `2.5`."""
    return f"{int(value):,}" if value == int(value) else f"{value:.1f}"


def format_time(seconds: float, now: float | None = None) -> str:
    """Format a time of day, with the date unless it is today. Absolute, so that an idle screen need not change."""
    there, here = time.localtime(seconds), time.localtime(now)
    today = there[:3] == here[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", there)
