"""The command line of a stage: plain, or under a torchrun that leaves signals to its processes."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.attempts.processes import process_id
from jobs.attempts.records import JobRecord
from jobs.worker.command import child_environment, stage_command
from pipelines import __main__ as entry
from pipelines.errors import CogtuiError, Interrupted, StageFailed
from pipelines.files import read_json
from pipelines.folder import ATTEMPT_VARIABLE
from pipelines.stages import stage_kind
from tests.commands import cogtui_here


def job(**resources: Any) -> JobRecord:
    return JobRecord(
        key="ppo-0", number=1, cluster="slurm", name="x", submitted=0.0, submitter=process_id(), resources=resources
    )


def test_one_process_needs_no_launcher() -> None:
    assert stage_command(job(), Path("/stage")) == [sys.executable, "-m", "pipelines", "--folder", "/stage"]


def test_several_processes_are_started_by_torchrun() -> None:
    command = stage_command(job(processes=4), Path("/stage"))
    start = command.index(sys.executable)
    assert command[start : start + 5] == [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=4", "--standalone",
    ]  # fmt: skip
    assert command[-4:] == ["-m", "pipelines", "--folder", "/stage"]


def test_nodes_meet_at_the_first_of_them() -> None:
    environment = {"SLURM_JOB_NODELIST": "node[07-08]", "SLURM_JOB_ID": "4242", "SLURM_NODEID": "1"}
    command = stage_command(job(processes=8, nodes=2), Path("/stage"), environment)
    assert {
        "--nproc-per-node=8",
        "--nnodes=2",
        "--node-rank=1",
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=node07:29642",
        "--rdzv-id=4242",
    } <= set(command)
    assert "--standalone" not in command


def test_a_stage_that_launches_its_processes_itself_is_alone_on_each_node(tmp_path: Path) -> None:
    two = JobRecord(
        key="ppo-0", number=1, cluster="slurm", name="x", submitted=0.0, submitter=process_id(),
        resources={"processes": 4, "nodes": 2, "cpus": 8}, launches_itself=True,
    )  # fmt: skip
    environment = {"SLURM_JOB_NODELIST": "node[07-08]", "SLURM_JOB_ID": "4242", "SLURM_NODEID": "1"}
    command = stage_command(two, Path("/stage"), environment)
    assert command == [sys.executable, "-m", "pipelines", "--folder", "/stage"]
    variables = child_environment(two, tmp_path, environment)
    assert {name: variables[name] for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR")} == {
        "RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "node07",
    }  # fmt: skip


def test_only_ppo_with_verl_launches_its_processes_itself() -> None:
    ppo, prime = stage_kind("ppo"), stage_kind("prime")
    assert ppo.is_launching_itself({"engine": {"name": "verl"}})
    assert not ppo.is_launching_itself({"engine": {"name": "vllm"}})
    assert not prime.is_launching_itself({})


@pytest.mark.parametrize("recipe", ["paper-qwen-2.5-3b", "paper-llama-3.2-3b", "paper-owm"])
def test_the_papers_recipes_with_verl_ask_slurm_for_two_nodes(recipe: str, tmp_path: Path) -> None:
    changes = ("--set", "stages.ppo.engine=verl", "--set", "resources.ppo.nodes=2")
    where = ("--cluster", "slurm", "--dry-run", "--workspace", str(tmp_path))
    done = cogtui_here("run", recipe, *where, *changes, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    scripts = [text for text in done.stdout.split("#!/bin/bash") if "--job-name=ppo-" in text]
    assert scripts
    assert all("#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=1\n" in text for text in scripts)
    assert all("--kill-on-bad-exit=1" in text for text in scripts)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_the_launcher_survives_what_its_processes_are_told(number: signal.Signals) -> None:
    """The shell's part of the command around a stand-in for torchrun that says whether it was hit."""
    command = stage_command(job(processes=2), Path("/stage"))
    deaf = command[: command.index(sys.executable)]
    code = f"import os; os.kill(os.getpid(), {int(number)}); print('alive')"
    done = subprocess.run([*deaf, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n")


@pytest.mark.parametrize(
    ("errors", "kept"),
    [
        ([StageFailed("it broke"), Interrupted("stopped by SIGTERM")], "stage_failed"),
        ([Interrupted("stopped by SIGTERM"), StageFailed("it broke")], "stage_failed"),
        ([Interrupted("stopped by SIGTERM"), Interrupted("stopped by SIGTERM")], "interrupted"),
    ],
)
def test_a_process_that_was_stopped_does_not_hide_why_another_failed(
    errors: list[CogtuiError], kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path))
    for error in errors:
        entry._record(error)
    assert read_json(tmp_path / "error.json")["code"] == kept
