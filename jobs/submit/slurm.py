"""Submits stages to Slurm, with their inputs as dependencies."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.attempts import records as attempts
from jobs.attempts.records import ExitRecord, JobRecord
from jobs.attempts.tickets import SLURM_MARK, queue_folder
from jobs.planning.types import StageInstance
from jobs.slurm import client as slurm
from jobs.state.types import StageState, Submission
from jobs.submit.choice import StageChoice
from jobs.submit.claims import claim_attempt, claimed_by_other, new_job_record, submission
from jobs.submit.sbatch import parameters, sbatch, sbatch_text
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, MissingRequirement


def submit_slurm(
    workspace: Workspace, choices: Sequence[StageChoice], states: Mapping[str, StageState]
) -> list[Submission]:
    """Claim and submit the stages to be started; see `jobs.submit.launch.submit`.

    Raises:
        MissingRequirement: Slurm is not installed here or refuses a job; earlier jobs stay submitted.
        InvalidInput: an input is active in the local queue, which Slurm cannot wait for, or the path of the workspace
            has a backslash.
    """
    if any(choice.action == "submitted" for choice in choices):
        check_path(workspace)
    if any(choice.action == "submitted" for choice in choices) and not slurm.is_installed():
        raise MissingRequirement(
            "Slurm is not installed here: there is no sbatch",
            remedy="Use --cluster local, or a login node of the cluster.",
        )
    _mark(workspace)
    ids = {key: state.attempt.job_id for key, state in states.items() if state.active and state.attempt is not None}
    found = []
    for choice in choices:
        if choice.action != "submitted":
            found.append(submission(choice))
            continue
        after = _dependencies(choice.instance, states, ids)
        claimed = claim_attempt(workspace, choice, "slurm")
        if claimed is None:
            found.append(claimed_by_other(choice))
            continue
        job, path = claimed
        job_id = _submit(job, path, choice.instance, after, anew=choice.state.state == "done")
        ids[job.key] = job_id
        found.append(submission(choice, attempt=job.number, cluster="slurm", job_id=job_id))
    return found


def check_path(workspace: Workspace) -> None:
    """Refuse a workspace whose path Slurm would change.

    Raises:
        InvalidInput: its path has a backslash.
    """
    if "\\" in str(workspace.path):
        raise InvalidInput(
            f"the workspace {workspace.path} has a backslash in its path",
            detail="Slurm removes it from the names of log files, and would write them to another folder.",
            remedy="Choose another with --workspace, or use --cluster local.",
        )


def _mark(workspace: Workspace) -> None:
    folder = queue_folder(workspace)
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        (folder / SLURM_MARK).touch()


def _dependencies(
    instance: StageInstance, states: Mapping[str, StageState], ids: Mapping[str, str | None]
) -> list[str]:
    """Return the ids of the jobs to wait for, without finished inputs: Slurm ignores a dependency on an unknown id."""
    after = []
    for key in instance.inputs:
        state = states[key]
        if state.state == "done" and key not in ids:
            continue
        local = key not in ids or (state.active and state.attempt is not None and state.attempt.cluster == "local")
        if local:
            raise InvalidInput(
                f"{instance.key} needs {key}, which is {state.state} in the local queue",
                remedy="Wait until it is done, or run the whole recipe on one cluster.",
            )
        job_id = ids[key]
        if job_id is None:
            raise InvalidInput(
                f"{instance.key} needs {key}, whose submission is not finished",
                remedy="Wait a minute and run the same command again.",
            )
        after.append(job_id)
    return after


def _submit(job: JobRecord, path: Path, instance: StageInstance, after: Sequence[str], *, anew: bool) -> str:
    try:
        if job.shards:
            shards_id = _submit_shards(job, path, instance, after, anew=anew)
            if shards_id is not None:
                job = job.model_copy(update={"shards_job_id": shards_id})
                attempts.write_record(path / attempts.JOB, job)
                after = [shards_id]
        job_id = sbatch(path, parameters(job, after, path), [path])
    except slurm.SlurmCommandError as problem:
        if isinstance(problem, slurm.SlurmRefusal):
            _record_refusal(job, path, str(problem))
        # otherwise the claim stays: if Slurm has accepted the job after all, it is found by its name
        raise MissingRequirement(
            f"Slurm did not accept {instance.key}: {problem}",
            detail="\n".join(filter(None, (problem.output, f"The script: {path / 'sbatch.sh'}"))),
            remedy="Change [resources] of the recipe, or see cogtui doctor; then run the recipe again with --retry.",
        ) from problem
    attempts.write_record(path / attempts.JOB, job.model_copy(update={"job_id": job_id}))
    return job_id


def _submit_shards(
    job: JobRecord, path: Path, instance: StageInstance, after: Sequence[str], *, anew: bool
) -> str | None:
    """Submit the array of a sharded stage, each task with a folder of its own; return its job id.

    Finished shards of the previous attempt are kept, unless `anew`. Returns None if no shard is left.
    """
    ended = {} if anew else _done_before(path.parent, job.number, job.shards)
    left = [index for index in range(job.shards) if index not in ended]
    for index in range(job.shards):
        folder = attempts.shard_path(path, index)
        folder.mkdir(mode=attempts.PRIVATE_WRITE)
        task = None if index in ended else left.index(index)
        attempts.write_record(folder / attempts.JOB, job.model_copy(update={"shard": index, "array_task": task}))
        if index in ended:
            attempts.write_exit(folder, ended[index])
    if not left:
        return None
    place = path / attempts.ARRAY
    place.mkdir(mode=attempts.PRIVATE_WRITE)
    values = parameters(job, after, path, name=f"{job.name}.shards", shards=left)
    return sbatch(place, values, [attempts.shard_path(path, index) for index in left], array=True)


def _done_before(parent: Path, number: int, shards: int) -> dict[int, ExitRecord]:
    """Return the finished shards of the previous attempt with their exit records; none if its shard count differs."""
    before = parent / f"{number - 1:03d}"
    found: dict[int, ExitRecord] = {}
    with contextlib.suppress(OSError, ValueError):
        job = attempts.read_record(before / attempts.JOB, JobRecord)
        for index in range(shards if job is not None and job.shards == shards else 0):
            ended = attempts.read_record(attempts.shard_path(before, index) / attempts.EXIT, ExitRecord)
            if ended is not None and ended.why == "done":
                found[index] = ended
    return found


def _record_refusal(job: JobRecord, path: Path, problem: str) -> None:
    with contextlib.suppress(OSError):
        ended = ExitRecord(run=0, host=job.submitter.host, time=time.time(), why="failed", reason=problem)
        attempts.write_exit(path, ended)


def preview_slurm(workspace: Workspace, instance: StageInstance) -> str:
    """Return the sbatch script of a stage as it would be submitted now."""
    stage = workspace.stages / instance.key
    number = max(attempts.attempt_numbers(stage), default=0) + 1
    job = new_job_record(workspace, instance, number, "slurm")
    after = [f"<{key}>" for key in instance.inputs if not (workspace.stages / key / attempts.RESULT).exists()]
    path = attempts.attempt_path(stage, number)
    if not job.shards:
        return sbatch_text(path, parameters(job, after, path))
    anew = (stage / attempts.RESULT).exists()
    ended = {} if anew else _done_before(path.parent, number, job.shards)
    left = [index for index in range(job.shards) if index not in ended]
    if not left:
        return sbatch_text(path, parameters(job, after, path))
    array = parameters(job, after, path, name=f"{job.name}.shards", shards=left)
    gather = parameters(job, [f"<array of {instance.key}>"], path)
    return f"{sbatch_text(path / attempts.ARRAY, array, tasks=len(left))}\n{sbatch_text(path, gather)}"
