"""What `jobs.submitit_adapter` needs of submitit, member by member: a failure here says what a new version breaks."""

import os
import pickle
import shlex
import signal
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pytest

from jobs import submitit_adapter

ROOT = Path(__file__).parents[2]
PARAMETERS = {"job_name": "ppo-1.001.abc", "nodes": 1, "ntasks_per_node": 1, "cpus_per_task": 2}

MEMBERS = (
    ("submitit.core.core", "Executor._throttling", "else submitting 500 stages takes 100 s"),
    ("submitit.core.core", "Executor.submit_array", "else no array of shards"),
    ("submitit.core.core", "PicklingExecutor.max_num_timeout", "else a few preemptions end a short job for good"),
    ("submitit.local.local", "LocalExecutor._submit_command", "else the worker dies with the terminal"),
    ("submitit.slurm.slurm", "SlurmExecutor._submit_command", "else sbatch can hang without a time limit"),
    ("submitit.slurm.slurm", "SlurmExecutor._make_submission_file_text", "else jobs get a limit of 5 minutes"),
    ("submitit.slurm.slurm", "SlurmExecutor._internal_process_submissions", "else an array of one task is no array"),
    ("submitit.slurm.slurm", "SlurmExecutor._submitit_command_str", "the command line in the script"),
    ("submitit.slurm.slurm", "SlurmExecutor._get_job_id_from_submission_command", "the job id in sbatch's output"),
    ("submitit.slurm.slurm", "SlurmExecutor._num_tasks", "the logs of a job of several nodes"),
    ("submitit.slurm.slurm", "_parse_node_list", "the node at which the processes of a job of several nodes meet"),
    ("submitit.core.submission", "submitit_main", "runs the pickle of a worker, here and on the node"),
    ("submitit.core.utils", "DelayedSubmission.load", "else pickles that another user wrote are run"),
    ("submitit.core.utils", "DelayedSubmission.dump", "else pickles are written with the umask, perhaps for a group"),
    ("submitit.core.utils", "UncompletedJobError", "ends a stage that was warned and must not start again"),
    ("submitit.core.utils", "FailedSubmissionError", "else an unreadable answer of sbatch is a traceback"),
    ("submitit.core.utils", "JobPaths.move_temporary_file", "puts the pickle of a shard in its place"),
    ("submitit.core.utils", "JobPaths._format_id", "else a workspace named `100%j` is taken for a pattern"),
    ("submitit.core.utils", "JobPaths.get_first_id_independent_folder", "the same, for the pickle"),
    ("submitit.helpers", "DelayedSubmission", "asks for the same job again after a warning"),
)
_ATTRIBUTES = ("_throttling", "max_num_timeout")
"""Set in `__init__`, so looked for on an executor."""


@pytest.mark.parametrize(("module", "path", "breaks"), MEMBERS, ids=[f"{module}.{path}" for module, path, _ in MEMBERS])
def test_each_member_is_there(module: str, path: str, breaks: str, tmp_path: Path) -> None:
    found: Any = import_module(module)
    for name in path.split("."):
        if name in _ATTRIBUTES:
            from submitit.local.local import LocalExecutor

            found = LocalExecutor(tmp_path)
        assert hasattr(found, name), f"submitit {metadata.version('submitit')} has no {path}: {breaks}"
        found = getattr(found, name)


def test_the_minor_version_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = [one for one in project["dependencies"] if one.startswith("submitit")]
    minor = ".".join(metadata.version("submitit").split(".")[:2])
    assert len(pins) == 1
    assert f">={minor}." in pins[0]
    assert f",<{minor.split('.')[0]}.{int(minor.split('.')[1]) + 1}" in pins[0]


def test_a_local_function_runs_from_its_pickle_with_the_variables_of_the_adapter(tmp_path: Path) -> None:
    environment = {**os.environ, **submitit_adapter.local_environment()}

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(submitit_adapter.local_command(tmp_path), env=environment, cwd=tmp_path)

    child = submitit_adapter.submit_local(tmp_path, os.getpid, start)
    assert child.wait(60) == 0
    (result,) = tmp_path.glob("*_result.pkl")
    assert pickle.loads(result.read_bytes()) == ("success", child.pid)
    left = submitit_adapter.without_submitit_variables(environment)
    assert "PATH" in left
    assert not [name for name in left if "SUBMITIT" in name]


