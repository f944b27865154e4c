"""Chains of jobs on a real Slurm: dependencies, resources, stages blocked by a failure, the text of a submission."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.slurm import client as slurm
from jobs.state.reader import StageState, StateReader
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, MissingRequirement
from tests.jobs.lab import ROOT, Lab, wait_for
from tests.jobs.on_slurm.labs import job_id, lab_on
from tests.jobs.retried import check_retry_takes_settings, check_stage_gets_settings

pytestmark = pytest.mark.slurm


def test_a_chain_finishes_by_dependencies_alone_with_the_launcher_gone(lab: Lab) -> None:
    lab.stage("a", until=str(lab.path / "go"))
    lab.stage("b", "a")
    lab.stage("c", "b")
    start = lab.path / "start"
    start.touch()
    command = [
        sys.executable,
        "-m",
        "tests.jobs.launcher",
        str(lab.workspace.path),
        str(lab.python),
        str(start),
        "--slurm",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert [launcher.stdout.readline(), launcher.stdout.readline()] == [
            "ready\n",
            "submitted submitted submitted\n",
        ]
        launcher.kill()
    state = lab.wait("a", "running")
    wait_for(lambda: lab.starts("a"))
    assert state.evidence == "scheduler"
    assert lab.state("b").reason == "waits for its inputs"
    assert [found.action for found in lab.submit()] == ["claimed"] * 3
    (lab.path / "go").touch()
    lab.wait("c", "done")
    assert [len(lab.starts(name)) for name in "abc"] == [1, 1, 1]


@pytest.mark.parametrize("name", [b"w \xff\xfe", "w ü $(touch x) 'q' \"d\" #; &".encode()], ids=["not UTF-8", "shell"])
def test_odd_characters_in_the_workspace(lab: Lab, name: bytes) -> None:
    lab.workspace = Workspace(lab.path / os.fsdecode(name))
    lab.workspace.create()
    lab.stage("a")
    lab.stage("b", "a")
    lab.submit()
    lab.wait("b", "done")
    assert list(lab.attempt("b").glob("*_log.out"))


def test_a_backslash_in_the_workspace_is_refused_at_once(lab: Lab) -> None:
    lab.workspace = Workspace(lab.path / "back\\slash")
    lab.workspace.create()
    lab.stage("a")
    with pytest.raises(InvalidInput, match="has a backslash in its path") as caught:
        lab.submit()
    assert "Slurm" in caught.value.detail
    assert lab.state("a").state == "planned"
    lab.cluster = "local"
    lab.submit()
    lab.wait("a", "done")


def test_a_percent_sign_in_the_workspace_is_no_pattern(
    plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "slurm 100%j"
    folder.mkdir()
    for lab in lab_on(plain, folder, monkeypatch):
        lab.stage("a", until=str(tmp_path / "go"))
        (tmp_path / "go").touch()
        lab.submit()
        lab.wait("a", "done")
        (attempt,) = (lab.folder("a") / "attempts").iterdir()
        number = job_id(lab, "a")
        assert (attempt / f"{number}_0_log.out").is_file()
        assert (attempt / f"{number}_submitted.pkl").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, "go"}, "nothing is written beside the workspace"


def test_resources_and_environment_reach_the_stage(lab: Lab) -> None:
    lab.stage(
        "a",
        until=str(lab.path / "go"),
        resources={
            "gpus": 2,
            "cpus": 4,
            "memory": "200M",
            "time": "1:00:00",
            "setup": ["export FROM_SETUP='it came'"],
            "environment": {"FROM_RECIPE": "too"},
            "sbatch": {"comment": "two words", "nice": 7},
        },
    )
    lab.submit()
    pid = wait_for(lambda: lab.starts("a"))[0][1]
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    for line in (b"FROM_SETUP=it came", b"FROM_RECIPE=too", b"OMP_NUM_THREADS=4", b"CUDA_VISIBLE_DEVICES=0,1"):
        assert line in environment
    shown = slurm.run_command(["scontrol", "show", "job", job_id(lab, "a")])
    for part in ("TimeLimit=01:00:00", "Comment=two words", "CPUs/Task=4", "MinMemoryNode=200M", "Requeue=1"):
        assert part in shown
    (lab.path / "go").touch()
    lab.wait("a", "done")


def test_a_failure_blocks_what_needs_it_and_retry_runs_only_those(lab: Lab) -> None:
    lab.stage("ok")
    lab.stage("bad", "ok", do="exit 7", once=True)
    lab.stage("after", "bad")
    lab.stage("last", "after")
    lab.submit()
    assert lab.wait("bad", "failed").reason == "exit code 7"
    blocked = lab.wait("last", "blocked")
    assert blocked.reason == f"its input {lab.key('bad')} failed: exit code 7"
    wait_for(lambda: all(job.state != "PENDING" for job in slurm.squeue().values()))  # nothing pends for ever
    assert [found.action for found in lab.submit()] == ["reused", "left", "left", "left"]
    assert [found.action for found in lab.submit(retry=True)] == ["reused", "submitted", "submitted", "submitted"]
    lab.wait("last", "done")
    assert [len(lab.starts(name)) for name in ("ok", "bad", "after", "last")] == [1, 2, 1, 1]


def test_a_job_that_never_reached_its_worker_shows_what_it_said(lab: Lab) -> None:
    lab.stage("a", resources={"setup": ["module load no-such-module || exit 9"]})
    lab.submit()
    state = lab.wait("a", "failed")
    assert "ended before the stage began" in state.reason
    assert "module" in state.reason


def test_a_refused_submission_says_what_slurm_said(lab: Lab) -> None:
    lab.stage("a", resources={"partition": "no-such"})
    with pytest.raises(MissingRequirement, match="Invalid partition"):
        lab.submit()
    state = lab.state("a")
    assert not state.active
    assert "Invalid partition" in state.reason
    assert lab.submit(retry=False)[0].action == "left"


def test_one_squeue_and_no_sacct_for_many_jobs(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        lab.stage(f"s{number}", until=str(lab.path / "go"))
    lab.submit()
    calls: list[str] = []
    ask = slurm.run_command

    def counted(arguments: list[str], **options: float) -> str:
        calls.append(arguments[0])
        return ask(arguments, **options)

    monkeypatch.setattr("jobs.slurm.client.run_command", counted)
    reader = StateReader(lab.workspace)
    states: dict[str, StageState] = reader.read()
    assert len(states) == 12
    assert all(state.active for state in states.values())
    assert calls == ["squeue"]
    reader.read()
    assert calls == ["squeue"]  # again only after some seconds
    (lab.path / "go").touch()
    for number in range(12):
        lab.wait(f"s{number}", "done", seconds=120)


def test_a_retry_takes_settings_and_the_next_keeps_them(lab: Lab) -> None:
    check_retry_takes_settings(lab)


def test_the_stage_works_with_the_settings_of_its_attempt(lab: Lab) -> None:
    check_stage_gets_settings(lab)
