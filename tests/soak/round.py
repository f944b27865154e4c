"""One round of the soak test: an experiment that runs, what disturbs it, who watches, and the check at the end."""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.soak.checker import Finding, check
from tests.soak.fault_library import DiskFault, FaultLibrary
from tests.soak.processes import RoundProcess, kill_all, processes_of, wait_until_gone
from tests.soak.readers import (
    WorkspaceContent,
    command_json,
    read_app,
    read_command_line,
    read_files,
    read_index,
)

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_OBSERVE_EVERY_S: Final = 2.0
_SETTLE_RUNS: Final = 8
_ENDED: Final = frozenset({"failed", "cancelled", "timeout", "lost", "blocked"})
_ACTIVE: Final = frozenset({"queued", "running", "resuming"})
_TRACEBACK: Final = "Traceback (most recent call last)"


def base_environment(slurm_conf: str | None = None) -> dict[str, str]:
    """Return the environment of all processes of a round, without faults."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COGTUI_")}
    search = [str(ROOT), str(ROOT / "tests/soak/plugin")]
    extra = {"PYTHONPATH": os.pathsep.join(search), "COGTUI_LOCAL_CPUS": "3", "COGTUI_LOCAL_GPUS": ""}
    return {**kept, **extra, **({"SLURM_CONF": slurm_conf} if slurm_conf else {})}


@dataclass(slots=True)
class RoundReport:
    """What a round did and found."""

    seed: str
    cluster: str
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    failed_calls: int = 0
    """Calls to the file system that failed or were cut short."""
    runs: int = 0
    """Times that `cogtui run` was started."""
    findings: list[Finding] = field(default_factory=list)


class SoakRound:
    """The workspace of a round and everything that runs on it. `tests/soak/faults.py` disturbs it."""

    def __init__(
        self,
        folder: Path,
        recipe: Path,
        seed: str,
        cluster: str,
        slurm_conf: str | None = None,
        *,
        settle_s: float = 200.0,
    ) -> None:
        """Prepare a round; nothing is started yet.

        Args:
            folder: a new folder for everything of the round.
            recipe: the experiment.
            seed: decides faults and their times.
            cluster: `local` or `slurm`.
            slurm_conf: the configuration of a running cluster.
            settle_s: seconds after the last fault within which everything must be done.
        """
        self.folder = folder
        self.workspace = folder / "files" / "ws"
        self.recipe = recipe
        self.cluster = cluster
        self._settle_s = settle_s
        self.rng = random.Random(seed)
        self.report = RoundReport(seed, cluster)
        folder.mkdir(parents=True)
        self.workspace.parent.mkdir()
        self.library = FaultLibrary(folder, self.workspace, self.rng.getrandbits(60))
        self.mark = self.library.environment()["COGTUI_SOAK_CONTROL"]
        self.plain_environment = base_environment(slurm_conf)
        self.environment = {**self.plain_environment, **self.library.environment()}
        self.run: subprocess.Popen[bytes] | None = None
        self.others: list[subprocess.Popen[bytes]] = []
        self._follower: subprocess.Popen[bytes] | None = None
        self._last_states: dict[str, str] = {}
        self._attempts: dict[str, int] = {}
        self._unbacked: set[str] = set()
        self._observed = 0.0
        self._codes: list[int] = []

    # -- what faults use ---------------------------------------------------------------------------

    def processes(self, *roles: str) -> list[RoundProcess]:
        """Return the living processes of the round in these roles, all by default."""
        return [each for each in processes_of(self.mark) if not roles or each.role in roles]

    def command(self, *arguments: str, patience_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run a command on the workspace, subject to the faults."""
        line = [sys.executable, "-m", "cogtui", *arguments, "--workspace", str(self.workspace)]
        return subprocess.run(
            line, env=self.environment, capture_output=True, text=True, check=False, timeout=patience_s
        )

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start `cogtui run --retry`, with its output in files beside the workspace."""
        self.report.runs += 1
        out = self.folder / f"run-{self.report.runs:03d}.out"
        line = [sys.executable, "-m", "cogtui", "run", str(self.recipe), "--workspace", str(self.workspace)]
        line += ["--json", "--retry", "--cluster", self.cluster]
        with out.open("wb") as stdout, out.with_suffix(".err").open("wb") as stderr:
            return subprocess.Popen(line, env=self.environment, stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL)

    def forget_observations(self) -> None:
        """Start to observe anew: after a loss of power, states go back."""
        self._last_states, self._attempts = {}, {}
        self._unbacked = set()

    def pause(self, seconds: float) -> None:
        """Let the round go on for some seconds: restart what has ended, and observe."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.keep_running()
            time.sleep(min(0.1, left))

    def keep_running(self) -> None:
        """Start `run` and the index writer again if they have ended; look at the states every two seconds."""
        if self.run is None or self.run.poll() is not None:
            if self.run is not None:
                self._codes.append(self.run.returncode)
            self.run = self.launch()
        self.others = [other for other in self.others if other.poll() is None]
        if self._follower is None or self._follower.poll() is not None:
            self._start_follower()
        if time.monotonic() - self._observed > _OBSERVE_EVERY_S:
            self.observe()
            self._observed = time.monotonic()

    def all_done(self) -> bool:
        """Whether every planned stage has a result."""
        keys = list(self._keys())
        stages = self.workspace / "stages"
        return bool(keys) and all((stages / key / "result.json").exists() for key in keys)

    # -- the round ---------------------------------------------------------------------------------

    def settle(self) -> bool:
        """Switch everything that disturbs off, and run the recipe until it is done; return whether it is."""
        self.library.set_faults(DiskFault.NONE)
        self.library.set_clock(0)
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
        deadline = time.monotonic() + self._settle_s
        for _ in range(_SETTLE_RUNS):
            if self.run is None or self.run.poll() is not None:
                self.run = self.launch()
            try:
                code = self.run.wait(max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                break
            self.run = None
            if code == 0:
                break
        else:
            code = -1
        settled = self.run is None and not code
        if not settled:
            states = self._said_states()
            left = {key: states.get(key) for key in self._keys() if states.get(key) != "done"}
            self.report.findings.append(Finding("not-settled", str(self.workspace), f"after the faults: {left}"))
        for other in self.others if settled else ():
            with contextlib.suppress(subprocess.TimeoutExpired):
                other.wait(60)
        return settled

    def stop(self, *, settled: bool = True) -> None:
        """End what would go on for ever, and wait for the rest; a process that stays is a finding."""
        if self._follower is not None:
            self._end_follower(self._follower)
        left = wait_until_gone(self.mark, 30.0 if settled else 0.0)
        if settled:
            self.report.findings += [Finding("process-left", each.command, f"process {each.pid}") for each in left]
        kill_all(self.mark)

    def check(self, reference: WorkspaceContent | None, *, app: bool = True) -> None:
        """Compare everything at the end."""
        content = read_files(self.workspace)
        found = self.report.findings
        try:
            content.command_line = read_command_line(self.workspace, self.plain_environment)
            content.app = read_app(self.workspace, self.plain_environment) if app else None
            content.index = read_index(self.workspace)
        except (RuntimeError, OSError, sqlite3.Error, subprocess.TimeoutExpired) as error:
            found.append(Finding("unreadable", type(error).__name__, str(error)))
        found += check(content, reference)

    def delete(self) -> None:
        """Remove everything of the round from the disk."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def check_outputs(self) -> list[Finding]:
        found = []
        logs = [*self.folder.glob("run-*.err"), *self.folder.glob("follower.err"), *self.folder.glob("run-*.out")]
        logs += self.workspace.glob("queue/agent.log")
        for path in logs:
            text = path.read_text(errors="replace")
            if _TRACEBACK in text:
                found.append(Finding("traceback", path.name, text[text.index(_TRACEBACK) :][:1500]))
        for path in self.folder.glob("run-*.out"):
            text = path.read_text(errors="replace").strip()
            try:
                if text:
                    json.loads(text)
            except ValueError:
                found.append(Finding("no-envelope", path.name, text[-300:]))
        return found

    # -- watching ----------------------------------------------------------------------------------

    def observe(self) -> None:
        """Compare what `ls` says now with the files and processes of now."""
        if not (self.workspace / "stages").is_dir():
            return
        attempts_before = {key: self._attempt_count(key) for key in self._keys()}
        before = self._done_keys()
        running_before = self._attempts_with_processes()
        try:
            states = self._said_states()
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            self.report.findings.append(Finding("ls-failed", "ls", str(error)))
            return
        after = self._done_keys()
        for key, state in states.items():
            if (state == "done" and key not in after) or (state != "done" and key in before & after):
                self.report.findings.append(
                    Finding("false-state", key, f"ls says {state}; done before: {key in before}")
                )
            old = self._last_states.get(key)
            same = self._attempt_count(key) == self._attempts.get(key, 0)
            if old in _ENDED and state in _ACTIVE and same:
                self.report.findings.append(
                    Finding("false-state", key, f"was {old}, and {state} without a new attempt")
                )
        if self.cluster == "local":
            working = running_before | self._attempts_with_processes()
            unbacked = {key for key, state in states.items() if state in ("running", "resuming") and key not in working}
            for key in unbacked & self._unbacked:
                self.report.findings.append(Finding("false-state", key, "running in two looks, without a process"))
            self._unbacked = unbacked
        self._last_states, self._attempts = states, attempts_before

    def _said_states(self) -> dict[str, str]:
        rows = command_json(["ls"], self.workspace, self.plain_environment)
        return {str(row["key"]): str(row["state"]) for row in rows}

    def _done_keys(self) -> set[str]:
        return {key for key in self._keys() if (self.workspace / "stages" / key / "result.json").exists()}

    def _attempts_with_processes(self) -> set[str]:
        return {Path(each.attempt).parent.parent.name for each in self.processes() if each.attempt}

    def _attempt_count(self, key: str) -> int:
        return len(list((self.workspace / "stages" / key / "attempts").glob("[0-9]*")))

    def _keys(self) -> list[str]:
        stages = self.workspace / "stages"
        if not stages.is_dir():
            return []
        return sorted(path.name for path in stages.iterdir() if (path / "stage.json").exists())

    @staticmethod
    def _end_follower(follower: "subprocess.Popen[bytes]") -> None:
        follower.kill()
        follower.wait()
        if follower.stdin is not None:
            with contextlib.suppress(OSError):
                follower.stdin.close()

    def _start_follower(self) -> None:
        if self._follower is not None:
            self._end_follower(self._follower)
        with (self.folder / "follower.err").open("ab") as err:
            self._follower = subprocess.Popen(
                [sys.executable, "-m", "cogtui.store.ingest.follower", str(self.workspace)],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=err,
            )


def run_undisturbed(folder: Path, recipe: Path) -> WorkspaceContent:
    """Run a recipe without faults; return what its files say.

    Raises:
        RuntimeError: it failed.
    """
    workspace = folder / "undisturbed"
    environment = {**base_environment(), "COGTUI_SOAK_UNDISTURBED": str(workspace)}
    line = [sys.executable, "-m", "cogtui", "run", str(recipe), "--workspace", str(workspace), "--json"]
    try:
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=1800)
    except BaseException:
        kill_all(f"COGTUI_SOAK_UNDISTURBED={workspace}")
        raise
    if done.returncode:
        raise RuntimeError(f"the undisturbed run failed: {done.stdout} {done.stderr}")
    return read_files(workspace)
