"""Identifies processes, checks whether they are alive, and ends all processes of an attempt (Linux).

The kernel reuses process ids, so a process is identified by host, boot, pid namespace, pid and start time. The
processes of an attempt are found by the COGTUI_ATTEMPT variable, which children inherit through double forks and
new sessions.
"""

import os
import select
import signal
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from pipelines.file_record import FileRecord

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


class ProcessId(FileRecord, frozen=True, kw_only=True):
    """A process, distinct from every earlier or later one with the same pid."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: int
    """Start time in clock ticks since boot, as in /proc/PID/stat; independent of clock changes."""


def host_name() -> str:
    """Return the name of this machine, as in records."""
    return os.uname().nodename


@cache
def boot_id() -> str:
    """Return the random id of this boot; empty if the kernel gives none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@cache
def pid_namespace() -> str:
    """Return the name of the pid namespace: process ids of one container mean nothing in another."""
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - the target is no path
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, int] | None:
    """Return state letter and start ticks of a process, or None if it does not exist."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = raw[raw.rindex(b")") + 2 :].split()  # the name before it may contain spaces and parentheses
    return fields[0].decode(), int(fields[19])


def process_id(pid: int | None = None) -> ProcessId:
    """Return the identity of a process of this machine, by default of this one.

    Raises:
        ProcessLookupError: there is none.
    """
    pid = os.getpid() if pid is None else pid
    found = _stat(pid)
    if found is None:
        raise ProcessLookupError(f"no process {pid}")
    return ProcessId(host=host_name(), boot_id=boot_id(), pid_namespace=pid_namespace(), pid=pid, started=found[1])


def is_visible_here(process: ProcessId) -> bool:
    """Whether this machine could see the process if it were alive: same host and pid namespace."""
    return process.host == host_name() and process.pid_namespace == pid_namespace()


def is_alive(process: ProcessId) -> bool | None:
    """Whether a process is alive; a zombie is not. None if it is on another host or in another container."""
    if not is_visible_here(process):
        return None
    if process.boot_id != boot_id():
        return False
    found = _stat(process.pid)
    return found is not None and found[1] == process.started and found[0] not in "ZXx"


def is_stopped(process: ProcessId) -> bool:
    """Whether a process is stopped by a signal (SIGSTOP, Ctrl-Z)."""
    found = _stat(process.pid) if is_visible_here(process) else None
    return found is not None and found[0] in "Tt"


def attempt_processes(attempt: Path) -> list[int]:
    """Return the pids of all living processes of an attempt on this machine, whatever their parent."""
    needle = _mark(attempt)
    found = []
    for pid in _all_pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue  # it has ended, or belongs to another user
        if needle in environment + b"\0":
            found.append(pid)
    return [pid for pid in found if pid != os.getpid() and _is_running(pid)]


def belongs_to_attempt(pid: int, attempt: Path) -> bool:
    """Return whether a process of this machine is one of an attempt: its id alone may be another process by now."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return _mark(attempt) in environment + b"\0"


def _mark(attempt: Path) -> bytes:
    return b"COGTUI_ATTEMPT=" + os.fsencode(os.path.realpath(attempt)) + b"\0"


def descendants(root: int) -> list[int]:
    """Return the pids of the living descendants of a process, including orphans that a subreaper adopted."""
    children: dict[int, list[int]] = {}
    for pid in _all_pids():
        try:
            raw = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            continue
        fields = raw[raw.rindex(b")") + 2 :].split()
        if fields[0] not in (b"Z", b"X"):
            children.setdefault(int(fields[1]), []).append(pid)
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _is_running(pid: int) -> bool:
    found = _stat(pid)
    return found is not None and found[0] not in "ZXx"


def send_signal(pids: Iterable[int], number: int) -> None:
    """Send a signal to processes; skip those that have ended or belong to another user."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def wait_for_exit(pids: Iterable[int], seconds: float) -> list[int]:
    """Wait until processes end, without polling; return those still alive after `seconds`."""
    deadline = time.monotonic() + seconds
    watched: dict[int, int] = {}
    poller = select.poll()
    try:
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except OSError:
                continue  # gone
            watched[descriptor] = pid
            poller.register(descriptor, select.POLLIN)
        while watched:
            left = deadline - time.monotonic()
            for descriptor, _ in poller.poll(max(0, int(left * 1000))):
                poller.unregister(descriptor)
                os.close(descriptor)
                del watched[descriptor]
            if left <= 0:
                break
        return sorted(watched.values())
    finally:
        for descriptor in watched:
            os.close(descriptor)


def end_attempt_processes(attempt: Path, *, grace_s: float) -> bool:
    """End every process of an attempt: SIGINT, after `grace_s` SIGTERM, then SIGKILL; return True if none is left.

    For attempts whose worker is dead or does not answer.
    """
    for number, patience in ((signal.SIGINT, grace_s), (signal.SIGTERM, min(2.0, grace_s)), (signal.SIGKILL, 5.0)):
        members = attempt_processes(attempt)
        if not members:
            return True
        send_signal(members, number)
        wait_for_exit(members, patience)
    return not attempt_processes(attempt)


def become_subreaper() -> None:
    """Make orphans below this process its children, so that none escapes by a double fork."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies. Called between fork and exec."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@cache
def _libc() -> Any:
    import ctypes  # here, because most commands do not need it

    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    _libc().prctl(option, value, 0, 0, 0)
