"""The display protocol, progress rates, and texts that all displays share."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from jobs.planning.types import StageInstance
from jobs.state.types import StageState, StateName
from pipelines.folder import Progress
from pipelines.text_safety import one_line

RUNNING: Final[frozenset[StateName]] = frozenset({"running", "resuming"})
_MEMORY_S: Final = 120.0
_MOST_VALUES: Final = 4


class RunDisplay(Protocol):
    """Shows the progress of a run."""

    def start(self, stages: Sequence[StageInstance], states: Mapping[str, StageState]) -> None:
        """Start with every stage of the run and its state."""

    def update(self, states: Mapping[str, StageState]) -> None:
        """Show the present states; called at every poll."""

    def stop(self) -> None:
        """Stop, and restore the terminal. May be called twice."""


class NoDisplay:
    """Shows nothing."""

    def start(self, stages: Sequence[StageInstance], states: Mapping[str, StageState]) -> None:
        """Nothing."""

    def update(self, states: Mapping[str, StageState]) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


@dataclass(slots=True)
class ProgressRate:
    """The rate of a stage, from its progress so far.

    It compares only times that the stage itself wrote, so clocks may differ.
    """

    _seen: deque[tuple[float, float]] = field(default_factory=deque)

    def observe(self, progress: Progress | None) -> None:
        """Record the present progress."""
        if progress is None:
            return
        if self._seen and progress.done < self._seen[-1][1]:
            self._seen.clear()  # the stage continues from a checkpoint
        if not self._seen or (progress.time > self._seen[-1][0] and progress.done > self._seen[-1][1]):
            self._seen.append((progress.time, progress.done))
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[1][0] > _MEMORY_S:
            self._seen.popleft()

    def remaining_s(self, progress: Progress | None) -> float | None:
        """Return the seconds left at the present rate; None while there is too little data."""
        if progress is None or len(self._seen) < 2:
            return None
        (first, start), (last, end) = self._seen[0], self._seen[-1]
        if end <= start or last <= first:
            return None
        return max(0.0, (progress.total - end) * (last - first) / (end - start))


def state_word(state: StageState) -> str:
    """Return the name of the state, with `stalled?` for a running stage without heartbeats."""
    return f"{state.state}, stalled?" if state.stalled else state.state


def values_text(progress: Progress | None) -> str:
    """Return key values and message of a stage on one harmless line: `reward 0.31 · accuracy 0.12`."""
    if progress is None:
        return ""
    parts = [f"{name} {value:.3g}" for name, value in list(progress.values.items())[:_MOST_VALUES]]
    if progress.message:
        parts.append(progress.message)
    return one_line(" · ".join(parts), 160)


def clock() -> float:
    """Return seconds on the monotonic clock that displays use."""
    return time.monotonic()
