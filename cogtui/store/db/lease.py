"""Who may write the index: one process at a time, by a row in the index itself.

The row is taken and renewed inside write transactions, so two processes can never both believe they have it,
and every batch of the holder checks that it still is the holder. A holder that died, or that showed no sign of
life for `STALE_S`, loses it to the next who asks.
"""

import os
import socket
import sqlite3
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cogtui.store.db.connection import transaction
from pipelines.errors import CogtuiError

STALE_S: Final = 30.0
RENEW_S: Final = 5.0


class LeaseLost(CogtuiError):
    """Another process took over the writing of the index, because this one was silent for too long."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The process that writes the index."""

    host: str
    pid: int
    silent_s: float
    """Seconds since its last sign of life."""


@dataclass(slots=True)
class Lease:
    """This process's claim to an index."""

    connection: sqlite3.Connection
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    _renewed: float = 0.0

    def take(self) -> bool:
        """Takes the lease if it is free, stale or ours already; whether we have it now."""
        with transaction(self.connection):
            row = self.connection.execute("SELECT token, host, pid, started, heartbeat FROM lease").fetchone()
            if row is not None and row[0] != self.token and _alive(*row[1:]):
                return False
            self._write()
        return True

    def check(self) -> None:
        """Inside a write transaction: still ours? Renews it when it is time to.

        Raises:
            LeaseLost: another process has it; the transaction must be given up.
        """
        row = self.connection.execute("SELECT token FROM lease").fetchone()
        if row is None or row[0] != self.token:
            raise LeaseLost("another process writes the index now")
        if time.time() - self._renewed > RENEW_S:
            self._write()

    def renew(self) -> None:
        """A sign of life while there is nothing to write.

        Raises:
            LeaseLost: another process has it.
        """
        if time.time() - self._renewed > RENEW_S:
            with transaction(self.connection):
                self.check()

    def release(self) -> None:
        """Gives it up, if we have it."""
        with transaction(self.connection):
            self.connection.execute("DELETE FROM lease WHERE token = ?", (self.token,))

    def _write(self) -> None:
        self._renewed = time.time()
        pid = os.getpid()
        self.connection.execute(
            "INSERT OR REPLACE INTO lease (id, token, host, pid, started, heartbeat) VALUES (1, ?, ?, ?, ?, ?)",
            (self.token, socket.gethostname(), pid, _started(pid) or 0.0, self._renewed),
        )


def lease_holder(connection: sqlite3.Connection) -> LeaseHolder | None:
    """The live process that writes the index, or None."""
    row = connection.execute("SELECT host, pid, started, heartbeat FROM lease").fetchone()
    if row is None or not _alive(*row):
        return None
    return LeaseHolder(str(row[0]), int(row[1]), max(0.0, time.time() - float(row[3])))


def _alive(host: str, pid: int, started: float, heartbeat: float) -> bool:
    if abs(time.time() - heartbeat) > STALE_S:
        return False
    if host != socket.gethostname():
        return True
    now_started = _started(pid)
    return now_started is not None and (not started or now_started == started)


def _started(pid: int) -> float | None:
    """When a process of this host started, in clock ticks since boot; None where there is no such process.

    A number that was given out again belongs to a process with another start.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return float(stat.rpartition(b")")[2].split()[19])
    except OSError:
        pass
    except (IndexError, ValueError):
        return 0.0
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return 0.0
    return 0.0
