"""How a run ended: its stages, its assertions and its error, of which reports and notifications are made."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cogtui.cli.run.alerts.message import AlertEvent, AlertMessage
from cogtui.cli.run.check import AssertionCheck
from cogtui.cli.run.summary import FinishedStage
from jobs.formatting import format_duration
from jobs.planning.types import RecipePlan, StageInstance
from jobs.state.types import StageState, StateName, Submission
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError
from pipelines.text_safety import one_line
from pipelines.wording import count_of, not_done

CheckOutcome = Literal["true", "false", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class AssertionOutcome:
    """An `--assert`, in one cell or before it could be evaluated."""

    text: str
    outcome: CheckOutcome
    cell: str = ""
    message: str = ""
    """The values used, or why it was not evaluated."""

    @classmethod
    def of_check(cls, check: AssertionCheck) -> "AssertionOutcome":
        """Return the outcome of an evaluated assertion."""
        return cls(check.assertion, "true" if check.holds else "false", check.cell, str(check))


@dataclass(slots=True)
class RunOutcome:
    """What is known of a run; the fields are filled in as it goes."""

    plan: RecipePlan
    stages: Sequence[StageInstance]
    workspace: Workspace
    assertion_texts: tuple[str, ...] = ()
    began: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    elapsed_s: float = 0.0
    submissions: Sequence[Submission] = ()
    states: Mapping[str, StageState] = field(default_factory=dict)
    finished: Sequence[FinishedStage] = ()
    assertions: list[AssertionOutcome] = field(default_factory=list)
    error: CogtuiError | None = None
    interrupted: bool = False

    @property
    def reused(self) -> int:
        """Number of stages that were done before this run."""
        return sum(submission.action == "reused" for submission in self.submissions)

    @property
    def ok(self) -> bool:
        """Whether every stage is done and every assertion is true."""
        return self.error is None and not self.interrupted and len(self.finished) == len(self.stages)

    def state_of(self, stage: StageInstance) -> StateName:
        """Return the state of a stage at the end."""
        if any(one.stage.key == stage.key for one in self.finished):
            return "done"
        state = self.states.get(stage.key)
        return "planned" if state is None else state.state

    @property
    def begun(self) -> bool:
        """Whether its stages were submitted, or were done before."""
        return bool(self.states or self.finished)

    @property
    def other_error(self) -> CogtuiError | None:
        """The error it ended with, if neither a stage nor an assertion shows it; of a run that did not begin, any."""
        if not self.begun:
            return self.error
        shown = len(self.finished) < len(self.stages) or any(one.outcome != "true" for one in self.assertions)
        return None if shown else self.error

    def unevaluated(self) -> list[str]:
        """Return the assertions that were not evaluated, because the run ended before."""
        evaluated = {one.text for one in self.assertions}
        return [text for text in self.assertion_texts if text not in evaluated]

    def headline(self) -> str:
        """Return one sentence: what came out."""
        took = format_duration(self.elapsed_s, precise=True)
        name = one_line(self.plan.name, 100)
        if self.interrupted:
            return f"{name}: interrupted after {took}; the jobs keep running"
        left = len(self.stages) - len(self.finished)
        if left:
            return f"{name}: {not_done(left, len(self.stages), 'stage')} after {took}"
        if self.error is not None:
            return f"{name}: {one_line(self.error.summary, 200)}"
        before = f", {self.reused} of them before this run," if self.reused else ""
        return f"{name}: {count_of(len(self.finished), 'stage')} done{before} in {took}"

    def warnings(self) -> list[str]:
        """Return the warnings of all results, each with its stage."""
        return [
            f"{one.stage.title}: {one_line(str(warning), 300)}"
            for one in self.finished
            for warning in one.result.get("warnings") or ()
        ]

    def message(self) -> AlertMessage:
        """Return the notification that says how the run ended."""
        event: AlertEvent = "interrupted" if self.interrupted else "finished" if self.ok else "failed"
        lines = [] if self.error is None else [one_line(line) for line in self.error.detail.splitlines()]
        return self._message(event, self.headline(), [*lines, *self.warnings()][:20])

    def warning(self, lines: Sequence[str]) -> AlertMessage:
        """Return the notification of warnings while the run goes on."""
        first = f"{one_line(self.plan.name, 100)}: {lines[0]}"
        return self._message("warning", first if len(lines) == 1 else f"{first}, and {len(lines) - 1} more", lines)

    def _message(self, event: AlertEvent, text: str, lines: Sequence[str]) -> AlertMessage:
        return AlertMessage(
            event,
            one_line(self.plan.name, 100),
            one_line(str(self.workspace.path), 1000),
            one_line(text, 400),
            tuple(lines),
            len(self.finished),
            len(self.stages),
            self.elapsed_s,
        )
