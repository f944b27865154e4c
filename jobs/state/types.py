"""The words of a job's life: state names, attempts, submissions. Light: the app and every command import it."""

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
"""Every state a stage can be in, in the order of a life.

- `planned`: nothing was started.
- `queued`: waits for its turn, or for an input that is still on its way.
- `blocked`: an input failed, so this never starts until it is retried.
- `running`, `resuming`: a process works on it; `resuming` until it passes the point it was stopped at.
- `done`: `result.json` is there.
- `failed`, `cancelled`, `timeout`: ended by its own fault, by a person, by its time limit.
- `preempted`: stopped from outside; the scheduler, or the next `cogtui run`, continues it.
- `lost`: it should run, but neither its process nor its end can be found.
- `unknown`: the evidence is missing or contradictory; never a guess.
"""

STATE_GLYPHS: Final[dict[StateName, str]] = {
    "planned": "·",
    "queued": "○",
    "blocked": "⊘",
    "running": "▶",
    "resuming": "↻",
    "done": "✓",
    "failed": "✗",
    "cancelled": "■",
    "timeout": "◷",
    "preempted": "⇄",
    "lost": "‽",
    "unknown": "?",
}
"""What stands before a state's name, so that a state is not told by colour alone."""

ACTIVE: Final[frozenset[StateName]] = frozenset({"queued", "running", "resuming"})
"""Always under way. `preempted` and `timeout` can be too, when Slurm starts them again: see `StageState.active`."""

CONTINUABLE: Final[frozenset[StateName]] = frozenset({"planned", "preempted", "timeout", "lost"})
"""What a plain `cogtui run` starts or continues."""

RETRYABLE: Final[frozenset[StateName]] = frozenset({"failed", "cancelled", "blocked"})
"""What only `--retry` starts again."""

Evidence = Literal["scheduler", "exit.json", "result.json", "process", "heartbeat", "queue", "stage.json", "none"]
"""What a state rests on."""


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
    """One attempt of a stage: what was asked for, and what became of it."""

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
    """One line, empty where there is nothing to explain."""
    remedy: str
    """What to do about it, as an imperative sentence."""
    runs: tuple[RunRecord, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    shards: int = 0
    """Tasks of its job array; 0 without one."""
    shards_done: int = 0
    shards_job_id: str | None = None

    @property
    def job_ids(self) -> tuple[str, ...]:
        """All that the scheduler knows it by."""
        return tuple(job_id for job_id in (self.shards_job_id, self.job_id) if job_id)

    @property
    def restarts(self) -> int:
        """How often it was started again: preemptions, requeues, restarts after an interruption."""
        return max(0, len(self.runs) - 1)


@dataclass(frozen=True, slots=True)
class StageState:
    """What is known of a stage now, and what that rests on."""

    key: str
    kind: str
    name: str
    labels: "Mapping[str, Label]"
    state: StateName
    evidence: Evidence
    age_s: float | None
    """Age of the evidence in seconds, never negative; None where it has none."""
    reason: str = ""
    remedy: str = ""
    progress: Progress | None = None
    attempts: tuple[AttemptState, ...] = ()
    active: bool = False
    """Somebody will bring it on: starting it again would do the work twice."""
    stalled: bool = False
    """It runs, but gave no sign of life for longer than it should; `reason` says for how long."""

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
    """Why an input keeps others from starting, in words that name the first cause; empty when it does not."""
    if state.state in ("done", "unknown") or state.active:
        return ""
    if state.state == "blocked":
        return state.reason or f"its input {state.key} is blocked"
    cause = f": {state.reason}" if state.reason and state.reason != state.state else ""
    return f"its input {state.key} {_ENDED.get(state.state, f'is {state.state}')}{cause}"


@dataclass(frozen=True, slots=True)
class Submission:
    """What `submit` did with one stage."""

    key: str
    action: Literal["submitted", "reused", "claimed", "left"]
    """`reused`: done before; `claimed`: somebody's attempt is under way; `left`: needs `retry` (see `reason`)."""
    state: StateName
    """The state it was found in; for `submitted` the one before."""
    attempt: int | None = None
    cluster: str = "local"
    job_id: str | None = None
    reason: str = ""
