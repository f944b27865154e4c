"""State of an attempt of the local queue: process, exit record, ticket."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from jobs.attempts import processes as process
from jobs.attempts import records as attempts
from jobs.attempts.processes import ProcessId
from jobs.attempts.records import ExitRecord
from jobs.attempts.tickets import Ticket
from jobs.formatting import format_duration
from jobs.state.failures import CONTINUE, describe_failure
from jobs.state.files import AttemptFiles
from jobs.state.types import Evidence, StateName

SILENT_S: Final = 120.0
"""Seconds without a heartbeat after which a running job counts as stalled."""
IDLE_S: Final = 900.0
"""Seconds without output and CPU time after which a running job counts as stalled."""
SETTLE_S: Final = 60.0
"""Seconds that files of another machine may take to appear here, and a submission to finish."""


@dataclass(frozen=True, slots=True)
class StateDecision:
    """The state of an attempt, with its evidence, reason and remedy."""

    state: StateName
    evidence: Evidence
    age_s: float | None = None
    reason: str = ""
    remedy: str = ""
    active: bool = False
    stalled: bool = False


class FileAges:
    """Ages of files by the file system's clock, which is probed only when an age looks suspicious."""

    def __init__(self, probe: Callable[[], float | None]) -> None:
        self._probe = probe
        self._skew: float | None = None
        self._probed = False
        self.now = time.time()

    def age_s(self, written: float | None) -> float | None:
        """Return the age of a file by its modification time and the local clock, never negative."""
        return None if written is None else max(0.0, self.now - written)

    def sure_age_s(self, written: float | None) -> float | None:
        """Return the age corrected for the clock skew of the file system; None if the skew is unknown."""
        if written is None:
            return None
        if not self._probed:
            self._skew, self._probed = self._probe(), True
        return None if self._skew is None else max(0.0, self.now + self._skew - written)


def decide_ended(files: AttemptFiles, ended: ExitRecord, times: FileAges) -> StateDecision:
    """Decide the state from the exit record."""
    age = times.age_s(files.written.get(attempts.EXIT))
    assert files.job is not None
    if ended.why == "done" or (ended.why == "failed" and ended.code == 0 and not ended.reason):
        # result.json is written first, but another machine may see it later
        if age is None or age < SETTLE_S:
            return StateDecision(
                "unknown", "exit.json", age, "its exit record says done, but result.json is not visible here yet"
            )
        return StateDecision("failed", "exit.json", age, "it ended without an error but wrote no result.json", CONTINUE)
    reason, remedy = describe_failure(files.path, ended, files.error, files.job)
    names: Mapping[str, StateName] = {
        "failed": "failed",
        "cancelled": "cancelled",
        "timeout": "timeout",
        "preempted": "preempted",
        "interrupted": "preempted",
        "blocked": "blocked",
        "lost": "lost",
    }
    return StateDecision(names.get(ended.why, "unknown"), "exit.json", age, reason, remedy)


def decide_running(
    files: AttemptFiles, progress_written: float | None, times: FileAges, evidence: Evidence, age: float | None
) -> StateDecision:
    """Decide the state of an attempt whose process is alive: running or resuming, stalled or not."""
    started = files.started
    assert started is not None
    run = started.run
    again = files.number > 1 or run.number > 1
    begun = files.written.get(attempts.STARTED, 0.0)
    moved = progress_written is not None and progress_written > begun
    state, reason = _progress_of_resume(files) if again and not moved else ("running", "")
    stalled = _stall_reason(files, times)
    if stalled:
        return StateDecision(state, evidence, age, stalled, "See cogtui logs; cogtui cancel ends it.", True, True)
    return StateDecision(state, evidence, age, reason, active=True)


def _progress_of_resume(files: AttemptFiles) -> tuple[StateName, str]:
    """Return state and reason of a start that has made no progress yet: it continues only if the stage said so."""
    assert files.started is not None
    run = files.started.run
    step = files.resumed.step if files.resumed is not None else run.resumed_step
    if step:
        return "resuming", f"continues from step {step}"
    if files.resumed is not None and files.resumed.checkpoints:
        return "running", "starts from the beginning: none of its checkpoints can be used"
    if files.resumed is None and run.newest_checkpoint is not None:
        return "resuming", "reads its checkpoints"
    return "running", ""


