"""Progress as lines: one at each change of state, and one for each running stage after 30 s of silence."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cogtui.cli.console.output import narrate
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
from jobs.state.types import STATES, StageState
from pipelines.text_safety import one_line
from pipelines.wording import count_of

HEARTBEAT_S: Final = 30.0
_QUIET: Final = frozenset({"planned", "queued", "done"})


class PlainDisplay:
    """Writes lines to stderr.

    Args:
        write: prints a line.
        now: seconds on a monotonic clock.
        follower: of the evaluations, which get a line each.
    """

    def __init__(
        self,
        write: Callable[[str], None] = narrate,
        now: Callable[[], float] = clock,
        follower: EvaluationFollower | None = None,
    ) -> None:
        self._write = write
        self._follower = follower
        self._stages: tuple[StageInstance, ...] = ()
        self._now = now
        self._titles: dict[str, str] = {}
        self._shown: dict[str, str] = {}
        self._paces: dict[str, ProgressRate] = {}
        self._spoke = 0.0

    def start(self, stages: Sequence[StageInstance], states: Mapping[str, StageState]) -> None:
        """Print the number of stages by state."""
        self._stages = tuple(stages)
        self._titles = {stage.key: stage.title for stage in stages}
        self._paces = {stage.key: ProgressRate() for stage in stages}
        counts = Counter(state.state for state in states.values())
        # Waiting and finished stages are only counted.
        self._shown = {key: state_word(state) for key, state in states.items() if state.state in _QUIET}
        counted = ", ".join(f"{counts[name]} {name}" for name in STATES if counts[name])
        self._write(f"{_time()}  {count_of(len(stages), 'stage')}: {counted}")
        self._spoke = self._now()
        if self._follower is not None:
            self._follower.poll(self._stages, states)  # evaluations from before this run are not repeated
        self.update(states)

    def update(self, states: Mapping[str, StageState]) -> None:
        """Print a line for each changed state; after 30 s of silence, one for each running stage."""
        for key, title in self._titles.items():
            state = states.get(key)
            if state is None:
                continue
            self._paces[key].observe(state.progress)
            word = state_word(state)
            if self._shown.get(key) != word:
                self._shown[key] = word
                self._line(title, state)
        for one in [] if self._follower is None else self._follower.poll(self._stages, states):
            n = f" of {count_of(one.n, 'completion')}" if one.n else ""
            self._write(
                f"{_time()}  evaluated  {self._titles[one.key]}: step {one.step}, accuracy {one.accuracy:.3f}{n}"
            )
            self._spoke = self._now()
        if self._now() - self._spoke < HEARTBEAT_S:
            return
        running = [key for key, state in states.items() if state.state in RUNNING and key in self._titles]
        for key in running:
            self._line(self._titles[key], states[key], self._paces[key])
        if not running:
            waiting = sum(state.state != "done" for state in states.values())
            self._write(f"{_time()}  no stage is running; {waiting} {'is' if waiting == 1 else 'are'} not done")
            self._spoke = self._now()

    def stop(self) -> None:
        """Do nothing: there is nothing to close."""

    def _line(self, title: str, state: StageState, pace: ProgressRate | None = None) -> None:
        self._spoke = self._now()
        parts = [format_progress(state.progress)] if state.state in RUNNING else []
        parts += [values_text(state.progress)] if state.state in RUNNING or state.state == "done" else []
        remaining = pace.remaining_s(state.progress) if pace else None
        if remaining is not None:
            parts.append(f"about {format_duration(remaining, precise=True)} to go")
        if state.reason:
            parts.append(one_line(state.reason, 160))
        rest = " · ".join(part for part in parts if part)
        self._write(f"{_time()}  {state_word(state):<10} {title}{f': {rest}' if rest else ''}")


def _time() -> str:
    return time.strftime("%H:%M:%S")
