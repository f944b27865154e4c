"""State of an attempt on Slurm: what the scheduler says, then the attempt's own records."""

from collections.abc import Mapping
from typing import Final

from jobs.attempts import records as attempts
from jobs.attempts.records import Exit
from jobs.slurm.types import SlurmAnswer, SlurmJob
from jobs.state.failures import CONTINUE, MORE_MEMORY, MORE_TIME, RETRY, duration, explain, last_error, one_line
from jobs.state.files import AttemptFiles
from jobs.state.local import SETTLE_S, SILENT_S, Times, Verdict, ended_verdict, running_verdict
from jobs.state.types import StateName

_WAITS: Final = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
_RUNS: Final = frozenset({"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "RESIZING", "SIGNALING", "STAGE_OUT"})
_NEVER_STARTS: Final = frozenset({"DependencyNeverSatisfied"})
_REASONS: Final[Mapping[str, str]] = {
    "Priority": "waits for its turn",
    "Resources": "waits for free resources",
    "Dependency": "waits for its inputs",
    "BeginTime": "waits for its start time",
    "JobHeldUser": "held by its owner",
    "JobHeldAdmin": "held by an administrator",
}


def slurm_verdict(
    files: AttemptFiles,
    answer: SlurmAnswer,
    inputs_failed: str,
    progress_written: float | None,
    times: Times,
) -> Verdict:
    """State of a Slurm attempt.

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
        over = found is None or found.state not in _WAITS | _RUNS or found.state == "COMPLETING"
        # Slurm takes a moment to notice that a job has ended
        ending = found is not None and found.state in _RUNS and times.now - written < SETTLE_S
        if over or ending or written > answer.asked:
            return _own_end(files, files.exit, found, times)
    found = answer.find(job.job_id, job.name)
    age = max(0.0, times.now - answer.asked)
    if found is None:
        return _not_there(files, answer, inputs_failed, progress_written, times)
    began_since = files.exit is None and files.written.get(attempts.STARTED, 0.0) > answer.asked
    if found.state in _WAITS and not began_since:
        return _waits(files, found, inputs_failed, age)
    if found.state in _RUNS or (found.state in _WAITS and began_since):
        return _runs(files, found, progress_written, times, age)
    return _ended(files, found, inputs_failed, times, age)


def _own_end(files: AttemptFiles, ended: Exit, found: SlurmJob | None, times: Times) -> Verdict:
    """The job's own record of its end; the scheduler's word wins where it is the cause."""
    verdict = ended_verdict(files, ended, times)
    if found is not None and found.state == "OUT_OF_MEMORY" and verdict.state == "failed":
        return Verdict("failed", "scheduler", verdict.age_s, _out_of_memory(files), MORE_MEMORY)
    return verdict


def _waits(files: AttemptFiles, found: SlurmJob, inputs_failed: str, age: float) -> Verdict:
    if found.reason in _NEVER_STARTS:
        return _blocked(inputs_failed, age)
    words = _REASONS.get(found.reason, f"Slurm: {found.reason}" if found.reason else "waits for its turn")
    if files.started is None:
        return Verdict("queued", "scheduler", age, words, active=True)
    state: StateName = "timeout" if files.exit is not None and files.exit.why == "timeout" else "preempted"
    cause = "reached its time limit" if state == "timeout" else "preempted or requeued"
    return Verdict(state, "scheduler", age, f"{cause}; queued again as the same job, {words}", active=True)


def _runs(files: AttemptFiles, found: SlurmJob, progress_written: float | None, times: Times, age: float) -> Verdict:
    if found.state == "CONFIGURING":
        return Verdict("queued", "scheduler", age, f"its node {found.nodes} is being made ready", active=True)
    if files.started is None or (files.exit is not None and files.exit.requeued):
        name: StateName = "running" if files.started is None else "resuming"
        return Verdict(name, "scheduler", age, f"starts on {found.nodes}" if found.nodes else "starts", active=True)
    verdict = running_verdict(files, progress_written, times, "scheduler", age)
    if found.state == "SUSPENDED":
        return Verdict(verdict.state, "scheduler", age, "suspended by the scheduler", "", active=True, stalled=True)
    if found.state == "COMPLETING" and not verdict.stalled:
        return Verdict(verdict.state, "scheduler", age, "is ending", active=True)
    return verdict


def _ended(files: AttemptFiles, found: SlurmJob, inputs_failed: str, times: Times, age: float) -> Verdict:
    """The scheduler says that it is over, and the job left no record of its own."""
    place = f" on {found.nodes}" if found.nodes else ""
    state = found.state
    if state == "CANCELLED":
        if files.started is None and inputs_failed and files.cancel is None:
            return _blocked(inputs_failed, age)
        by = "cancelled" if files.cancel is not None else "cancelled outside cogtui"
        return Verdict("cancelled", "scheduler", age, by, "Run the recipe again with --retry to start it again.")
    if state in ("TIMEOUT", "DEADLINE"):
        limit = files.job.time_limit_s if files.job else None
        reason = f"its time limit of {duration(limit)} was over" if limit else "its time limit was over"
        return Verdict("timeout", "scheduler", age, reason, MORE_TIME)
    if state == "OUT_OF_MEMORY":
        return Verdict("failed", "scheduler", age, _out_of_memory(files), MORE_MEMORY)
    if state in ("PREEMPTED", "REVOKED"):
        return Verdict("preempted", "scheduler", age, f"preempted{place} and not queued again", CONTINUE)
    if state in ("NODE_FAIL", "BOOT_FAIL"):
        return Verdict("lost", "scheduler", age, f"its node failed{place}", CONTINUE)
    if state == "COMPLETED":
        seen = [files.written[name] for name in (attempts.STARTED, attempts.HEARTBEAT) if name in files.written]
        written = times.age_s(max(seen)) if seen else None
        if written is not None and written < SETTLE_S:
            return Verdict("unknown", "scheduler", age, "Slurm says it is done; result.json is not to be seen yet")
        return Verdict("failed", "scheduler", age, "Slurm says it is done, but there is no result.json", CONTINUE)
    if state == "FAILED":
        return _failed(files, found, place, times, age)
    return Verdict("unknown", "scheduler", age, f"Slurm says {state}")


def _failed(files: AttemptFiles, found: SlurmJob, place: str, times: Times, age: float) -> Verdict:
    assert files.job is not None
    if files.started is None:
        said = last_error(files.path / f"{found.job_id}_0_log.err")
        reason = one_line(f"ended before the stage began{place}: {said or 'it left no log'}")
        return Verdict("failed", "scheduler", age, reason, RETRY)
    code, _, number = found.exit_code.partition(":")
    ended = Exit(
        run=0,
        host=found.nodes or "its node",
        time=times.now,
        code=int(code) if code.isdigit() and int(code) else None,
        signal=int(number) if number.isdigit() and int(number) else None,
        why="failed",
        reason="" if found.exit_code else f"Slurm says it failed{place}",
    )
    reason, remedy = explain(files.path, ended, files.error, files.job)
    return Verdict("failed", "scheduler", age, reason, remedy)


def _not_there(
    files: AttemptFiles,
    answer: SlurmAnswer,
    inputs_failed: str,
    progress_written: float | None,
    times: Times,
) -> Verdict:
    """Slurm does not know the job, or could not be asked."""
    job = files.job
    assert job is not None
    beat = files.written.get(attempts.HEARTBEAT)
    age = times.sure_age_s(beat)
    fresh = age is not None and age < SILENT_S and files.started is not None
    problem = answer.problem or answer.incomplete
    if problem:
        if fresh and answer.problem:
            return running_verdict(files, progress_written, times, "heartbeat", age)
        return Verdict("unknown", "none", age, problem, "cogtui doctor says what of Slurm can be reached.", active=True)
    if job.job_id is None:
        submitted = times.sure_age_s(files.written.get(attempts.JOB))
        if submitted is None or submitted < SETTLE_S:
            return Verdict("queued", "queue", submitted, "is being submitted", active=True)
        return Verdict("lost", "scheduler", submitted, "its submission was never finished", CONTINUE)
    if fresh:
        return Verdict(
            "unknown",
            "heartbeat",
            age,
            f"Slurm does not know job {job.job_id}, yet it gives signs of life",
            active=True,
        )
    if files.cancel is not None:
        return Verdict(
            "cancelled", "scheduler", age, "cancelled", "Run the recipe again with --retry to start it again."
        )
    if files.started is None:
        if inputs_failed:
            return _blocked(inputs_failed, None)
        return Verdict(
            "lost", "scheduler", None, f"Slurm has forgotten job {job.job_id}, which never started", CONTINUE
        )
    return Verdict("lost", "scheduler", age, f"Slurm has forgotten job {job.job_id}, which left no end", CONTINUE)


def _blocked(inputs_failed: str, age: float | None) -> Verdict:
    reason = inputs_failed or "an input failed"
    return Verdict("blocked", "scheduler", age, reason, "Mend that stage, then run the recipe again with --retry.")


def _out_of_memory(files: AttemptFiles) -> str:
    limit = files.job.resources.get("memory") if files.job else None
    return f"killed for lack of memory (it had {limit})" if limit else "killed for lack of memory"
