"""Keeps the environment of a submitting shell in memory until its queued jobs have started.

The environment contains API keys, so it is never written to a file. A small process with that environment lives until
none of its tickets waits; the agent reads it from `/proc/PID/environ`, which the kernel shows to this user only. Every
later agent finds the same process in the ticket, so a waiting job keeps its submitter's environment whichever agent
starts it, and if the process is gone the job is `lost` instead of running with another environment.
"""

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from jobs.attempts import processes as process
from jobs.attempts.processes import ProcessId

_PROGRAM: Final = Path(__file__).with_name("keeper_program.py")


class EnvironmentKeeper:
    """The process that keeps the environment of this process for tickets that are about to be written."""

    def __init__(self, process_id: ProcessId, tickets: int) -> None:
        self.process = process_id
        self._tickets = tickets

    def watch(self, names: Sequence[str]) -> None:
        """Let the keeper end once none of these tickets waits."""
        data = memoryview(b"".join(os.fsencode(name) + b"\0" for name in names))
        with contextlib.suppress(OSError):  # it was killed: its jobs are lost, and continued by the next run
            while data:
                data = data[os.write(self._tickets, data) :]


@contextlib.contextmanager
def keep_environment(folder: Path) -> Iterator[EnvironmentKeeper]:
    """Start a keeper of this process's environment; inside the block its tickets are written and given to `watch`.

    Args:
        folder: of the tickets.

    Raises:
        OSError: no process can be started.
    """
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_PROGRAM), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin, child.stdout:
        said = os.read(child.stdout.fileno(), 20)
        child.wait()
        if not said:  # its fork failed, for lack of memory or processes
            raise OSError(errno.EAGAIN, "no process can be started to keep the environment")
        yield EnvironmentKeeper(process.process_id(int(said)), child.stdin.fileno())


def kept_environment(keeper: ProcessId) -> dict[str, str] | None:
    """Return the environment that a keeper on this machine has, or None if it is gone."""
    try:
        raw = Path(f"/proc/{keeper.pid}/environ").read_bytes()
    except OSError:
        return None
    if not process.is_alive(keeper):  # asked afterwards: the number may have been used again
        return None
    pairs = (os.fsdecode(entry).partition("=") for entry in raw.split(b"\0") if b"=" in entry)
    return {name: value for name, _, value in pairs}
