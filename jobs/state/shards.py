"""State of a stage that a job array works on before its own job gathers."""

from dataclasses import replace

from jobs.slurm.types import SlurmAnswer
from jobs.state.files import AttemptFiles
from jobs.state.local import Times, Verdict
from jobs.state.slurm import slurm_verdict
from jobs.state.types import StateName


def shards_done(files: AttemptFiles) -> int:
    """How many tasks have ended well."""
    return sum(shard.exit is not None and shard.exit.why == "done" for shard in files.shards)


def shards_verdict(files: AttemptFiles, answer: SlurmAnswer, inputs_failed: str, times: Times) -> Verdict | None:
    """State as the array makes it; None when the array is over and the gathering job decides.

    The first failure decides once no task is under way any more; until then the stage runs.
    """
    if files.started is not None or files.exit is not None or not files.shards:
        return None
    assert files.job is not None
    verdicts = [_of_task(shard, files, answer, inputs_failed, times) for shard in files.shards]
    done = shards_done(files)
    count = f"{done} of {len(verdicts)} shards done"
    under_way = [verdict for verdict in verdicts if verdict.active]
    wrong = [(index, verdict) for index, verdict in enumerate(verdicts) if verdict.state not in ("done", "queued")]
    if under_way:
        running = [verdict for verdict in under_way if verdict.state != "queued"]
        if not running and not done:
            return under_way[0]
        stalled = next((verdict for verdict in running if verdict.stalled), None)
        reason = f"{count}; {stalled.reason}" if stalled else count
        state: StateName = "running" if running else "queued"
        return Verdict(state, "scheduler", under_way[0].age_s, reason, active=True, stalled=stalled is not None)
    if wrong:
        index, verdict = wrong[0]
        reason = f"shard {index}: {verdict.reason}; {count}"
        return Verdict(verdict.state, verdict.evidence, verdict.age_s, reason, verdict.remedy)
    return None


def _of_task(
    shard: AttemptFiles, whole: AttemptFiles, answer: SlurmAnswer, inputs_failed: str, times: Times
) -> Verdict:
    """State of one task, as if it were a job of its own."""
    if shard.job is None or whole.job is None or shard.problems:
        return Verdict("unknown", "none", None, shard.problems[0] if shard.problems else "its record is missing")
    if shard.exit is not None and shard.exit.why == "done":
        return Verdict("done", "exit.json", times.age_s(shard.written.get("exit.json")))
    array = whole.job.shards_job_id
    job_id = None if array is None else f"{array}_{shard.job.array_task}"
    job = shard.job.model_copy(update={"job_id": job_id})
    return slurm_verdict(replace(shard, job=job, cancel=whole.cancel), answer, inputs_failed, None, times)
