"""One agent for each workspace: a kernel lock on this machine, and a record of the holder for other machines."""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Final

from jobs.attempts.clock import file_age_s
from jobs.attempts.processes import ProcessId, is_visible_here, process_id
from jobs.attempts.processes import is_alive as process_alive
from jobs.attempts.tickets import queue_folder
from jobs.workspace import Workspace
from pipelines.file_record import FileRecord
from pipelines.files import read_json, write_json

TOUCH_S: Final = 30.0
"""Seconds between two touches of the record by the holder."""
STALE_S: Final = 120.0
"""Seconds without a touch after which a holder on another machine counts as dead."""


class AgentRecord(FileRecord, frozen=True, kw_only=True):
    """`queue/agent.json`: the agent that serves the queue."""

    process: ProcessId
    since: float


class AgentLock:
    """The right to serve the queue of a workspace.

    On one machine the kernel decides (`flock`, released with the process). The record `agent.json` keeps out an agent
    of another machine if the workspace is on a shared disk without shared locks.
    """

    def __init__(self, workspace: Workspace) -> None:
        folder = queue_folder(workspace)
        self._lock = folder / "agent.lock"
        self._record = folder / "agent.json"
        self._descriptor: int | None = None

    def holder(self) -> AgentRecord | None:
        """Return the recorded holder if it is alive as far as this machine can see."""
        try:
            raw = read_json(self._record)
            found = None if raw is None else AgentRecord.model_validate(raw)
        except (OSError, ValueError):
            return None
        if found is None:
            return None
        if is_visible_here(found.process):
            return found if process_alive(found.process) else None
        age = file_age_s(self._record)
        return found if age is not None and age < STALE_S else None

    def acquire(self, patience_s: float) -> bool:
        """Take the lock, waiting up to `patience_s` for a holder on this machine to end; return True if taken."""
        deadline = time.monotonic() + patience_s
        while not self._try():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
        other = self.holder()
        if other is not None and other.process != process_id():
            self.release()
            return False
        with contextlib.suppress(OSError):
            write_json(self._record, AgentRecord(process=process_id(), since=time.time()).model_dump(), durable=False)
        return True

    def _try(self) -> bool:
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            pass  # a file system without locks: only the record protects
        self._descriptor = descriptor
        return True

    def touch(self) -> None:
        """Touch the record, so that other machines see that the holder is alive."""
        with contextlib.suppress(OSError):
            os.utime(self._record)

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor is None:
            return
        found = self.holder()
        if found is not None and found.process == process_id():
            with contextlib.suppress(OSError):
                Path(self._record).unlink()
        os.close(self._descriptor)
        self._descriptor = None
