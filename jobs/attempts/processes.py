"""Which process is meant, whether it still lives, and how to end all that belongs to an attempt (Linux).

A process id alone says nothing: ids are used again. A process is named by host, boot, pid namespace, pid
and start time; what an attempt started is found by the COGTUI_ATTEMPT variable that its children inherit,
through double forks and new sessions.
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
    """A process, told apart from every other that had or will have its number."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: int
    """Start time in clock ticks since boot, as in /proc/PID/stat: no clock change moves it."""


def host_name() -> str:
    """This machine's name, as records carry it."""
    return os.uname().nodename


@cache
def boot_id() -> str:
    """Random id of this boot of the machine; empty where the kernel gives none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@cache
def pid_namespace() -> str:
    """Names the pid namespace: numbers of one container mean nothing in another."""
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - the target is no path
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start ticks of a process, or None where there is none."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = raw[raw.rindex(b")") + 2 :].split()  # the name before it may hold spaces and parentheses
    return fields[0].decode(), int(fields[19])


def process_id(pid: int | None = None) -> ProcessId:
    """Names a process of this machine, this one by default.

    Raises:
        ProcessLookupError: there is none.
    """
    pid = os.getpid() if pid is None else pid
    found = _stat(pid)
    if found is None:
        raise ProcessLookupError(f"no process {pid}")
    return ProcessId(host=host_name(), boot_id=boot_id(), pid_namespace=pid_namespace(), pid=pid, started=found[1])


def is_visible_here(process: ProcessId) -> bool:
    """Whether this machine could see the process if it lived: same host and pid namespace."""
    return process.host == host_name() and process.pid_namespace == pid_namespace()


def is_alive(process: ProcessId) -> bool | None:
    """Whether it lives (zombies do not); None where that cannot be seen from here: another host or container."""
    if not is_visible_here(process):
        return None
    if process.boot_id != boot_id():
        return False
    found = _stat(process.pid)
    return found is not None and found[1] == process.started and found[0] not in "ZXx"


def is_stopped(process: ProcessId) -> bool:
    """Whether it is stopped by a signal (SIGSTOP, Ctrl-Z)."""
    found = _stat(process.pid) if is_visible_here(process) else None
    return found is not None and found[0] in "Tt"


def attempt_processes(attempt: Path) -> list[int]:
    """Ids of all living processes of an attempt on this machine, whoever their parent is now."""
    needle = b"COGTUI_ATTEMPT=" + os.fsencode(os.path.realpath(attempt)) + b"\0"
    found = []
    for pid in _all_pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or somebody else's
        if needle in environment + b"\0":
            found.append(pid)
    return [pid for pid in found if pid != os.getpid() and _is_running(pid)]


def descendants(root: int) -> list[int]:
    """Ids of the living processes below one, those orphans included that a subreaper took in."""
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
    """Signals processes; those that ended meanwhile, or are not ours, are passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def wait_for_exit(pids: Iterable[int], seconds: float) -> list[int]:
    """Waits until processes end, without polling; returns those still alive when the time is up."""
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
    """Ends every process of an attempt: INT, after the grace TERM, then KILL. True when none is left.

    Used where the worker cannot do it: it is dead, or does not answer.
    """
    for number, patience in ((signal.SIGINT, grace_s), (signal.SIGTERM, min(2.0, grace_s)), (signal.SIGKILL, 5.0)):
        members = attempt_processes(attempt)
        if not members:
            return True
        send_signal(members, number)
        wait_for_exit(members, patience)
    return not attempt_processes(attempt)


def become_subreaper() -> None:
    """Orphans below this process become its children, so that none escapes by a double fork."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """This process is killed when its parent dies. Called between fork and exec."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@cache
def _libc() -> Any:
    import ctypes  # here: commands that only look need none of it

    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    _libc().prctl(option, value, 0, 0, 0)