def test_a_start_that_fails_half_way_leaves_no_process(tmp_path: Path) -> None:
    """Else the agent's next try would run the stage a second time beside it."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
        for pickled in tmp_path.glob("*.pkl"):
            pickled.unlink()  # submitit then fails to rename it, as on a disk with errors
        return started[0]

    with pytest.raises(OSError, match="No such file"):
        submitit_adapter.submit_local(tmp_path, os.getpid, start)
    assert started[0].poll() == -signal.SIGKILL


def test_the_script_asks_for_nothing_that_was_not_asked_for(tmp_path: Path) -> None:
    script = submitit_adapter.slurm_script(tmp_path, PARAMETERS)
    options = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert "#SBATCH --cpus-per-task=2" in options
    assert not [line for line in options if "wckey" in line or "time" in line or "array" in line]
    assert f"{shlex.quote(sys.executable)} -P -u -m jobs.submitit_adapter {tmp_path}" in script
    limited = submitit_adapter.slurm_script(tmp_path, {**PARAMETERS, "time": 90}, tasks=3)
    assert "#SBATCH --time=90" in limited
    assert "#SBATCH --array=0-2%3" in limited or "#SBATCH --array=0-2" in limited


@pytest.mark.parametrize(("array", "count"), [(False, 1), (True, 1), (True, 3)])
def test_each_task_finds_its_pickle(array: bool, count: int, tmp_path: Path) -> None:
    scripts: list[str] = []

    def run_sbatch(script: Path) -> str:
        scripts.append(script.read_text())
        return "Submitted batch job 4242\n"

    functions = [os.getpid] * count
    job_id = submitit_adapter.submit_slurm(tmp_path, PARAMETERS, functions, run_sbatch, array=array)
    assert job_id == "4242"
    assert len(scripts) == 1
    assert ("--array" in scripts[0]) is array
    names = [f"4242_{index}_submitted.pkl" for index in range(count)] if array else ["4242_submitted.pkl"]
    assert sorted(path.name for path in tmp_path.glob("*.pkl")) == names


@pytest.mark.parametrize("array", [False, True])
def test_a_percent_sign_in_the_folder_is_no_pattern(array: bool, tmp_path: Path) -> None:
    folder = tmp_path / "runs 100%j %t %A %%"
    folder.mkdir()
    scripts: list[str] = []

    def run_sbatch(script: Path) -> str:
        scripts.append(script.read_text())
        return "Submitted batch job 4242\n"

    submitit_adapter.submit_slurm(folder, PARAMETERS, [os.getpid], run_sbatch, array=array)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name], "nothing is written beside the folder"
    assert (folder / ("4242_0_submitted.pkl" if array else "4242_submitted.pkl")).is_file()
    escaped = str(folder).replace("%", "%%")
    number = "%A_%a" if array else "%j"
    for ending in ("out", "err"):
        assert f"={shlex.quote(f'{escaped}/{number}_0_log.{ending}')}\n" in scripts[0]
        assert f" {shlex.quote(f'{escaped}/{number}_%t_log.{ending}')} " in scripts[0]
    command = scripts[0].split("# command")[1]
    assert f" -P -u -m jobs.submitit_adapter {shlex.quote(str(folder))}\n" in command
    environment = {**os.environ, **submitit_adapter.local_environment(), "SUBMITIT_LOCAL_JOB_ID": "4242"}
    if not array:
        subprocess.run(submitit_adapter.local_command(folder), env=environment, cwd=tmp_path, check=True, timeout=60)
        assert (folder / "4242_0_result.pkl").is_file()
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_an_answer_without_a_job_id_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(submitit_adapter.SubmissionUnreadable):
        submitit_adapter.submit_slurm(tmp_path, PARAMETERS, [os.getpid], lambda _: "queue is closed")


@pytest.mark.parametrize(
    ("node_list", "first"), [("node[07-08]", "node07"), ("gpu1,gpu2", "gpu1"), ("a[1,3-4]b", "a1b"), ("n1", "n1")]
)
def test_the_first_node(node_list: str, first: str) -> None:
    assert submitit_adapter.first_node(node_list) == first


def test_a_function_that_asks_for_the_same_job_again() -> None:
    again = submitit_adapter.resubmission(os.getpid)
    assert again.function is os.getpid
    assert issubclass(submitit_adapter.uncompleted_job_error(), Exception)
