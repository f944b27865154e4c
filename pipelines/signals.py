"""Stop signals of a stage process, and the exit code that says the stage can be continued.

A stage process turns SIGTERM, SIGINT and SIGUSR2 (Slurm's warning before a time limit or preemption) into
`Interrupted` and exits with `EXIT_INTERRUPTED`. A stage need not handle that: its streams and checkpoints are
consistent at every moment. A stage that saves before it stops runs its loop inside `graceful()`.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

from pipelines.errors import Interrupted

EXIT_INTERRUPTED: Final = 75
"""EX_TEMPFAIL of sysexits: stopped from outside, run it again to continue."""

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


@dataclass(slots=True)
class Stop:
    """Whether a stop was requested, and by which signal."""

    requested: bool = False
    signal: int = 0
    deferred: bool = False

    def raise_if_requested(self) -> None:
        """End the stage here if a stop was requested."""
        if self.requested:
            raise Interrupted(f"stopped by {signal.Signals(self.signal).name}")


_stop = Stop()


def _on_signal(number: int, frame: FrameType | None) -> None:
    again = _stop.requested
    _stop.requested = True
    _stop.signal = number
    if not _stop.deferred or again:
        _stop.raise_if_requested()


def install() -> None:
    """Take over the stop signals and forget an earlier stop; called once by the process that runs a stage."""
    _stop.requested, _stop.signal = False, 0
    for number in STOP_SIGNALS:
        signal.signal(number, _on_signal)


@contextmanager
def graceful() -> Iterator[Stop]:
    """Defer the first stop signal: it sets `requested`, which the stage polls. A second signal ends the stage."""
    before = _stop.deferred
    _stop.deferred = True
    try:
        yield _stop
    finally:
        _stop.deferred = before
