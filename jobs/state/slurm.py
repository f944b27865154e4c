"""State of an attempt on Slurm: what the scheduler says, then the attempt's own records."""

from collections.abc import Mapping
from typing import Final

from jobs.attempts import records as attempts
from jobs.attempts.records import ExitRecord
from jobs.formatting import format_duration
from jobs.slurm.types import SlurmAnswer, SlurmJob
from jobs.state.failures import (
    CONTINUE,
    RETRY,
    describe_failure,
    last_error,
    more_memory,
    more_time,
)
from jobs.state.files import AttemptFiles
from jobs.state.local import SETTLE_S, SILENT_S, FileAges, StateDecision, decide_ended, decide_running
from jobs.state.types import StateName
from pipelines.text_safety import one_line

_WAITING_STATES: Final = frozenset(
    {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
)
_RUNNING_STATES: Final = frozenset(
    {"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "RESIZING", "SIGNALING", "STAGE_OUT"}
)
_NEVER_STARTS: Final = frozenset({"DependencyNeverSatisfied"})
_REASONS: Final[Mapping[str, str]] = {
    "Priority": "waits for its turn",
    "Resources": "waits for free resources",
    "Dependency": "waits for its inputs",
    "BeginTime": "waits for its start time",
    "JobHeldUser": "held by its owner",
    "JobHeldAdmin": "held by an administrator",
}


def decide_slurm(
    files: AttemptFiles,
    answer: SlurmAnswer,
    inputs_failed: str,
    progress_written: float | None,
    times: FileAges,
) -> StateDecision:
    """Decide the state of a Slurm attempt.

    Args:
        files: what its folder says.
        answer: what Slurm says.
        inputs_failed: the input that keeps it from ever starting, in words; empty when there is none.
        progress_written: when the stage last wrote its progress, by the file system's clock.
        times: ages.
    """
    job = files.job
    assert job is not None
    if files.exit is not None and not files.exit.requeued and files.exit.why not in ("", "blocked"):
        found = answer.find(job.job_id, job.name)
        written = files.written.get(attempts.EXIT, 0.0)
        over = found is None or found.state not in _WAITING_STATES | _RUNNING_STATES or found.state == "COMPLETING"
        # Slurm takes a moment to notice that a job has ended
        ending = found is not None and found.state in _RUNNING_STATES and times.now - written < SETTLE_S
        if ending and is_unconfirmed_end(files):
            reason = "has ended; Slurm decides whether it starts again"
            return StateDecision("running", "scheduler", max(0.0, times.now - answer.asked), reason, active=True)
        if over or ending or written > answer.asked:
            return _decide_recorded_end(files, files.exit, found, times)
    found = answer.find(job.job_id, job.name)
    age = max(0.0, times.now - answer.asked)
    if found is None:
        return _decide_absent(files, answer, inputs_failed, progress_written, times)
    began_since = files.exit is None and files.written.get(attempts.STARTED, 0.0) > answer.asked
    if found.state in _WAITING_STATES and not began_since:
        return _decide_waiting(files, found, inputs_failed, age)
    if found.state in _RUNNING_STATES or (found.state in _WAITING_STATES and began_since):
        return _decide_running(files, found, progress_written, times, age)
    return _decide_ended(files, found, inputs_failed, times, age)


def is_unconfirmed_end(files: AttemptFiles) -> bool:
    """Whether an exit record may not be the last word: Slurm starts a job again whose node failed."""
    ended = files.exit
    return ended is not None and not ended.requeued and ended.why in ("failed", "interrupted") and files.cancel is None


def _decide_recorded_end(
    files: AttemptFiles, ended: ExitRecord, found: SlurmJob | None, times: FileAges
) -> StateDecision:
    """Decide by the job's exit record, except for an out-of-memory kill that the scheduler reports."""
    decision = decide_ended(files, ended, times)
    if found is not None and found.state == "OUT_OF_MEMORY" and decision.state == "failed":
        return StateDecision("failed", "scheduler", decision.age_s, _out_of_memory(files), more_memory(files.job))
    return decision


def _decide_waiting(files: AttemptFiles, found: SlurmJob, inputs_failed: str, age: float) -> StateDecision:
    if found.reason in _NEVER_STARTS:
        return _decide_blocked(inputs_failed, age)
    words = _REASONS.get(found.reason, f"Slurm: {found.reason}" if found.reason else "waits for its turn")
    if files.started is None:
        return StateDecision("queued", "scheduler", age, words, active=True)
    state: StateName = "timeout" if files.exit is not None and files.exit.why == "timeout" else "preempted"
    cause = "reached its time limit" if state == "timeout" else "preempted or requeued"
    return StateDecision(state, "scheduler", age, f"{cause}; queued again as the same job, {words}", active=True)


def _decide_running(
    files: AttemptFiles, found: SlurmJob, progress_written: float | None, times: FileAges, age: float
) -> StateDecision:
    if found.state == "CONFIGURING":
        return StateDecision("queued", "scheduler", age, f"its node {found.nodes} is being made ready", active=True)
    if files.started is None or (files.exit is not None and files.exit.requeued):
        name: StateName = "running" if files.started is None else "resuming"
        return StateDecision(
            name, "scheduler", age, f"starts on {found.nodes}" if found.nodes else "starts", active=True
        )
    decision = decide_running(files, progress_written, times, "scheduler", age)
    if found.state == "SUSPENDED":
        return StateDecision(
            decision.state, "scheduler", age, "suspended by the scheduler", "", active=True, stalled=True
        )
    if found.state == "COMPLETING" and not decision.stalled:
        return StateDecision(decision.state, "scheduler", age, "is ending", active=True)
    return decision


def _decide_ended(
    files: AttemptFiles, found: SlurmJob, inputs_failed: str, times: FileAges, age: float
) -> StateDecision:
    """Decide the state of a job that has ended for the scheduler and left no record of its own."""
    place = f" on {found.nodes}" if found.nodes else ""
    state = found.state
    if state == "CANCELLED":
        if files.started is None and inputs_failed and files.cancel is None:
            return _decide_blocked(inputs_failed, age)
        by = "cancelled" if files.cancel is not None else "cancelled outside cogtui"
        return StateDecision("cancelled", "scheduler", age, by, "Run the recipe again with --retry to start it again.")
    if state in ("TIMEOUT", "DEADLINE"):
        limit = files.job.time_limit_s if files.job else None
        reason = f"its time limit of {format_duration(limit)} was over" if limit else "its time limit was over"
        return StateDecision("timeout", "scheduler", age, reason, more_time(files.job))
    if state == "OUT_OF_MEMORY":
        return StateDecision("failed", "scheduler", age, _out_of_memory(files), more_memory(files.job))
    if state in ("PREEMPTED", "REVOKED"):
        return StateDecision("preempted", "scheduler", age, f"preempted{place} and not queued again", CONTINUE)
    if state in ("NODE_FAIL", "BOOT_FAIL"):
        return StateDecision("lost", "scheduler", age, f"its node failed{place}", CONTINUE)
    if state == "COMPLETED":
        seen = [files.written[name] for name in (attempts.STARTED, attempts.HEARTBEAT) if name in files.written]
        written = times.age_s(max(seen)) if seen else None
        if written is not None and written < SETTLE_S:
            return StateDecision(
                "unknown", "scheduler", age, "Slurm says it is done, but result.json is not visible here yet"
            )
        return StateDecision("failed", "scheduler", age, "Slurm says it is done, but there is no result.json", CONTINUE)
    if state == "FAILED":
        return _decide_failed(files, found, place, times, age)
    return StateDecision("unknown", "scheduler", age, f"Slurm says {state}")


def _decide_failed(files: AttemptFiles, found: SlurmJob, place: str, times: FileAges, age: float) -> StateDecision:
    assert files.job is not None
    if files.started is None:
        said = last_error(files.path / f"{found.job_id}_0_log.err")
        reason = one_line(f"ended before the stage began{place}: {said or 'it left no log'}")
        return StateDecision("failed", "scheduler", age, reason, RETRY)
    code, _, number = found.exit_code.partition(":")
    ended = ExitRecord(
        run=0,
        host=found.nodes or "its node",
        time=times.now,
        code=int(code) if code.isdigit() and int(code) else None,
        signal=int(number) if number.isdigit() and int(number) else None,
        why="failed",
        reason="" if found.exit_code else f"Slurm says it failed{place}",
    )
    reason, remedy = describe_failure(files.path, ended, files.error, files.job)
    return StateDecision("failed", "scheduler", age, reason, remedy)


def _decide_absent(
    files: AttemptFiles,
    answer: SlurmAnswer,
    inputs_failed: str,
    progress_written: float | None,
    times: FileAges,
) -> StateDecision:
    """Decide the state of a job that Slurm does not list, or if Slurm cannot be queried."""
    job = files.job
    assert job is not None
    beat = files.written.get(attempts.HEARTBEAT)
    age = times.sure_age_s(beat)
    fresh = age is not None and age < SILENT_S and files.started is not None
    problem = answer.problem or answer.incomplete
    if problem:
        if fresh and answer.problem:
            return decide_running(files, progress_written, times, "heartbeat", age)
        return StateDecision(
            "unknown", "none", age, problem, "Run cogtui doctor to see which parts of Slurm answer.", active=True
        )
    if job.job_id is None:
        submitted = times.sure_age_s(files.written.get(attempts.JOB))
        if submitted is None or submitted < SETTLE_S:
            return StateDecision("queued", "queue", submitted, "is being submitted", active=True)
        return StateDecision("lost", "scheduler", submitted, "its submission did not finish", CONTINUE)
    if fresh:
        return StateDecision(
            "unknown",
            "heartbeat",
            age,
            f"Slurm does not list job {job.job_id}, yet it writes heartbeats",
            active=True,
        )
    if files.cancel is not None:
        return StateDecision(
            "cancelled", "scheduler", age, "cancelled", "Run the recipe again with --retry to start it again."
        )
    if files.started is None:
        if inputs_failed:
            return _decide_blocked(inputs_failed, None)
        return StateDecision(
            "lost", "scheduler", None, f"Slurm no longer lists job {job.job_id}, which never started", CONTINUE
        )
    return StateDecision(
        "lost", "scheduler", age, f"Slurm no longer lists job {job.job_id}, which wrote no exit record", CONTINUE
    )


def _decide_blocked(inputs_failed: str, age: float | None) -> StateDecision:
    reason = inputs_failed or "an input failed"
    return StateDecision("blocked", "scheduler", age, reason, "Fix that stage, then run the recipe again with --retry.")


def _out_of_memory(files: AttemptFiles) -> str:
    limit = files.job.resources.get("memory") if files.job else None
    return f"killed for lack of memory (it had {limit})" if limit else "killed for lack of memory"
