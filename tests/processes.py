"""Processes and signals, as tests need them."""

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # brings no type information

from pipelines import signals


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Lets this process take the stop signals as the process of a stage does."""
    before = {number: signal.getsignal(number) for number in signals.STOP_SIGNALS}
    signals.install()
    try:
        yield
    finally:
        signals.install()  # forgets the stop
        for number, handler in before.items():
            signal.signal(number, handler)


def runs(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    return False


def children(word: str) -> list[psutil.Process]:
    """The living children of this process whose command line has a word."""
    return list(_children(word))


def children_once_started(word: str, patience_s: float = 90.0) -> list[psutil.Process]:
    """Return the children whose command line has a word, once there are any: a new child has its parent's at first."""
    deadline = time.monotonic() + patience_s
    while not (found := children(word)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _children(word: str) -> Iterator[psutil.Process]:
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE and any(word in part for part in child.cmdline()):
                yield child
