"""The faults of the soak test, each a function that disturbs a round and says what it did."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.soak.fault_library import DiskFault
from tests.soak.power_loss import lose_power
from tests.soak.processes import kill_all, send
from tests.soak.round import SoakRound

Fault = Callable[[SoakRound], str]
LONG_STOP: Final = "long-stop"
"""Longer than leases and heartbeats last; for long rounds."""


def _kill(role: str) -> Fault:
    def fault(here: SoakRound) -> str:
        found = here.processes(role)
        if not found:
            return ""
        chosen = here.rng.choice(found)
        send(chosen.pid, signal.SIGKILL)
        return f"kill -9 of {role} {chosen.pid}"

    return fault


def _stop(shortest_s: float, longest_s: float) -> Fault:
    def fault(here: SoakRound) -> str:
        found = here.processes()
        if not found:
            return ""
        chosen = here.rng.choice(found)
        seconds = here.rng.uniform(shortest_s, longest_s)
        send(chosen.pid, signal.SIGSTOP)
        here.pause(seconds)
        send(chosen.pid, signal.SIGCONT)
        return f"SIGSTOP of {chosen.role} {chosen.pid} for {seconds:.1f} s"

    return fault


def stop_stage(here: SoakRound) -> str:
    """One of the signals by which a stage is stopped from outside."""
    found = here.processes("stage")
    if not found:
        return ""
    chosen, number = here.rng.choice(found), here.rng.choice([signal.SIGTERM, signal.SIGUSR2, signal.SIGINT])
    send(chosen.pid, number)
    return f"{number.name} to stage {chosen.pid}"


def _disk(faults: DiskFault, text: str) -> Fault:
    def fault(here: SoakRound) -> str:
        seconds, permille = here.rng.uniform(0.2, 2.5), here.rng.choice([30, 150, 600, 1000])
        budget = here.rng.choice([0, 100, 5_000, 50_000])
        before = here.library.injected()
        here.library.set_faults(faults, permille=permille, budget=budget)
        here.pause(seconds)
        here.library.set_faults(DiskFault.NONE)
        number = here.library.injected() - before
        return f"{text} for {seconds:.1f} s ({permille} of 1000 calls, {budget} bytes left): {number} calls"

    return fault


def cut_power(here: SoakRound) -> str:
    """A loss of power: every process is killed, and what was not synced is lost by chance."""
    kill_all(here.mark)
    here.run = None
    here.others = []
    if here.workspace.is_dir():
        lose_power(here.workspace, here.library.shadow, here.rng)
    here.forget_observations()
    return "loss of power"


def move_clock(here: SoakRound) -> str:
    """A wall clock that jumps, and jumps back."""
    offset, seconds = here.rng.choice([-7200.0, -90.0, 90.0, 86400.0]), here.rng.uniform(0.5, 3.0)
    here.library.set_clock(offset)
    here.pause(seconds)
    here.library.set_clock(0)
    return f"clock moved by {offset:+g} s for {seconds:.1f} s"


def delete_index(here: SoakRound) -> str:
    """The index is deleted under its writer."""
    folder = here.workspace / "index"
    if not folder.is_dir():
        return ""
    shutil.rmtree(folder, ignore_errors=True)
    return "index deleted"


def start_second_launcher(here: SoakRound) -> str:
    """A second `cogtui run` of the same recipe."""
    other = here.launch()
    here.others.append(other)
    return f"second cogtui run, process {other.pid}"


def interrupt_run(here: SoakRound) -> str:
    """Ctrl-C in the attached run."""
    if here.run is None or here.run.poll() is not None:
        return ""
    here.run.send_signal(signal.SIGINT)
    return f"Ctrl-C in run {here.run.pid}"


def cancel_stage(here: SoakRound) -> str:
    """`cogtui cancel` of any stage that is not done."""
    stages = here.workspace / "stages"
    keys = sorted(path.name for path in stages.glob("*") if not (path / "result.json").exists())
    if not keys:
        return ""
    key = here.rng.choice(keys)
    try:
        done = here.command("cancel", key, "--yes", "--grace", "2", patience_s=60)
    except subprocess.TimeoutExpired:
        from tests.soak.checker import Finding

        here.report.findings.append(Finding("hang", f"cancel {key}", "did not end in a minute"))
        return f"cancel {key}, which hung"
    return f"cancel {key}: exit code {done.returncode}"


def flip_checkpoint(here: SoakRound) -> str:
    """One bit of the newest checkpoint of a stage that is not done."""
    found = [
        path
        for stage in sorted((here.workspace / "stages").glob("soak_walk-*"))
        if not (stage / "result.json").exists()
        for path in sorted(stage.glob("checkpoints/step-*/weights"))[-1:]
    ]
    if not found:
        return ""
    path = here.rng.choice(found)
    try:
        data = bytearray(path.read_bytes())
        data[here.rng.randrange(len(data))] ^= 1
        path.write_bytes(data)
    except (OSError, ValueError):
        return ""  # just deleted
    for process in here.processes("stage"):  # else nobody reads it
        if path.parts[-4] in process.attempt:
            send(process.pid, signal.SIGKILL)
    return f"bit flipped in {path.parts[-4]}/{path.parts[-2]}, and its stage killed"


# -- Slurm -----------------------------------------------------------------------------------------


def _slurm(here: SoakRound, *command: str) -> str:
    environment = {**here.plain_environment, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.strip()


def _running_jobs(here: SoakRound) -> list[str]:
    return _slurm(here, "squeue", "--noheader", "--states=RUNNING", "--partition=main", "--format=%A").split()


def requeue_job(here: SoakRound) -> str:
    """`scontrol requeue` of a running job."""
    jobs = _running_jobs(here)
    if not jobs:
        return ""
    job = here.rng.choice(jobs)
    _slurm(here, "scontrol", "requeue", job)
    return f"scontrol requeue {job}"


def cancel_job(here: SoakRound) -> str:
    """`scancel`, past cogtui."""
    jobs = _running_jobs(here)
    if not jobs:
        return ""
    job = here.rng.choice(jobs)
    _slurm(here, "scancel", job)
    return f"scancel {job}"


def node_down(here: SoakRound) -> str:
    """A node that fails and comes back."""
    node = here.rng.choice(["n1", "n2"])
    _slurm(here, "scontrol", "update", f"nodename={node}", "state=down", "reason=soak")
    seconds = here.rng.uniform(0.5, 4.0)
    here.pause(seconds)
    _slurm(here, "scontrol", "update", f"nodename={node}", "state=resume")
    return f"{node} down for {seconds:.1f} s"


def preempt_jobs(here: SoakRound) -> str:
    """A job of a partition that preempts."""
    _slurm(
        here, "sbatch", "--parsable", "-p", "high", "-N2", "--exclusive", "-o", "/dev/null", "-D", "/tmp",
        "--export=NONE", "--wrap", "sleep 1",
    )  # fmt: skip
    return "preempted by a job of partition high"


COMMON: Final[dict[str, Fault]] = {
    "kill-stage": _kill("stage"),
    "kill-worker": _kill("worker"),
    "kill-run": _kill("run"),
    "kill-follower": _kill("follower"),
    "stop": _stop(0.3, 4.0),
    LONG_STOP: _stop(15.0, 40.0),
    "disk-full": _disk(DiskFault.FULL, "full disk"),
    "write-errors": _disk(DiskFault.WRITE_ERROR, "EIO when writing"),
    "read-errors": _disk(DiskFault.READ_ERROR, "EIO when reading"),
    "short-writes": _disk(DiskFault.SHORT, "short writes"),
    "read-only": _disk(DiskFault.READ_ONLY, "read-only file system"),
    "clock": move_clock,
    "delete-index": delete_index,
    "second-launcher": start_second_launcher,
    "ctrl-c": interrupt_run,
    "cancel": cancel_stage,
    "flip-checkpoint": flip_checkpoint,
}
LOCAL: Final[dict[str, Fault]] = {
    **COMMON,
    "kill-agent": _kill("agent"),
    "signal-stage": stop_stage,
    "power-loss": cut_power,
}
SLURM: Final[dict[str, Fault]] = {
    **COMMON,
    "requeue": requeue_job,
    "scancel": cancel_job,
    "node-down": node_down,
    "preempt": preempt_jobs,
}


def faults_of(cluster: str) -> dict[str, Fault]:
    """Return the faults by name."""
    return SLURM if cluster == "slurm" else LOCAL


def heal(here: SoakRound) -> None:
    """Bring a cluster back that a fault left with a node down."""
    if here.cluster == "slurm":
        for node in ("n1", "n2"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                _slurm(here, "scontrol", "update", f"nodename={node}", "state=resume")


def disturb(here: SoakRound, names: list[str], seconds: float, log: Path) -> None:
    """Cause faults at random times until the time is up or all stages are done."""
    faults = faults_of(here.cluster)
    deadline = time.monotonic() + seconds
    began = time.monotonic()
    while time.monotonic() < deadline:
        here.pause(here.rng.uniform(0.2, 2.0))
        name = here.rng.choice(names)
        text = faults[name](here)
        if text:
            line = f"{time.monotonic() - began:7.1f} s  {name}: {text}"
            here.report.faults.append(line)
            with log.open("a") as stream:
                stream.write(line + "\n")
        if here.all_done():
            return
