"""Submission to Slurm through submitit: the sbatch text, the pickle, and the job's id (docs/jobs.md)."""

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from jobs.recipe.resources import Resources
from jobs.slurm import client as slurm
from jobs.worker.entry import StageRun
from pipelines.__main__ import ATTEMPT_VARIABLE

WARN_S: Final = 90.0
"""How long before its time limit a stage is told to save."""
_SBATCH_TIMEOUT_S: Final = 60.0
_SCRIPT: Final = "sbatch.sh"
_CLIENT_VARIABLES: Final = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT")


def warn_seconds(time_limit_s: float | None) -> float:
    """How long before the limit the warning comes: 90 s, or a quarter of a short limit."""
    return WARN_S if time_limit_s is None else max(5.0, min(WARN_S, time_limit_s / 4))


def parameters(
    resources: Resources, name: str, after: Sequence[str], attempt: Path, *, shards: Sequence[int] = ()
) -> dict[str, Any]:
    """What submitit's Slurm executor is told for a stage.

    Args:
        resources: what the stage asks for.
        name: unique name of the job.
        after: ids of jobs that must end well first.
        attempt: the attempt folder.
        shards: it is for the array whose tasks do these shards, each in a folder of its own in the attempt folder.
    """
    further: dict[str, Any] = {"requeue": True}
    if after:
        further["dependency"] = "afterok:" + ":".join(after)
        # without it a job whose input failed stays pending for ever
        further["kill-on-invalid-dep"] = "yes"
    further.update(resources.sbatch)
    limit = None if resources.minutes is None else resources.minutes * 60.0
    srun = [f"--cpus-per-task={resources.cpus}"]  # since 22.05 srun does not take it from sbatch
    if resources.nodes > 1:
        srun.append("--kill-on-bad-exit=1")
    given = {
        "job_name": name,
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
        "signal_delay_s": int(warn_seconds(limit)),
        # a folder named `jobs` where somebody stands must not shadow ours
        "setup": ["export PYTHONSAFEPATH=1", *resources.setup],
        "srun_args": srun,
        "teardown": _kill_leftovers(attempt, shards),
        "additional_parameters": further,
    }
    return {key: value for key, value in given.items() if value is not None}


def _kill_leftovers(attempt: Path, shards: Sequence[int]) -> list[str]:
    """Shell lines that end what a killed worker left on the node, where Slurm tracks processes by their parents."""
    mark = f"{ATTEMPT_VARIABLE}={os.path.realpath(attempt)}"
    numbers = [f"shards=({' '.join(map(str, shards))})"] if shards else []
    task = '"/shard-$(printf %03d "${shards[$SLURM_ARRAY_TASK_ID]}")"' if shards else ""
    return [
        "status=$?",
        *numbers,
        f"mark={shlex.quote(mark)}{task}",
        # again until none is found: what is about to be killed may just have started another
        "for pass in {1..20}; do",
        "    found=",
        "    for entry in /proc/[0-9]*; do",
        '        grep -qsxzF "$mark" "$entry/environ" && kill -KILL "${entry#/proc/}" && found=1',
        "    done",
        '    [ "$found" ] || break',
        "done",
        "exit $status",
    ]


@cache
def _executor_class() -> Any:
    from submitit.slurm.slurm import SlurmExecutor, SlurmJob

    class Executor(SlurmExecutor):  # type: ignore[misc]  # submitit's types are not followed
        """submitit's own, but nothing is printed, sbatch cannot hang, no time limit or accounting key is made up."""

        as_array = False
        """Whether even a single task is one of an array."""

        @classmethod
        def affinity(cls) -> int:
            return 2  # a preview is made on machines without Slurm too

        def _make_submission_file_text(self, command: str, uid: str) -> str:
            text: str = super()._make_submission_file_text(command, uid)
            invented = ["#SBATCH --wckey=submitit"]
            if "time" not in self.parameters:
                invented.append("#SBATCH --time=5")
            return "\n".join(line for line in text.split("\n") if line not in invented)

        def _internal_process_submissions(self, delayed: list[Any]) -> list[Any]:
            if not self.as_array:
                return list(super()._internal_process_submissions(delayed))
            # submitit's own would make its array with a plain executor of its own
            pickles = []
            for number, submission in enumerate(delayed):
                pickles.append(Path(self.folder) / f"{number}.pkl")
                submission.set_timeout(self.parameters.get("time", 5), self.max_num_timeout)
                submission.dump(pickles[-1])
            self.parameters["map_count"] = len(delayed)
            first = self._submit_command(self._submitit_command_str)
            jobs = [SlurmJob(self.folder, f"{first.job_id}_{number}", [0]) for number in range(len(delayed))]
            for job, pickle in zip(jobs, pickles, strict=True):
                job.paths.move_temporary_file(pickle, "submitted_pickle")
            return jobs

        def _submit_command(self, command: str) -> Any:
            script = Path(self.folder) / _SCRIPT
            script.write_text(self._make_submission_file_text(command, ""), encoding="utf-8")
            with _outside_any_job():
                output = slurm.run_command(["sbatch", str(script)], timeout_s=_SBATCH_TIMEOUT_S)
            job_id = self._get_job_id_from_submission_command(output)
            return SlurmJob(folder=self.folder, job_id=job_id, tasks=list(range(self._num_tasks())))

    return Executor


def _executor(attempt: Path, values: dict[str, Any]) -> Any:
    executor = _executor_class()(attempt, max_num_timeout=1_000_000, python=shlex.quote(sys.executable))
    executor._throttling = 0.0
    executor.update_parameters(**values)
    return executor


def sbatch_text(attempt: Path, values: dict[str, Any], *, tasks: int = 0) -> str:
    """The script that would be given to sbatch, for one job or an array of so many tasks."""
    executor = _executor(attempt, values)
    if tasks:
        executor.parameters["map_count"] = tasks
    text: str = executor._make_submission_file_text(executor._submitit_command_str, "")
    return text


def sbatch(folder: Path, values: dict[str, Any], workers: Sequence[Path], *, array: bool = False) -> str:
    """Submits the worker of an attempt, or an array of those of its shards; returns Slurm's job id.

    Args:
        folder: where the script and submitit's files go.
        values: as from `parameters`.
        workers: the attempt folder, or the folders of shards.
        array: make it an array, even of one task.

    Raises:
        CommandProblem: sbatch refused, hung, or is missing.
        OSError: the attempt folder cannot be written.
    """
    from submitit.core.utils import FailedSubmissionError

    try:
        executor = _executor(folder, values)
        executor.as_array = array
        jobs = executor.submit_array([StageRun(str(worker)) for worker in workers])
    except FailedSubmissionError as error:
        raise slurm.SlurmCommandError(f"sbatch printed what cannot be read: {str(error).splitlines()[0]}") from error
    return str(jobs[0].job_id).partition("_")[0]


@contextlib.contextmanager
def _outside_any_job() -> Iterator[None]:
    """Hides the variables of a surrounding Slurm job, which would change what sbatch asks for."""
    hidden = {}
    if "SLURM_JOB_ID" in os.environ:
        names = [name for name in os.environ if name.startswith("SLURM_") and name not in _CLIENT_VARIABLES]
        hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)
