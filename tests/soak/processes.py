"""The processes of a soak round: found by a variable of their environment, killed and stopped one by one."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Final, NamedTuple

_ROLES: Final = (
    ("agent", "jobs.local.agent"),
    ("worker", "submitit"),
    ("stage", "-m pipelines"),
    ("follower", "cogtui.store.ingest.follower"),
    ("run", "-m cogtui run"),
)


class RoundProcess(NamedTuple):
    """A living process of a round."""

    pid: int
    role: str
    """`agent`, `worker`, `stage`, `follower`, `run`, or `other`."""
    command: str
    attempt: str
    """The attempt folder that it works on; empty if none."""


def processes_of(mark: str) -> list[RoundProcess]:
    """Return the living processes whose environment contains a text, this one left out."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            place = Path("/proc") / name
            environment = (place / "environ").read_bytes()
            if mark.encode() not in environment:
                continue
            if (place / "stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X"):
                continue
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            attempt = next((v[15:] for v in environment.split(b"\0") if v.startswith(b"COGTUI_ATTEMPT=")), b"")
            role = next((role for role, word in _ROLES if word in command), "other")
            found.append(RoundProcess(int(name), role, command, os.fsdecode(attempt)))
    return found


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that is gone is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_all(mark: str, patience_s: float = 20.0) -> None:
    """Kill all processes of a round, those that are started meanwhile too, and wait until they are gone.

    Raises:
        TimeoutError: some are still there.
    """
    deadline = time.monotonic() + patience_s
    while left := processes_of(mark):
        if time.monotonic() > deadline:
            raise TimeoutError(f"cannot kill {left}")
        for process in left:
            send(process.pid, signal.SIGKILL)
        time.sleep(0.02)


def wait_until_gone(mark: str, patience_s: float) -> list[RoundProcess]:
    """Wait until no process of a round lives; return those that still do after the time."""
    deadline = time.monotonic() + patience_s
    while (left := processes_of(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left
