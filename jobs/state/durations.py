"""How long stages took, take and will take, from their records: estimates, shown beside states."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Final

from jobs.state.types import StageState
from pipelines.folder import Progress

_ENOUGH: Final = 0.02
"""Share of a run from which its own pace is a better guide than that of finished stages."""


def mean_seconds(states: Iterable[StageState]) -> dict[str, float]:
    """Return how long a finished stage of each kind took, on average."""
    took: dict[str, list[float]] = {}
    for state in states:
        runs = [run for attempt in state.attempts for run in attempt.runs]
        if state.state == "done" and runs and all(run.ended is not None for run in runs):
            took.setdefault(state.kind, []).append(sum((run.ended or 0.0) - run.started for run in runs))
    return {kind: statistics.fmean(values) for kind, values in took.items()}


def share_done(progress: Progress | None) -> float | None:
    """Return the share of 1 that is done; None if the total is unknown."""
    if progress is None or progress.total <= 0:
        return None
    return min(1.0, max(0.0, progress.done / progress.total))


def elapsed_seconds(state: StageState, now: float) -> float | None:
    """Return how long the stage has worked: the present run, or all runs of a stage that has ended; None before."""
    runs = [run for attempt in state.attempts for run in attempt.runs]
    if not runs:
        return None
    if state.state in ("running", "resuming"):
        return max(0.0, now - runs[-1].started)
    return sum(max(0.0, run.ended - run.started) for run in runs if run.ended is not None)


def seconds_left(state: StageState, means: Mapping[str, float], now: float) -> float | None:
    """Return how long a running stage still takes, by its own pace, else by finished ones of its kind; None if unknown.

    Args:
        state: of the stage.
        means: from `mean_seconds`.
        now: seconds since the epoch.
    """
    if state.state not in ("running", "resuming"):
        return None
    share, elapsed = share_done(state.progress), elapsed_seconds(state, now)
    if share is not None and state.progress is not None and elapsed:
        run = state.attempts[-1].runs[-1]
        resumed = run.resumed_step or 0
        before = resumed / state.progress.total if 0 < resumed < state.progress.done else 0.0
        if share - before >= _ENOUGH:
            return elapsed * (1.0 - share) / (share - before)
    usual = means.get(state.kind)
    return None if usual is None else usual * (1.0 - (share or 0.0))
