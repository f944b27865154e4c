"""Workspaces on a real cluster, and what the tests there ask of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.slurm import client as slurm
from tests.jobs.lab import Lab, wait_for


def lab_on(conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A workspace on a cluster; what is left of its jobs is cancelled at the end."""
    monkeypatch.setenv("SLURM_CONF", conf)
    yield Lab(tmp_path, cluster="slurm")
    left = [job.job_id for job in slurm.squeue().values() if job.state in ("RUNNING", "PENDING", "COMPLETING")]
    if left:
        slurm.run_command(["scancel", *left])
        wait_for(lambda: all(job.state not in ("RUNNING", "PENDING", "COMPLETING") for job in slurm.squeue().values()))


def preempt(seconds: int = 1) -> str:
    """Takes both nodes for a moment; returns the id of the job that does."""
    said = slurm.run_command(
        ["sbatch", "--parsable", "-p", "high", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", f"sleep {seconds}"]
    )
    return said.strip()


def job_id(lab: Lab, name: str) -> str:
    """Slurm's number of a stage's attempt."""
    found = lab.state(name).attempt
    assert found is not None
    assert found.job_id is not None
    return found.job_id


def saved(lab: Lab, name: str, step: int) -> bool:
    """Whether a stage has a checkpoint of a step."""
    return (lab.folder(name) / f"checkpoints/step-{step:06d}").exists()


def processes_of(lab: Lab, name: str) -> list[str]:
    """Command lines of what still runs of a stage."""
    return [line for line in lab.processes() if lab.key(name) in line or "signal" in line]
