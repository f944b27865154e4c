"""A workspace with probe stages in it, and what tests ask about it."""

import contextlib
import os
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pipelines
from jobs.attempts import processes as process
from jobs.attempts.agent_lock import AgentLock
from jobs.attempts.records import CANCEL, attempt_path
from jobs.attempts.tickets import LocalQueue
from jobs.planning.types import StageInstance
from jobs.recipe.resources import Resources
from jobs.state.reader import StageState, stage_states
from jobs.state.types import Submission
from jobs.submit.launch import submit
from jobs.workspace import Workspace
from pipelines.files import write_json
from pipelines.folder import StageInfo
from pipelines.stages import content_key
from tests.commands import cogtui_here
from tests.jobs.probe import ProbeConfig
from tests.processes import runs

T = TypeVar("T")
ROOT = Path(pipelines.__file__).parent.parent


def wait_for(what: Callable[[], T | None], seconds: float = 90.0) -> T:
    """Waits until a condition holds; returns its value. Fails the test with the last value otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {value!r}")
        time.sleep(0.02)


@dataclass
class Lab:
    """A workspace for one test."""

    path: Path
    cluster: str = "local"
    instances: dict[str, StageInstance] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.workspace = Workspace(self.path / "workspace")
        self.workspace.create()
        self.python = self.path / "python"
        self.python.write_text(
            # By way of sh: a `#!` line takes no path with a space. To Python the first lines are a string.
            f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} \"$0\" \"$@\"\n' '''\n"
            f"import runpy, sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            "runpy.run_module('tests.jobs.probe', run_name='__main__', alter_sys=False)\n"
        )
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)

    def stage(
        self,
        name: str,
        *needs: str,
        resources: dict[str, Any] | None = None,
        labels: dict[str, Any] | None = None,
        **config: Any,
    ) -> StageInstance:
        """Plans a probe stage and writes its `stage.json`."""
        model = ProbeConfig(name=name, **config)
        inputs = tuple(sorted(self.instances[need].key for need in needs))
        key = content_key("probe", model, inputs)
        instance = StageInstance(
            key=key,
            kind="probe",
            name=name,
            config=model.model_dump(mode="json"),
            key_fields=model.key_fields(),
            inputs=inputs,
            labels=labels or {},
            resources=Resources.model_validate({"python": str(self.python), **(resources or {})}),
        )
        folder = self.workspace.stages / key
        folder.mkdir(exist_ok=True)
        info = StageInfo(
            kind="probe", key=key, config=instance.config, inputs=inputs, name=name, labels=instance.labels
        )
        write_json(folder / "stage.json", info.model_dump(mode="json"))
        self.instances[name] = instance
        return instance

    def submit(self, *names: str, **options: Any) -> list[Submission]:
        """Submits stages by name, all by default."""
        chosen = [self.instances[name] for name in names] if names else list(self.instances.values())
        return submit(self.workspace, chosen, cluster=self.cluster, **options)

    def key(self, name: str) -> str:
        return self.instances[name].key

    def folder(self, name: str) -> Path:
        return self.workspace.stages / self.key(name)

    def attempt(self, name: str, number: int = 1) -> Path:
        return attempt_path(self.folder(name), number)

    def state(self, name: str) -> StageState:
        return stage_states(self.workspace, [self.key(name)])[self.key(name)]

    def wait(self, name: str, *states: str, seconds: float = 90.0) -> StageState:
        """Waits until a stage is in one of these states."""
        last: list[StageState] = []

        def arrived() -> bool:
            last[:] = [self.state(name)]
            return last[0].state in states

        try:
            wait_for(arrived, seconds)
            return last[0]
        except AssertionError:
            raise AssertionError(f"{name} did not become {states} in {seconds} s: {last}") from None

    def starts(self, name: str) -> list[list[str]]:
        """What each start of a probe wrote: step it began at, pid, GPUs."""
        path = self.folder(name) / "starts.txt"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def processes(self) -> list[str]:
        """Command lines of all living processes that belong to this workspace, the agent included."""
        found = []
        for pid in _pids():
            with contextlib.suppress(OSError):
                raw = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
                if os.fsencode(self.workspace.path) in raw and pid != os.getpid() and runs(pid):
                    line = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
                    found.append(f"{pid} {line}")
        return found

    def agent_pid(self) -> int | None:
        holder = AgentLock(self.workspace).holder()
        return holder.process.pid if holder else None

    def close(self) -> None:
        """Ends whatever a failed test left."""
        for queued in LocalQueue(self.workspace).tickets():
            path = attempt_path(self.workspace.stages / queued.ticket.key, queued.ticket.number)
            with contextlib.suppress(OSError):
                (path / CANCEL).write_text("{}")
            LocalQueue(self.workspace).remove(queued)
        for line in self.processes():
            process.send_signal([int(line.split()[0])], 9)


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def cogtui(lab: Lab, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command line on the lab's workspace."""
    return cogtui_here(*arguments, environment={**os.environ, "COGTUI_WORKSPACE": str(lab.workspace.path)})
