"""Names of states, and the records of attempts and submissions. Light: the app and every command import it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from pipelines.folder import Progress

if TYPE_CHECKING:
    from jobs.recipe.labels import Label

StateName = Literal[
    "planned",
    "queued",
    "blocked",
    "running",
    "resuming",
    "done",
    "failed",
    "cancelled",
    "timeout",
    "preempted",
    "lost",
    "unknown",
]
STATES: Final[tuple[StateName, ...]] = get_args(StateName)
"""Every state a stage can be in, in the usual order.

- `planned`: nothing was started.
- `queued`: waits for its turn, or for an input that is not finished.
- `blocked`: an input failed, so this never starts until it is retried.
- `running`, `resuming`: a process works on it; `resuming` until it passes the point it was stopped at.
- `done`: `result.json` exists.
- `failed`, `cancelled`, `timeout`: ended by an error, by a user, by its time limit.
- `preempted`: stopped from outside; the scheduler, or the next `cogtui run`, continues it.
- `lost`: it should run, but neither its process nor its exit record exists.
- `unknown`: the evidence is missing or contradictory; never a guess.
"""

STATE_GLYPHS: Final[dict[StateName, str]] = {
    "planned": "○",
    "queued": "·",
    "blocked": "⊘",
    "running": "◐",
    "resuming": "↻",
    "done": "✓",
    "failed": "✗",
    "cancelled": "■",
    "timeout": "◷",
    "preempted": "⇄",
    "lost": "‽",
    "unknown": "?",
}
"""Symbols shown before state names, so that a state is not shown by colour alone."""

ACTIVE: Final[frozenset[StateName]] = frozenset({"queued", "running", "resuming"})
"""States of stages that will continue by themselves. `preempted` and `timeout` can too, if Slurm requeues them: see
`StageState.active`."""

CONTINUABLE: Final[frozenset[StateName]] = frozenset({"planned", "preempted", "timeout", "lost"})
"""States that a plain `cogtui run` starts or continues."""

RETRYABLE: Final[frozenset[StateName]] = frozenset({"failed", "cancelled", "blocked"})
"""States that only `--retry` starts again."""

Evidence = Literal["scheduler", "exit.json", "result.json", "process", "heartbeat", "queue", "stage.json", "none"]
"""The evidence a state is decided by."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One start of an attempt; Slurm starts the same attempt again after a preemption or a time limit."""

    number: int
    """From 1."""
    host: str
    started: float
    """Seconds since the epoch by the clock of `host`."""
    ended: float | None
    code: int | None
    """Exit code of the stage process; None where it never ended by itself or the end is not known."""
    signal: int | None
    """Signal that ended the stage process."""
    why: str
    """`done`, `failed`, `cancelled`, `timeout`, `preempted`, `interrupted`, or empty while unknown."""
    resumed_step: int | None
    """Step of the checkpoint it continued from; None where there was none."""


@dataclass(frozen=True, slots=True)
class AttemptState:
    """One attempt of a stage: its job, and its state."""

    number: int
    path: str
    """The attempt folder."""
    cluster: str
    """`local` or `slurm`."""
    state: StateName
    evidence: Evidence
    job_id: str | None
    """Slurm's job id, or the id of the local job."""
    submitted: float
    """Seconds since the epoch by the clock of the submitting host."""
    host: str | None
    pid: int | None
    """The worker's process id on `host`."""
    code: int | None
    signal: int | None
    reason: str
    """One line; empty if there is nothing to explain."""
    remedy: str
    """What to do, as an imperative sentence."""
    runs: tuple[RunRecord, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Config fields that change no result, as this attempt has them, by dotted path."""
    shards: int = 0
    """Tasks of its job array; 0 without one."""
    shards_done: int = 0
    shards_job_id: str | None = None

    @property
    def job_ids(self) -> tuple[str, ...]:
        """All ids the scheduler knows it by."""
        return tuple(job_id for job_id in (self.shards_job_id, self.job_id) if job_id)

    @property
    def restarts(self) -> int:
        """Number of restarts: preemptions, requeues, restarts after an interruption."""
        return max(0, len(self.runs) - 1)


@dataclass(frozen=True, slots=True)
class StageState:
    """The state of a stage, with the evidence for it."""

    key: str
    kind: str
    name: str
    labels: "Mapping[str, Label]"
    state: StateName
    evidence: Evidence
    age_s: float | None
    """Age of the evidence in seconds at `read_at`, never negative; None where it has none."""
    reason: str = ""
    remedy: str = ""
    progress: Progress | None = None
    attempts: tuple[AttemptState, ...] = ()
    active: bool = False
    """It runs or will run without user action: starting it again would do the work twice."""
    stalled: bool = False
    """It runs, but has written no heartbeat, or done no work, for too long; `reason` says for how long."""
    read_at: float = field(default=0.0, compare=False)
    """When it was read, seconds since the epoch."""

    @property
    def attempt(self) -> AttemptState | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None


_ENDED: Final[Mapping[StateName, str]] = {
    "planned": "was never started",
    "failed": "failed",
    "cancelled": "was cancelled",
    "timeout": "ran out of time",
    "preempted": "was preempted",
    "lost": "was lost",
}


def blocking_reason(state: StageState) -> str:
    """Return why an input keeps its dependents from starting, naming the first cause; empty if it does not."""
    if state.state in ("done", "unknown") or state.active:
        return ""
    if state.state == "blocked":
        return state.reason or f"its input {state.key} is blocked"
    cause = f": {state.reason}" if state.reason and state.reason != state.state else ""
    return f"its input {state.key} {_ENDED.get(state.state, f'is {state.state}')}{cause}"


def missing_log_reason(state: StageState | None) -> str:
    """Return why a stage without log files has none; None stands for a stage that is not known yet."""
    if state is None or state.state in ("planned", "queued", "blocked"):
        return "no log yet: the stage has not started"
    if state.active:
        return "no log yet: the stage has written none so far"
    if state.attempts:
        return f"no log: none of its attempts wrote one before it {_ENDED.get(state.state, f'was {state.state}')}"
    if state.state == "done":
        return "no log: the stage is done, but this workspace has only its results, as a showcase does"
    return f"no log: the stage {_ENDED.get(state.state, f'is {state.state}')} without an attempt"


@dataclass(frozen=True, slots=True)
class Submission:
    """The action of `submit` for one stage."""

    key: str
    action: Literal["submitted", "reused", "claimed", "left"]
    """`reused`: already done; `claimed`: an attempt is active; `left`: needs `retry` (see `reason`)."""
    state: StateName
    """The state it was found in; for `submitted` the one before."""
    attempt: int | None = None
    cluster: str = "local"
    job_id: str | None = None
    reason: str = ""