def _stall_reason(files: AttemptFiles, times: FileAges) -> str:
    """Return why a running attempt counts as stalled; empty if it does not."""
    started, beat = files.started, files.heartbeat
    assert started is not None
    for who in (started.worker, started.child):
        if who is not None and process.is_stopped(who):
            return f"process {who.pid} is stopped by a signal; kill -CONT {who.pid} continues it"
    latest = max(files.written.get(attempts.HEARTBEAT, 0.0), files.written.get(attempts.STARTED, 0.0))
    if times.now - latest > SILENT_S:
        sure = times.sure_age_s(latest)
        if sure is not None and sure > SILENT_S:
            return f"no heartbeat for {format_duration(sure)}"
    if beat is not None:
        idle = _number(beat.get("time")) - _number(beat.get("active"))  # both by the clock of one machine
        if idle > IDLE_S:
            return f"no output and no processor time for {format_duration(idle)}"
    return ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def decide_local(
    files: AttemptFiles, ticket: Ticket | None, progress_written: float | None, times: FileAges
) -> StateDecision:
    """Decide the state of an attempt of the local queue."""
    assert files.job is not None
    if files.exit is not None:
        return decide_ended(files, files.exit, times)
    if files.started is None:
        return _decide_unstarted(files, ticket, times)
    worker = files.started.worker
    lives = process.is_alive(worker)
    if lives:
        return decide_running(files, progress_written, times, "process", 0.0)
    if lives is None:
        return _decide_unseen(files, worker, progress_written, times)
    return _decide_gone(files, worker, times)


def _decide_unstarted(files: AttemptFiles, ticket: Ticket | None, times: FileAges) -> StateDecision:
    age = times.age_s(files.written.get(attempts.JOB))
    if ticket is not None and ticket.placed is not None:
        if process.is_alive(ticket.placed.worker) is not False:
            return StateDecision("queued", "queue", age, "is being started", active=True)
        if ticket.placed.worker.boot_id != process.boot_id():
            return StateDecision("lost", "queue", age, "the machine was restarted", CONTINUE)
        return StateDecision("lost", "queue", age, f"its worker (process {ticket.placed.worker.pid}) is gone", CONTINUE)
    if files.cancel is not None:
        return StateDecision(
            "cancelled", "queue", age, "cancelled before it started", "Run the recipe again with --retry."
        )
    if ticket is not None:
        if ticket.environment is not None and process.is_alive(ticket.environment) is False:
            reason = "the environment of its submitter is gone with the process that kept it"
            return StateDecision("lost", "queue", age, reason, CONTINUE)
        return StateDecision("queued", "queue", age, ticket.waits_for or "waits for its turn", active=True)
    if age is not None and age < SETTLE_S:
        return StateDecision("queued", "queue", age, "is being submitted", active=True)
    return StateDecision("lost", "queue", age, "it is no longer in the local queue", CONTINUE)


def _decide_unseen(
    files: AttemptFiles, worker: ProcessId, progress_written: float | None, times: FileAges
) -> StateDecision:
    written = files.written.get(attempts.HEARTBEAT)
    age = times.sure_age_s(written)
    if age is not None and age < SILENT_S:
        return decide_running(files, progress_written, times, "heartbeat", age)
    silent = "it has written no heartbeat yet" if age is None else f"its last heartbeat is {format_duration(age)} old"
    return StateDecision(
        "unknown",
        "heartbeat",
        age,
        f"it ran on {worker.host}, which cannot be seen from here; {silent}",
        f"Look from {worker.host}.",
        active=True,
    )


def _decide_gone(files: AttemptFiles, worker: ProcessId, times: FileAges) -> StateDecision:
    age = times.age_s(files.written.get(attempts.HEARTBEAT, files.written.get(attempts.STARTED)))
    if files.cancel is not None:
        return StateDecision(
            "cancelled", "process", age, "cancelled", "Run the recipe again with --retry to start it again."
        )
    if worker.boot_id != process.boot_id():
        return StateDecision("lost", "process", age, f"{worker.host} was restarted while it ran", CONTINUE)
    return StateDecision(
        "lost", "process", age, f"its worker (process {worker.pid}) is gone and wrote no exit record", CONTINUE
    )
