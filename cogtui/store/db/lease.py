"""The writer lease: a row of the index that lets one process at a time write to it.

The row is written inside write transactions, so two processes never both hold it, and the holder checks it in every
batch. The next process that asks takes the lease from a holder that died or sent no heartbeat for `STALE_S` seconds.
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
    """Another process took the lease, because this one sent no heartbeat for too long."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The process that writes the index."""

    host: str
    pid: int
    silent_s: float
    """Seconds since its last heartbeat."""


@dataclass(slots=True)
class Lease:
    """The lease of one index, as this process sees it."""

    connection: sqlite3.Connection
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    _renewed: float = 0.0

    def take(self) -> bool:
        """Take the lease if it is free, stale or already held; return whether this process has it now."""
        with transaction(self.connection):
            row = self.connection.execute("SELECT token, host, pid, started, heartbeat FROM lease").fetchone()
            mine = row is not None and row[0] == self.token
            if row is not None and not mine and _alive(*row[1:]):
                return False
            if not mine or time.time() - self._renewed > RENEW_S:  # a follower asks every second
                self._write()
        return True

    def check(self) -> None:
        """Check, inside a write transaction, that this process holds the lease; send a heartbeat if one is due.

        Raises:
            LeaseLost: another process has it; the caller must roll back.
        """
        row = self.connection.execute("SELECT token FROM lease").fetchone()
        if row is None or row[0] != self.token:
            raise LeaseLost("another process writes the index now")
        if time.time() - self._renewed > RENEW_S:
            self._write()

    def renew(self) -> None:
        """Send a heartbeat if one is due, in a transaction of its own.

        Raises:
            LeaseLost: another process has it.
        """
        if time.time() - self._renewed > RENEW_S:
            with transaction(self.connection):
                self.check()

    def release(self) -> None:
        """Give the lease up if this process has it."""
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
    """Return the live process that holds the lease, or None."""
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
    """Return the start time of a process of this host, in clock ticks since boot; None if there is no such process.

    A reused process id has another start time. 0 means unknown.
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
