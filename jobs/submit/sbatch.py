"""Slurm parameters of a stage, and its submission through submitit (docs/jobs.md)."""

import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from jobs import submitit_adapter
from jobs.attempts.records import JobRecord
from jobs.recipe.resources import Resources
from jobs.slurm import client as slurm
from jobs.worker.entry import StageRun
from pipelines.folder import ATTEMPT_VARIABLE

_SBATCH_TIMEOUT_S: Final = 60.0
_CLIENT_VARIABLES: Final = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT")


def parameters(
    job: JobRecord, after: Sequence[str], attempt: Path, *, name: str = "", shards: Sequence[int] = ()
) -> dict[str, Any]:
    """Return the parameters of submitit's Slurm executor for a stage.

    Args:
        job: of the attempt.
        after: ids of jobs that must end well first.
        attempt: the attempt folder.
        name: unique name in Slurm, if not that of the job.
        shards: indices of the shards if the job is the array that works on them; each has a folder in `attempt`.
    """
    resources = Resources.model_validate(job.resources)
    further: dict[str, Any] = {"requeue": True}
    if after:
        further["dependency"] = "afterok:" + ":".join(after)
        # without it a job whose input failed stays pending for ever
        further["kill-on-invalid-dep"] = "yes"
    further.update(resources.sbatch)
    srun = [f"--cpus-per-task={resources.cpus}"]  # since 22.05 srun does not take it from sbatch
    if resources.nodes > 1:
        srun.append("--kill-on-bad-exit=1")
    given = {
        "job_name": name or job.name,
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "nodes": resources.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": resources.cpus,
        "gpus_per_node": resources.gpus or None,
        "mem": resources.memory,
        "time": resources.minutes,
        "signal_delay_s": int(job.warn_s),
        # a folder named `jobs` in the user's current directory must not shadow this package
        "setup": ["export PYTHONSAFEPATH=1", *resources.setup],
        "srun_args": srun,
        "teardown": _kill_leftovers(attempt, shards),
        "additional_parameters": further,
    }
    return {key: value for key, value in given.items() if value is not None}


def _kill_leftovers(attempt: Path, shards: Sequence[int]) -> list[str]:
    """Return shell lines that kill leftover processes of the attempt, where Slurm tracks processes by their parents."""
    mark = f"{ATTEMPT_VARIABLE}={os.path.realpath(attempt)}"
    numbers = [f"shards=({' '.join(map(str, shards))})"] if shards else []
    task = '"/shard-$(printf %03d "${shards[$SLURM_ARRAY_TASK_ID]}")"' if shards else ""
    return [
        "status=$?",
        *numbers,
        f"mark={shlex.quote(mark)}{task}",
        # repeat until none is found: a process may start another before it is killed
        "for pass in {1..20}; do",
        "    found=",
        "    for entry in /proc/[0-9]*; do",
        '        grep -qsxzF "$mark" "$entry/environ" && kill -KILL "${entry#/proc/}" && found=1',
        "    done",
        '    [ "$found" ] || break',
        "done",
        "exit $status",
    ]


def sbatch_text(attempt: Path, values: dict[str, Any], *, tasks: int = 0) -> str:
    """Return the script that would be given to sbatch, for one job or an array of `tasks` tasks."""
    return submitit_adapter.slurm_script(attempt, values, tasks=tasks)


def sbatch(folder: Path, values: dict[str, Any], workers: Sequence[Path], *, array: bool = False) -> str:
    """Submit the worker of an attempt, or an array of the workers of its shards; return Slurm's job id.

    Args:
        folder: for the script and submitit's files.
        values: as from `parameters`.
        workers: the attempt folder, or the folders of shards.
        array: make it an array, even of one task.

    Raises:
        SlurmCommandError: sbatch refused, hung, or is missing.
        OSError: the attempt folder cannot be written.
    """
    functions = [StageRun(str(worker)) for worker in workers]
    try:
        return submitit_adapter.submit_slurm(folder, values, functions, _run_sbatch, array=array)
    except submitit_adapter.SubmissionUnreadable as error:
        raise slurm.SlurmCommandError(f"cannot read the output of sbatch: {error}") from error


def _run_sbatch(script: Path) -> str:
    with _outside_any_job():
        return slurm.run_command(["sbatch", str(script)], timeout_s=_SBATCH_TIMEOUT_S)


@contextlib.contextmanager
def _outside_any_job() -> Iterator[None]:
    """Hide the variables of a surrounding Slurm job, which would change the defaults of sbatch."""
    hidden = {}
    if "SLURM_JOB_ID" in os.environ:
        names = [name for name in os.environ if name.startswith("SLURM_") and name not in _CLIENT_VARIABLES]
        hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)
