"""Rows of the queue: columns, cells and order."""

import time
from collections.abc import Mapping
from typing import Final

from cogtui.app.jobs.activity import JobsActivity
from cogtui.app.rendering.column_layout import Column
from cogtui.app.rendering.states import format_time, progress_text, state_part, state_style, urgency
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.stages.facts import short_title
from cogtui.app.widgets.keyed_table import Cells
from jobs.formatting import format_duration, format_megabytes
from jobs.state.durations import elapsed_seconds, seconds_left
from jobs.state.types import StageState, StateName

COLUMNS: Final = (
    Column("place", "#", 3, right=True),
    Column("stage", "stage", 9),
    Column("labels", "run", 22, grows=True, keeps_end=True),
    Column("state", "state", 15),
    Column("progress", "progress or reason", 24, grows=True, rank=2),
    Column("elapsed", "elapsed", 10, right=True),
    Column("left", "left", 10, right=True, rank=1),
    Column("cpu", "cpu", 5, right=True, rank=3),
    Column("gpu", "gpu", 5, right=True, rank=4),
    Column("memory", "memory", 8, right=True, rank=5),
    Column("try", "try", 3, right=True, rank=6),
    Column("node", "node", 12, rank=7),
    Column("since", "submitted", 16, rank=8),
    Column("key", "key", 24, rank=9),
)
"""At 80 columns the first six remain, with the time left; progress and reasons are then read in the pane below."""

ATTENTION: Final[frozenset[StateName]] = frozenset(
    {"failed", "timeout", "lost", "unknown", "preempted", "blocked", "cancelled"}
)
FILTERS: Final = ("all", "unfinished", "needing attention")
"""What the table lists, in the order of the key that goes from one to the next."""


def passes(stage: StageState, chosen: str) -> bool:
    """Return whether a stage is listed under one of `FILTERS`."""
    if chosen == "all":
        return True
    return stage.state in ATTENTION or (chosen == "unfinished" and stage.state in ("running", "resuming", "queued"))


def sort_key(stage: StageState, activity: JobsActivity) -> tuple[int, int, float, str]:
    """Return the place of a stage: the queue as it will run, what needs attention, what is planned, what is done."""
    place = activity.places.get(stage.key)
    if place is not None:
        return 0, place.number, 0.0, stage.key
    return 1, urgency(stage), -submitted(stage), stage.key


def submitted(stage: StageState) -> float:
    """Return when the latest attempt was submitted; 0 before the first."""
    return stage.attempt.submitted if stage.attempt is not None else 0.0


def queue_cells(stage: StageState, activity: JobsActivity, now: float) -> Cells:
    """Return the cells of a stage."""
    attempts = len(stage.attempts)
    story: Part = (printable_line(stage.reason), state_style(stage.state))
    if not stage.reason:
        story = (progress_text(stage.progress) if stage.state != "done" else "", "dim")
    elapsed = elapsed_seconds(stage, now)
    use = activity.use.get(stage.key)
    place = activity.places.get(stage.key)
    return {
        "place": (str(place.number) if place else "", "dim"),
        "state": state_part(stage),
        "stage": (printable_line(stage.name or stage.kind, 60), ""),
        "labels": (printable_line(short_title(stage.labels), 120), "" if place else "dim"),
        "progress": story,
        "elapsed": (format_duration(elapsed) if elapsed else "", "" if place else "dim"),
        "left": (_left(stage, activity, now), "dim"),
        "cpu": (_percent(use.cpu_percent if use else None), "dim"),
        "gpu": (_percent(use.gpu_percent if use else None), "dim"),
        "memory": (format_megabytes(use.memory_mb) if use and use.memory_mb is not None else "", "dim"),
        "try": (str(attempts) if attempts else "", "dim"),
        "node": (printable_line((stage.attempt.host if stage.attempt else "") or "", 60), "dim"),
        "since": (format_time(submitted(stage)) if attempts else "", "dim"),
        "key": (stage.key, "dim"),
    }


def _left(stage: StageState, activity: JobsActivity, now: float) -> str:
    place = activity.places.get(stage.key)
    if place is not None and place.after is not None:
        return f"after {place.after}"
    left = seconds_left(stage, activity.means, now)
    if left is not None:
        return format_duration(left)
    return format_start(activity.starts.get(stage.key, ""), now)


def format_start(start: str, now: float) -> str:
    """Format an expected start: `at 14:05` within a day, else `on 02-01`; empty if it is not known.

    Args:
        start: as Slurm prints it, in local time.
        now: seconds since the epoch.
    """
    try:
        moment = time.mktime(time.strptime(start, "%Y-%m-%dT%H:%M:%S"))
    except (ValueError, OverflowError):
        return ""
    return time.strftime("at %H:%M" if moment - now < 86_400 else "on %m-%d", time.localtime(moment))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}%"


def state_counts_by_name(states: Mapping[str, StageState]) -> dict[StateName, int]:
    """Return how many stages are in each state."""
    counts: dict[StateName, int] = {}
    for stage in states.values():
        counts[stage.state] = counts.get(stage.state, 0) + 1
    return counts
