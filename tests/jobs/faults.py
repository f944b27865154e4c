"""What the tests of faults share: stages that run until told to end, and a launcher to kill."""

import os
import signal
import sys
from pathlib import Path

from jobs.attempts.processes import ProcessId, is_alive
from jobs.attempts.records import (
    STARTED,
    StartRecord,
    read_record,
)
from tests.jobs.lab import Lab, wait_for


def launcher(lab: Lab, *options: str) -> list[str]:
    """Command line of a process that submits everything in the lab."""
    start = str(lab.path / "start")
    return [sys.executable, "-m", "tests.jobs.launcher", str(lab.workspace.path), str(lab.python), start, *options]


def worker_of(lab: Lab, name: str) -> ProcessId:
    """The worker of a stage whose child runs."""
    wait_for(lambda: lab.starts(name))
    found = wait_for(lambda: read_record(lab.attempt(name) / STARTED, StartRecord))
    assert is_alive(found.worker)
    return found.worker


def kill_agent(lab: Lab) -> int:
    """Kills the agent of the lab with signal 9; returns its process id."""
    agent = lab.agent_pid()
    assert agent is not None
    os.kill(agent, signal.SIGKILL)
    return agent


def ignored(pid: int) -> set[signal.Signals]:
    """The signals that a process ignores, as the kernel says."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    mask = int(next(line for line in status.splitlines() if line.startswith("SigIgn:")).split()[1], 16)
    return {number for number in signal.Signals if mask >> (number - 1) & 1}


def held(lab: Lab, name: str = "a", **config: object) -> None:
    """A running stage that ends when `release` is called."""
    lab.stage(name, steps=2, until=str(lab.path / "go"), **config)  # type: ignore[arg-type]


def release(lab: Lab) -> None:
    (lab.path / "go").touch()
