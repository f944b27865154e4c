"""State of a stage that a job array works on before its own job gathers."""

from dataclasses import replace

from jobs.slurm.types import SlurmAnswer
from jobs.state.files import AttemptFiles
from jobs.state.local import FileAges, StateDecision
from jobs.state.slurm import decide_slurm
from jobs.state.types import StateName


def count_done_shards(files: AttemptFiles) -> int:
    """Return the number of tasks that are done."""
    return sum(shard.exit is not None and shard.exit.why == "done" for shard in files.shards)


def decide_shards(
    files: AttemptFiles, answer: SlurmAnswer, inputs_failed: str, times: FileAges
) -> StateDecision | None:
    """Decide the state from the array; None if the array has ended and the gathering job decides.

    The stage counts as running while any task is active; then the first failure decides.
    """
    if files.started is not None or files.exit is not None or not files.shards:
        return None
    assert files.job is not None
    decisions = [_decide_task(shard, files, answer, inputs_failed, times) for shard in files.shards]
    done = count_done_shards(files)
    count = f"{done} of {len(decisions)} shards done"
    under_way = [decision for decision in decisions if decision.active]
    wrong = [(index, decision) for index, decision in enumerate(decisions) if decision.state not in ("done", "queued")]
    if under_way:
        running = [decision for decision in under_way if decision.state != "queued"]
        if not running and not done:
            return under_way[0]
        stalled = next((decision for decision in running if decision.stalled), None)
        reason = f"{count}; {stalled.reason}" if stalled else count
        state: StateName = "running" if running else "queued"
        return StateDecision(state, "scheduler", under_way[0].age_s, reason, active=True, stalled=stalled is not None)
    if wrong:
        index, decision = wrong[0]
        reason = f"shard {index}: {decision.reason}; {count}"
        return StateDecision(decision.state, decision.evidence, decision.age_s, reason, decision.remedy)
    return None


def _decide_task(
    shard: AttemptFiles, whole: AttemptFiles, answer: SlurmAnswer, inputs_failed: str, times: FileAges
) -> StateDecision:
    """Decide the state of one task as if it were a job of its own."""
    if shard.job is None or whole.job is None or shard.problems:
        return StateDecision("unknown", "none", None, shard.problems[0] if shard.problems else "its record is missing")
    if shard.exit is not None and shard.exit.why == "done":
        return StateDecision("done", "exit.json", times.age_s(shard.written.get("exit.json")))
    array = whole.job.shards_job_id
    job_id = None if array is None else f"{array}_{shard.job.array_task}"
    job = shard.job.model_copy(update={"job_id": job_id})
    return decide_slurm(replace(shard, job=job, cancel=whole.cancel), answer, inputs_failed, None, times)
